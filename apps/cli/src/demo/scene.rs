//! The parts of the demo and its acts. Every part is the real one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use openhuman::agent::mock::{MockServer, Script};
use openhuman::agent::openai::OpenAiModel;
use openhuman::mcp::Origin;
use openhuman::memory::Document;
use openhuman::skills::{CallOptions, Clock, Grant, SkillPackage, ToolError};
use openhuman::vault::{Argon2Params, Password, Vault, VaultOptions};
use openhuman::{
    CancellationToken, ChatEvent, Core, Credential, Home, ModelConfig, Route, SocketState, model_from_env,
};
use openhuman_backend::{Backend, RunningBackend, SqliteTokenStore};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::canary::{self, Search};
use super::prices::PriceServer;
use super::timeline::{Timeline, terminal_width};
use super::{Breakable, PROMPT, assets};
use crate::ask::preview;
use crate::exit::{Code, Failure};
use crate::output::{self, clean, line};
use crate::style::{BOLD, DIM, TOOL};

/// How far the demo advances the clock of schedules: the example fires every minute.
const ONE_SCHEDULE: Duration = Duration::from_secs(61);

/// A skill that hurts its neighbours if it can. Nothing inside this one call ever asks whether it may go on.
const STUCK_MANIFEST: &str = r#"{ "id": "stuck", "name": "A hostile skill" }"#;
const STUCK_CODE: &str = "globalThis.tools = [{ name: 'spin', description: 'Never ends.', \
     execute: () => Array.prototype.reverse.call({ length: 2 ** 53 - 1 }) }];";
/// How long it may.
const STUCK_FOR: Duration = Duration::from_millis(200);

/// How long the demo waits for what must happen by itself.
const SOON: Duration = Duration::from_secs(10);

/// A clock that stands still at the start of the demo, so that schedules fire only when the demo advances it.
struct MovedClock {
    now_ms: AtomicI64,
}

impl MovedClock {
    fn standing_still() -> Self {
        Self {
            now_ms: AtomicI64::new(jiff::Timestamp::now().as_millisecond()),
        }
    }

    fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(
            i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for MovedClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

/// The model's side: the scripted one behind real HTTP, or the user's own.
pub(crate) enum Model {
    Scripted(MockServer),
    Live(ModelConfig),
}

impl Model {
    pub(crate) async fn start(live: bool) -> Result<Self, Failure> {
        if live {
            return model_from_env().map(Self::Live).ok_or_else(|| {
                Failure::new(
                    Code::Usage,
                    "--live needs a model: set OPENAI_API_KEY, or OPENAI_BASE_URL and OPENAI_MODEL",
                )
            });
        }
        let server = MockServer::try_start(Script::demo()).await;
        Ok(Self::Scripted(server.map_err(|error| {
            Failure::new(Code::Unavailable, error.to_string())
        })?))
    }

    pub(crate) fn config(&self) -> ModelConfig {
        match self {
            Self::Scripted(server) => ModelConfig {
                base_url: server.base_url(),
                model: "scripted-demo".into(),
                ..ModelConfig::default()
            },
            Self::Live(config) => config.clone(),
        }
    }
}

/// A home with the example skills in it, and the price service they ask.
pub(crate) struct Skilled {
    pub(crate) dir: TempDir,
    pub(crate) prices: PriceServer,
}

impl Skilled {
    pub(crate) async fn prepare(broken: Option<Breakable>) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new()
            .prefix("openhuman-demo-")
            .tempdir()
            .map_err(|error| {
                let folder = std::env::temp_dir();
                let message = format!(
                    "cannot make a temporary home in {}: {error}; set TMPDIR to a folder of yours",
                    folder.display()
                );
                Failure::new(Code::Unavailable, message)
            })?;
        let prices = PriceServer::start(random()?).await?;
        assets::write_skills(&Home::at(dir.path().join("home")).skills_dir(), |skill, code| {
            spoiled(broken, skill, code)
        })?;
        Ok(Self { dir, prices })
    }

    pub(crate) fn home(&self) -> Home {
        Home::at(self.dir.path().join("home"))
    }

    /// A core with the example skills. The one private address it grants is the price service's.
    pub(crate) async fn core(&self, vault: Vault, clock: Arc<dyn Clock>) -> Result<Core, Failure> {
        let home = self.home();
        let package =
            |id: &str| SkillPackage::load(&home.skills_dir().join(id)).map_err(openhuman::CoreError::from);
        let mut prices = Grant::from_manifest(package("prices")?.manifest());
        prices.allow_private("127.0.0.1", self.prices.port());
        let core = Core::builder(home.clone(), vault)
            .clock(clock)
            .env("PRICES_URL", self.prices.url())
            .grant("prices", prices)
            .grant("notes", Grant::from_manifest(package("notes")?.manifest()))
            .grant("alerts", Grant::from_manifest(package("alerts")?.manifest()))
            .build()
            .await?;
        match core.problems().into_iter().next() {
            Some(problem) => Err(problem.error.into()),
            None => Ok(core),
        }
    }
}

/// The skill's code, or the same with one tool that throws.
fn spoiled(broken: Option<Breakable>, skill: &str, code: &str) -> String {
    match broken.map(broken_tool) {
        Some((broken_skill, tool)) if broken_skill == skill => format!(
            "{code}\n;for (const tool of (globalThis.__skill.default || globalThis.__skill).tools)\n  \
             if (tool.name === '{tool}') tool.execute = () => {{ throw new Error('broken on purpose'); }};\n"
        ),
        _ => code.to_owned(),
    }
}

fn broken_tool(broken: Breakable) -> (&'static str, &'static str) {
    match broken {
        Breakable::Prices => ("prices", "get_price"),
        Breakable::Notes => ("notes", "find_notes"),
    }
}

/// Everything of one run that is random, so that no answer can be known before.
struct Secrets {
    password: String,
    /// In the document of this run.
    marker: String,
    /// In the note that the notes skill keeps.
    plan: String,
}

pub(crate) struct Scene {
    skilled: Skilled,
    model: Model,
    clock: Arc<MovedClock>,
    secrets: Secrets,
    vault: Option<Vault>,
    core: Option<Core>,
    backend: Option<RunningBackend>,
}

impl Scene {
    pub(crate) async fn set(live: bool, broken: Option<Breakable>) -> Result<Self, Failure> {
        let secrets = Secrets {
            password: format!("demo password {:08x}{:08x}", random()?, random()?),
            marker: format!("harbour-{:08x}", random()?),
            plan: format!("validator-{:08x}", random()?),
        };
        Ok(Self {
            skilled: Skilled::prepare(broken).await?,
            model: Model::start(live).await?,
            clock: Arc::new(MovedClock::standing_still()),
            secrets,
            vault: None,
            core: None,
            backend: None,
        })
    }

    pub(crate) async fn create_vault(&mut self, timeline: &mut Timeline) -> Result<(), Failure> {
        let (home, password) = (self.skilled.home(), Password::from(self.secrets.password.clone()));
        // The least that any vault gets. One that is kept is measured for the machine it is made on, which takes several
        // unlocks of 300 to 700 ms; this one is gone when the demo is, and its password is random.
        let options = VaultOptions {
            argon2: Some(Argon2Params::DEFAULT),
        };
        let vault = tokio::task::spawn_blocking(move || home.create_vault(&password, &options)).await??;
        let mib = Argon2Params::DEFAULT.memory_kib / 1024;
        timeline.step(
            "vault",
            format!("created: a random key under Argon2id ({mib} MiB) and AES-256-GCM"),
        )?;
        self.vault = Some(vault);
        Ok(())
    }

    pub(crate) async fn start_core(&mut self, timeline: &mut Timeline) -> Result<(), Failure> {
        let vault = self.vault.take().ok_or_else(out_of_order)?;
        let core = self.skilled.core(vault, self.clock.clone()).await?;
        let skills = core.skill_snapshots();
        let tools: usize = skills.iter().map(|skill| skill.tools.len()).sum();
        let names: Vec<&str> = skills.iter().map(|skill| skill.skill_id.as_str()).collect();
        timeline.step(
            "core",
            format!("memory open, skills {} with {tools} tools", names.join(", ")),
        )?;
        self.core = Some(core);
        Ok(())
    }

    pub(crate) async fn remember(&mut self, timeline: &mut Timeline) -> Result<(), Failure> {
        let core = self.core()?;
        let documents = self.skilled.dir.path().join("documents");
        assets::write_documents(&documents)?;
        let report = core.import(&documents).await?;
        let text = format!(
            "The word of this run is {}. It was made up a moment ago.",
            self.secrets.marker
        );
        let note = Document::new("note-of-this-run", "Note of this run", text);
        let chunks = report.chunks + core.with_memory(move |memory| memory.ingest(&note)).await?.chunks;

        let text = format!(
            "Stake in two parts through {}, and keep a third liquid.",
            self.secrets.plan
        );
        let arguments = json!({ "title": "My staking plan", "text": text });
        let added = core.call_tool("notes__add_note", arguments, Origin::Cli).await;
        if added.is_error {
            return Err(Failure::new(
                Code::Failed,
                format!("the notes skill did not take the note: {}", added.to_text()),
            ));
        }
        let detail = format!(
            "{} documents in {chunks} passages, {} names and facts for the graph, one note in the notes skill",
            report.files + 1,
            report.learned
        );
        timeline.step("memory", detail)?;
        Ok(())
    }

    pub(crate) async fn start_backend(&mut self, timeline: &mut Timeline) -> Result<(), Failure> {
        let config = self.model.config();
        let failed = |error: &dyn std::fmt::Display| Failure::new(Code::Failed, error.to_string());
        let model = OpenAiModel::new(config.clone()).map_err(|error| failed(&error))?;
        let tokens = SqliteTokenStore::in_memory().map_err(|error| failed(&error))?;
        let backend = Backend::builder()
            .model(Arc::new(model))
            .token_store(tokens)
            .start("127.0.0.1:0")
            .await?;
        timeline.step(
            "backend",
            format!(
                "Socket.IO at {}, model {} at {}",
                backend.url(),
                config.model,
                config.base_url
            ),
        )?;
        self.backend = Some(backend);
        Ok(())
    }

    pub(crate) async fn connect(&mut self, timeline: &mut Timeline) -> Result<(), Failure> {
        let backend = self.backend.as_ref().ok_or_else(out_of_order)?;
        let token = backend
            .issue_login_token("demo")
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))?
            .expose()
            .to_owned();
        let core = self.core()?;
        core.connect(&backend.url(), &Credential::LoginToken(token.clone()))
            .await?;
        let connected = core.socket().borrow().status == SocketState::Connected;
        let offered = wait_for(|| synced_tools(backend, "demo")).await;
        timeline.step(
            "connect",
            format!(
                "login token exchanged, ready, tool:sync with {} tools",
                offered.unwrap_or(0)
            ),
        )?;
        timeline.check(
            "the desktop is connected and the backend knows its tools",
            connected && offered.is_some(),
            "",
        )?;

        let again = core.connect(&backend.url(), &Credential::LoginToken(token)).await;
        timeline.check("the login token does not work twice", again.is_err(), "")?;
        // The refused attempt replaced the link: connect with a fresh token.
        let token = backend
            .issue_login_token("demo")
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        core.connect(&backend.url(), &Credential::LoginToken(token.expose().to_owned()))
            .await?;
        wait_for(|| synced_tools(backend, "demo")).await.ok_or_else(|| {
            Failure::new(Code::Timeout, "the backend did not receive the tools within 10 s")
        })?;
        Ok(())
    }

    /// Asks through the backend and shows the answer as it comes.
    pub(crate) async fn ask(&mut self, as_json: bool, timeline: &mut Timeline) -> Result<String, Failure> {
        let core = self.core()?;
        if !as_json {
            line(format_args!("\n{BOLD}> {PROMPT}{BOLD:#}"))?;
        }
        let mut events = core.chat("demo", PROMPT, Route::Backend, &CancellationToken::new());
        let (mut answer, mut called, mut pieces) = (None, Vec::new(), 0);
        while let Some(event) = events.next().await {
            if !as_json {
                show(&event)?;
            }
            match event {
                ChatEvent::Delta { .. } => pieces += 1,
                ChatEvent::ToolResult { name, success, .. } => called.push((name, success)),
                ChatEvent::Done { answer: complete } => answer = Some(complete),
                ChatEvent::Error { message, .. } => return Err(Failure::new(Code::Failed, message)),
                _ => {}
            }
        }
        let answer = answer.ok_or_else(|| Failure::new(Code::Failed, "the turn ended without an answer"))?;
        if !as_json {
            output::piece("\n\n")?;
        }
        timeline.step(
            "ask",
            format!(
                "{} tool calls over the socket, answer in {pieces} pieces",
                called.len()
            ),
        )?;

        let price = self.skilled.prices.price("ETH").unwrap_or_default();
        let both = ["prices__get_price", "notes__find_notes"]
            .iter()
            .all(|tool| called.iter().any(|(name, success)| name == tool && *success));
        timeline.check("both tools answered through mcp:toolCall", both, names(&called))?;
        timeline.check(
            "the answer has this run's price",
            has_number(&answer, &price),
            format!("{price} USD"),
        )?;
        let plan = &self.secrets.plan;
        timeline.check(
            "the answer has this run's note",
            answer.contains(plan.as_str()),
            plan.clone(),
        )?;
        Ok(answer)
    }

    pub(crate) async fn fire_schedule(&mut self, timeline: &mut Timeline) -> Result<(), Failure> {
        let core = self.core()?;
        let before = alerts(core).await?;
        self.clock.advance(ONE_SCHEDULE);
        let fired = core
            .skills()
            .run_schedules()
            .await
            .map_err(openhuman::CoreError::from)?;
        let after = wait_for_async(|| async {
            let now = alerts(core).await.unwrap_or(before);
            (now > before).then_some(now)
        })
        .await
        .unwrap_or(before);
        timeline.step(
            "cron",
            format!(
                "clock advanced by {} s, {fired} schedule fired",
                ONE_SCHEDULE.as_secs()
            ),
        )?;
        let written = after.saturating_sub(before);
        timeline.check(
            "the schedule fired once and its row is in that skill's database",
            written == 1,
            format!("{written} row"),
        )?;
        Ok(())
    }

    /// A hostile skill beside the others: stuck in one built-in function of the language, which never ends by itself.
    pub(crate) async fn contain(&self, timeline: &mut Timeline) -> Result<(), Failure> {
        let core = self.core()?;
        let engine = core.skills();
        let package = SkillPackage::from_parts(STUCK_MANIFEST, STUCK_CODE.to_owned());
        let package = package.map_err(openhuman::CoreError::from)?;
        let stuck = engine.install(package, Grant::none()).await;
        let stuck = stuck.map_err(openhuman::CoreError::from)?;
        engine.start(&stuck).await.map_err(openhuman::CoreError::from)?;
        let options = CallOptions { timeout: STUCK_FOR };
        let hang = engine.call_tool(&stuck, "spin", json!({}), options);
        let neighbours = async {
            let mut slowest = Duration::ZERO;
            for _ in 0..20 {
                let started = Instant::now();
                alerts(core).await?;
                slowest = slowest.max(started.elapsed());
            }
            Ok::<_, Failure>(slowest)
        };
        let (ended, slowest) = tokio::join!(hang, neighbours);
        let slowest = slowest?;
        engine.remove(&stuck).await.map_err(openhuman::CoreError::from)?;
        timeline.step(
            "contain",
            format!(
                "a skill hung in a built-in function; the slowest of 20 calls beside it took {slowest:.1?}"
            ),
        )?;
        timeline.check(
            "the stuck skill was ended at its limit and the others answered",
            matches!(ended, Err(ToolError::TimedOut)) && slowest < STUCK_FOR,
            format!("{slowest:.1?}"),
        )?;
        let sent = core.egress(None, false, 1000).await?;
        let elsewhere = sent
            .iter()
            .filter(|record| record.host != "127.0.0.1" || record.port != self.skilled.prices.port());
        timeline.check(
            "skills reached the price service and no other host",
            elsewhere.count() == 0,
            format!("{} requests", sent.len()),
        )?;
        Ok(())
    }

    pub(crate) fn search_home_while_open(&self, timeline: &mut Timeline) -> Result<(), Failure> {
        let found = self.search(self.skilled.home().path())?;
        timeline.step("search", searched(&found))?;
        timeline.check(
            "no stored phrase is readable on disk while running",
            found.nothing_found(),
            searched(&found),
        )?;
        Ok(())
    }

    /// The control: the same search must find every phrase where nothing is sealed.
    pub(crate) async fn export(&mut self, timeline: &mut Timeline) -> Result<(), Failure> {
        let dir = self.skilled.dir.path().join("plain-export");
        self.core()?.export_plain(&dir).await?;
        let found = self.search(&dir)?;
        timeline.step(
            "export",
            format!("plain copies for comparison: {}", searched(&found)),
        )?;
        timeline.check(
            "the same search finds all three phrases in a plain export",
            found.all_found(),
            searched(&found),
        )?;
        Ok(())
    }

    pub(crate) async fn close(&mut self, timeline: &mut Timeline) -> Result<(), Failure> {
        if let Some(core) = self.core.take() {
            core.close().await;
        }
        if let Some(backend) = self.backend.take() {
            backend.shutdown().await;
        }
        let found = self.search(self.skilled.home().path())?;
        timeline.step("close", "vault, memory and skill databases closed")?;
        timeline.check(
            "no stored phrase is readable on disk after closing",
            found.nothing_found(),
            searched(&found),
        )?;
        Ok(())
    }

    pub(crate) async fn stop(self) {
        if let Model::Scripted(server) = self.model {
            server.shutdown().await;
        }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.skilled.home().path().to_owned()
    }

    pub(crate) fn password(&self) -> &str {
        &self.secrets.password
    }

    pub(crate) fn model(&self) -> ModelConfig {
        self.model.config()
    }

    /// Whether an answer names this run's price and note.
    pub(crate) fn is_recalled_by(&self, answer: &str) -> bool {
        let price = self.skilled.prices.price("ETH").unwrap_or_default();
        has_number(answer, &price) && answer.contains(&self.secrets.plan)
    }

    fn core(&self) -> Result<&Core, Failure> {
        self.core.as_ref().ok_or_else(out_of_order)
    }

    /// A phrase of the memory, one of a skill's database, one of the conversation.
    fn search(&self, dir: &Path) -> Result<Search, Failure> {
        let phrases = [self.secrets.marker.as_str(), self.secrets.plan.as_str(), PROMPT];
        Ok(canary::search(dir, &phrases)?)
    }
}

/// How many tools the user's desktop has reported to the backend; `None` before it has.
pub(crate) fn synced_tools(backend: &RunningBackend, user: &str) -> Option<usize> {
    let desktop = backend
        .desktops()
        .into_iter()
        .find(|desktop| desktop.user == user)?;
    let tools = desktop.tools.tools.iter().map(|skill| skill.tools.len()).sum();
    (tools > 0).then_some(tools)
}

fn out_of_order() -> Failure {
    Failure::new(Code::Failed, "the acts of the demo ran out of order")
}

fn random() -> Result<u32, Failure> {
    getrandom::u32()
        .map_err(|error| Failure::new(Code::Failed, format!("the system has no randomness: {error}")))
}

/// The rows that the schedule of the alerts skill has written.
async fn alerts(core: &Core) -> Result<usize, Failure> {
    let result = core
        .call_tool("alerts__list_alerts", json!({}), Origin::Cli)
        .await;
    let value: Value = serde_json::from_str(&result.to_text()).unwrap_or_default();
    match value["log"].as_array() {
        Some(rows) if !result.is_error => Ok(rows.len()),
        _ => Err(Failure::new(
            Code::Failed,
            format!("the alerts skill did not list its rows: {}", result.to_text()),
        )),
    }
}

async fn wait_for<T>(probe: impl Fn() -> Option<T>) -> Option<T> {
    wait_for_async(|| std::future::ready(probe())).await
}

async fn wait_for_async<T, F: Future<Output = Option<T>>>(probe: impl Fn() -> F) -> Option<T> {
    let tries = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, tries).await.ok()
}

fn names(called: &[(String, bool)]) -> String {
    called
        .iter()
        .map(|(name, success)| {
            if *success {
                name.clone()
            } else {
                format!("{name} failed")
            }
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether the text has this decimal number, with or without thousands separators.
fn has_number(text: &str, number: &str) -> bool {
    !number.is_empty() && text.replace(',', "").contains(number)
}

fn searched(found: &Search) -> String {
    let hits: usize = found.hits.iter().sum();
    format!("{hits} hits in {} files, {} KiB", found.files, found.bytes / 1024)
}

fn show(event: &ChatEvent) -> Result<(), Failure> {
    match event {
        ChatEvent::Delta { delta } => output::piece(&clean(delta)),
        ChatEvent::ToolCall { name, args, .. } => {
            line(format_args!("  {TOOL}{name}{TOOL:#} {DIM}{args}{DIM:#}"))
        }
        ChatEvent::ToolResult { output, .. } => {
            let room = terminal_width().map_or(usize::MAX, |width| width.saturating_sub(4));
            let shown: String = preview(output).chars().take(room).collect();
            line(format_args!("  {DIM}{shown}{DIM:#}"))
        }
        ChatEvent::Notice { message } => line(format_args!("  {message}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_recognised_with_thousands_separators() {
        assert!(has_number("ETH is at 3,184.21 USD", "3184.21"));
        assert!(!has_number("ETH is at 3184.2 USD", "3184.21"));
        assert!(!has_number("anything", ""));
    }

    #[test]
    fn only_the_named_tool_is_spoiled() {
        assert_eq!(spoiled(None, "notes", "code"), "code");
        assert_eq!(spoiled(Some(Breakable::Prices), "notes", "code"), "code");
        assert!(spoiled(Some(Breakable::Notes), "notes", "code").contains("find_notes"));
    }
}
