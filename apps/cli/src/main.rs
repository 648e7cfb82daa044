//! The `openhuman` command: it translates arguments into calls of the `openhuman` crate, and answers into text.

#![forbid(unsafe_code)]

mod args;
mod ask;
mod author;
mod backend;
mod chat;
mod demo;
mod descriptors;
mod dev;
mod doctor;
mod exit;
mod login;
mod mcp;
mod memory;
mod output;
mod password;
mod prompt;
mod registry;
mod session;
mod skills;
mod status;
mod style;
mod unlock;
mod upkeep;
mod vault;
mod wizard;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing::field::{Field, Visit};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::args::{Cli, Command};
use crate::exit::{Code, Failure};

/// What was in memory is overwritten when it is given back: prompts, passages, values of skills.
#[global_allocator]
static ALLOCATOR: openhuman::vault::WipingAllocator = openhuman::vault::WipingAllocator;

fn main() -> ExitCode {
    // Before any other thread, and before SQLite is used. It fails only later.
    let _ = openhuman::sqlite::wipe_freed_memory();
    // Before there is a secret. A build for development stays open to debuggers.
    if !cfg!(debug_assertions) {
        // Where the system does not let us, `vault status` says what keys are protected from.
        let _ = openhuman::vault::forbid_core_dumps();
    }
    let mut cli = Cli::parse();
    let as_json = cli.global.json;
    // Before anything is opened: later descriptors are opened, and a number that the user mistyped would be one of them.
    let secrets = descriptors::read(&mut cli);
    log_to_stderr(cli.global.verbose);
    match secrets.and_then(|()| run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(as_json);
            ExitCode::from(failure.code as u8)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failed, format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        let global = &cli.global;
        match cli.command {
            Command::Demo(demo) => exit::interruptible(demo::run(global, demo)).await,
            Command::Ask(ask) => ask::run(global, ask).await,
            Command::Chat(chat) => chat::run(global, chat).await,
            Command::Skills(command) => exit::interruptible(skills::run(global, command)).await,
            // It ends at Ctrl-C by itself, after the batch under way.
            Command::Memory(args::Memory::Reembed) => memory::reembed(global).await,
            Command::Memory(command) => exit::interruptible(memory::run(global, command)).await,
            Command::Mcp(command) => mcp::run(global, command).await,
            Command::Backend(command) => backend::run(global, command).await,
            Command::Login(command) => login::login(global, &command).await,
            Command::Logout(command) => login::logout(global, &command).await,
            Command::Unlock(command) => exit::interruptible(unlock::unlock(global, &command)).await,
            Command::Lock => unlock::lock(global).await,
            Command::Status => exit::interruptible(status::run(global)).await,
            Command::Doctor(command) => doctor::run(global, &command).await,
            Command::Vault(command) => exit::interruptible(vault::run(global, command)).await,
            Command::Dev(command) => dev::run(global, command).await,
        }
    });
    // A thread may still wait for a line of the terminal: it must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// What these libraries write at their finer levels holds tokens, prompts, answers or keystrokes. Whatever the user's
/// filter says, they do not get further than this.
const DISCREET: [(&str, LevelFilter); 12] = [
    ("engineioxide", LevelFilter::INFO),
    ("h2", LevelFilter::INFO),
    // Also hyper_util.
    ("hyper", LevelFilter::INFO),
    ("keyring", LevelFilter::INFO),
    ("reqwest", LevelFilter::INFO),
    ("rmcp", LevelFilter::ERROR),
    ("rustyline", LevelFilter::INFO),
    ("socketioxide", LevelFilter::INFO),
    ("tokio_tungstenite", LevelFilter::INFO),
    ("tower", LevelFilter::INFO),
    ("tungstenite", LevelFilter::INFO),
    ("zbus", LevelFilter::INFO),
];

/// The target of what skills write with `console`.
const SKILL: &str = "openhuman_skills::skill";

/// Shows what skills write as lines for people: whose they are, and the text.
struct SkillLines;

impl<S: tracing::Subscriber> Layer<S> for SkillLines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != SKILL {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let style = match *event.metadata().level() {
            tracing::Level::ERROR => style::ERROR,
            tracing::Level::WARN => style::WARNING,
            _ => style::DIM,
        };
        let text = output::clean(&said.message);
        exit::tell(format_args!(
            "{style}{}{style:#}: {text}",
            output::clean_line(&said.skill)
        ));
    }
}

#[derive(Default)]
struct Said {
    skill: String,
    message: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "skill" => self.skill = format!("{value:?}"),
            "message" => self.message = format!("{value:?}"),
            _ => {}
        }
    }
}

/// Logs go to standard error; standard output is for answers.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => "info",
        _ => "debug",
    };
    // At debug, rustls tells about every root certificate of the system.
    let usual = || EnvFilter::new(format!("{level},rustls=info,rustls_platform_verifier=info"));
    let filter = match std::env::var("OPENHUMAN_LOG") {
        Err(_) => usual(),
        Ok(directives) => EnvFilter::try_new(directives).unwrap_or_else(|error| {
            exit::tell(format_args!("warning: OPENHUMAN_LOG is not usable: {error}"));
            usual()
        }),
    };
    let limits = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(DISCREET);
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colour)
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_filter(filter_fn(|event| event.target() != SKILL));
    tracing_subscriber::registry()
        .with(lines)
        .with(SkillLines)
        .with(filter)
        .with(limits)
        .init();
}
