//! The methods `openhuman.vault_*`: the ways into the vault, and what to do when a database does not open.
//!
//! One secret goes out, once, to whoever just typed the password: the recovery key.

use openhuman_vault::{Password, RecoveryKey, Vault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::params::{parse_secret, to_json};
use super::{Dispatcher, RpcError};
use crate::{Core, CoreBuilder, CoreError, DatabaseName, Home};

/// The shortest password a vault accepts, in characters.
const SHORTEST_PASSWORD: usize = 8;

/// The methods answered here.
pub(super) const METHODS: [&str; 8] = [
    "openhuman.vault_create",
    "openhuman.vault_unlock",
    "openhuman.vault_recover",
    "openhuman.vault_change_password",
    "openhuman.vault_create_recovery_key",
    "openhuman.vault_status",
    "openhuman.vault_accept",
    "openhuman.vault_discard_log",
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateParams {
    password: String,
    /// Also make a recovery key, and answer with it under `recovery_key`.
    #[serde(default)]
    recovery_key: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordParams {
    password: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoverParams {
    recovery_key: String,
    new_password: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeParams {
    password: String,
    new_password: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptParams {
    password: String,
    /// The database that an error named; without it every one, and the notes about them are begun anew.
    database: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseParams {
    password: String,
    /// The database that an error named.
    database: String,
}

/// A recovery key, to be shown once.
#[derive(Serialize, JsonSchema)]
pub(super) struct NewRecoveryKey {
    /// 36 characters in nine groups.
    recovery_key: String,
    /// Whether an earlier one opens nothing any more.
    replaced: bool,
}

/// The vault of a home.
#[derive(Serialize, JsonSchema)]
pub(super) struct VaultStatus {
    /// Whether there is one.
    exists: bool,
    /// Whether it is open.
    open: bool,
    /// Whether its keys are kept out of swap.
    memory_locked: bool,
    /// Whether its keys are kept out of core dumps.
    excluded_from_dumps: bool,
    /// How long the next passphrase has to wait after too many wrong ones, in milliseconds; 0 when it need not.
    waiting_ms: u64,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Done {
    ok: bool,
}

impl Dispatcher {
    /// Answers one of [`METHODS`]. What the user typed is inside the parameters: no error quotes it.
    pub(super) async fn vault_call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        match method {
            "openhuman.vault_create" => self.vault_create(parse_secret(params)?).await,
            "openhuman.vault_unlock" => self.vault_unlock(parse_secret(params)?).await,
            "openhuman.vault_recover" => self.vault_recover(parse_secret(params)?).await,
            "openhuman.vault_change_password" => {
                let params: ChangeParams = parse_secret(params)?;
                long_enough(&params.new_password)?;
                let options = self.shared.options.vault;
                let (old, new) = (
                    Password::from(params.password),
                    Password::from(params.new_password),
                );
                self.at_home(move |home| home.change_password(&old, &new, &options))
                    .await?;
                to_json(&Done { ok: true })
            }
            "openhuman.vault_create_recovery_key" => {
                let password = Password::from(parse_secret::<PasswordParams>(params)?.password);
                let made = move |home: &Home| {
                    let mut vault = home.open_vault(&password)?;
                    let replaced = vault.has_recovery_key();
                    Ok((vault.create_recovery_key()?, replaced))
                };
                let (key, replaced) = self.at_home(made).await?;
                to_json(&NewRecoveryKey {
                    recovery_key: key.text().to_string(),
                    replaced,
                })
            }
            "openhuman.vault_status" => to_json(&self.vault_status().await),
            "openhuman.vault_accept" => self.vault_accept(parse_secret(params)?).await,
            "openhuman.vault_discard_log" => self.vault_discard_log(parse_secret(params)?).await,
            other => Err(RpcError::unknown_method(other)),
        }
    }

    async fn vault_status(&self) -> VaultStatus {
        let memory = openhuman_vault::memory_protection();
        VaultStatus {
            exists: self.shared.options.home.has_vault(),
            open: self.core().await.is_ok(),
            memory_locked: memory.locked,
            excluded_from_dumps: memory.excluded_from_dumps,
            waiting_ms: self.shared.options.home.waiting_ms(),
        }
    }

    async fn vault_create(&self, params: CreateParams) -> Result<Value, RpcError> {
        long_enough(&params.password)?;
        let _one_at_a_time = self.shared.opening.lock().await;
        if self.core().await.is_ok() {
            return Err(RpcError::failed("there is a vault already, and it is open"));
        }
        let (password, options) = (Password::from(params.password), self.shared.options.vault);
        let made = move |home: &Home| {
            let mut vault = home.create_vault(&password, &options)?;
            let key = params
                .recovery_key
                .then(|| vault.create_recovery_key())
                .transpose()?;
            Ok((vault, key))
        };
        let (vault, key) = self.at_home(made).await?;
        let mut snapshot = self.build(vault).await?;
        if let Some(key) = key {
            snapshot["recovery_key"] = Value::from(key.text().as_str());
        }
        Ok(snapshot)
    }

    async fn vault_unlock(&self, params: PasswordParams) -> Result<Value, RpcError> {
        let _one_at_a_time = self.shared.opening.lock().await;
        let password = Password::from(params.password);
        let vault = self.at_home(move |home| home.open_vault(&password)).await?;
        if self.core().await.is_ok() {
            // An open vault was no reason to call a wrong password right.
            return self.snapshot().await;
        }
        self.build(vault).await
    }

    async fn vault_recover(&self, params: RecoverParams) -> Result<Value, RpcError> {
        long_enough(&params.new_password)?;
        let key = RecoveryKey::parse(&params.recovery_key).map_err(CoreError::from)?;
        let _one_at_a_time = self.shared.opening.lock().await;
        let (new, options) = (Password::from(params.new_password), self.shared.options.vault);
        let recovered = self
            .at_home(move |home| home.recover_vault(&key, &new, &options))
            .await?;
        if self.core().await.is_ok() {
            return self.snapshot().await;
        }
        self.build(recovered).await
    }

    /// Takes a database as it is, although it is not the newest one: a decision for the user.
    async fn vault_accept(&self, params: AcceptParams) -> Result<Value, RpcError> {
        let name = params.database.as_deref().map(name).transpose()?;
        let password = Password::from(params.password);
        self.while_closed(move |home| {
            let mut vault = home.open_vault(&password)?;
            match name {
                Some(name) => home.databases(&mut vault)?.accept(&name),
                None => home.accept_databases(&mut vault, None),
            }
        })
        .await
    }

    /// Gives up what the damaged log of a database holds.
    async fn vault_discard_log(&self, params: DatabaseParams) -> Result<Value, RpcError> {
        let (name, password) = (name(&params.database)?, Password::from(params.password));
        self.while_closed(move |home| {
            let mut vault = home.open_vault(&password)?;
            home.databases(&mut vault)?.discard_log(&name).map(drop)
        })
        .await
    }

    /// Runs a step on the home while no core of this dispatcher holds it.
    async fn while_closed<F>(&self, step: F) -> Result<Value, RpcError>
    where
        F: FnOnce(&Home) -> Result<(), CoreError> + Send + 'static,
    {
        let _one_at_a_time = self.shared.opening.lock().await;
        self.at_home(step).await?;
        to_json(&Done { ok: true })
    }

    /// Runs a step on the home on a thread that may block.
    async fn at_home<T, F>(&self, step: F) -> Result<T, RpcError>
    where
        T: Send + 'static,
        F: FnOnce(&Home) -> Result<T, CoreError> + Send + 'static,
    {
        let home = self.shared.options.home.clone();
        let done = tokio::task::spawn_blocking(move || step(&home)).await;
        Ok(done.map_err(CoreError::from)??)
    }

    /// Opens the core with its vault. Only while `opening` is held.
    async fn build(&self, vault: Vault) -> Result<Value, RpcError> {
        let options = self.shared.options.clone();
        let builder = Core::builder(options.home, vault)
            .model(options.model)
            .working_memory(options.working_memory)
            .context_window(options.context_window)
            .network(options.network);
        let core = options
            .skills_dirs
            .into_iter()
            .fold(builder, CoreBuilder::skills_dir)
            .build()
            .await?;
        self.watch(&core);
        if let Err(error) = core.resume_link().await {
            // The vault is open either way; the state of the link says why there is none.
            tracing::warn!(%error, "the link to the backend was not resumed");
        }
        *self.shared.core.lock().await = Some(core);
        self.publish(json!({ "type": "vault.status", "status": "unlocked" }));
        self.snapshot().await
    }
}

fn name(text: &str) -> Result<DatabaseName, RpcError> {
    text.parse()
        .map_err(|error: CoreError| RpcError::params(error.to_string()))
}

fn long_enough(password: &str) -> Result<(), RpcError> {
    if password.chars().count() >= SHORTEST_PASSWORD {
        return Ok(());
    }
    Err(RpcError::params(format!(
        "the password needs at least {SHORTEST_PASSWORD} characters"
    )))
}
