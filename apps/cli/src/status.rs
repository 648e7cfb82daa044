//! `openhuman status`: what there is, at a glance. Asks for nothing, starts nothing and reaches nobody.

use openhuman::vault::memory_protection;
use openhuman::{CoreError, Home, model_from_env};
use serde_json::{Value, json};

use crate::args::Global;
use crate::exit::Failure;
use crate::output::{self, line};
use crate::session::{self, Keychain};
use crate::style::{BOLD, DIM};
use crate::unlock;

/// What opens the vault now.
struct Ways {
    exists: bool,
    unlocked: bool,
    keychain: bool,
    keychain_problem: Option<String>,
    waiting_ms: u64,
    backends: Option<Vec<String>>,
}

pub(crate) async fn run(global: &Global) -> Result<(), Failure> {
    let home = session::home(global)?;
    let ways = look(&home).await?;
    let model = model_from_env();
    let memory = memory_protection();
    if global.json {
        return output::json(&json!({
            "home": home.path(),
            "vault": {
                "exists": ways.exists, "unlocked": ways.unlocked, "opened_by_keychain": ways.keychain,
                "keychain_problem": ways.keychain_problem, "waiting_ms": ways.waiting_ms,
                "memory": { "locked": memory.locked, "excluded_from_dumps": memory.excluded_from_dumps },
            },
            "model": model.as_ref().map(|model| &model.model),
            "backends": ways.backends.map_or(Value::Null, Value::from),
        }));
    }
    line(format_args!("{BOLD}Home{BOLD:#}     {}", home.path().display()))?;
    line(format_args!("{BOLD}Vault{BOLD:#}    {}", vault(&ways)))?;
    match &model {
        Some(model) => line(format_args!("{BOLD}Model{BOLD:#}    {}", model.model))?,
        None => line(format_args!(
            "{BOLD}Model{BOLD:#}    none: answers quote the memory {DIM}(OPENAI_BASE_URL or OPENAI_API_KEY){DIM:#}"
        ))?,
    }
    if let Some(backends) = &ways.backends {
        let at = match backends.is_empty() {
            true => "none".to_owned(),
            false => output::clean_line(&backends.join(", ")),
        };
        line(format_args!("{BOLD}Backend{BOLD:#}  logged in at {at}"))?;
    }
    line(format_args!("{DIM}`openhuman doctor` looks closer.{DIM:#}"))
}

async fn look(home: &Home) -> Result<Ways, Failure> {
    let exists = session::has_vault(home)?;
    let mut ways = Ways {
        exists,
        unlocked: false,
        keychain: false,
        keychain_problem: None,
        waiting_ms: home.waiting_ms(),
        backends: None,
    };
    if !exists {
        return Ok(ways);
    }
    let cached = unlock::unlocked(home).await?;
    ways.unlocked = cached.is_some();
    let remembered = match session::ask_keychain(home).await? {
        Keychain::Opens(vault) => Some(*vault),
        Keychain::Refuses(reason) => {
            ways.keychain_problem = Some(reason);
            None
        }
        Keychain::NotAsked => None,
    };
    ways.keychain = remembered.is_some();
    if let Some(vault) = cached.or(remembered) {
        let names = tokio::task::spawn_blocking(move || openhuman::logged_in(&vault));
        ways.backends = Some(names.await?.map_err(CoreError::from)?);
    }
    Ok(ways)
}

fn vault(ways: &Ways) -> String {
    if !ways.exists {
        return "there is none yet; `openhuman vault create` makes one".to_owned();
    }
    let mut text = match (ways.unlocked, ways.keychain) {
        (true, _) => "open for a while; `openhuman lock` ends that".to_owned(),
        (false, true) => "opened by this user's keychain".to_owned(),
        (false, false) => "locked; it opens with its password".to_owned(),
    };
    if let Some(reason) = &ways.keychain_problem {
        text.push_str("; the keychain should open it, and does not: ");
        text.push_str(reason);
    }
    if ways.waiting_ms > 0 {
        let seconds = ways.waiting_ms.div_ceil(1000);
        text.push_str(&format!(
            "; after too many wrong passwords the next one waits {seconds} s"
        ));
    }
    text
}
