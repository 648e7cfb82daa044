//! The `openhuman` command: it translates arguments into calls of the `openhuman` crate, and answers into text.

#![forbid(unsafe_code)]

mod args;
mod ask;
mod backend;
mod chat;
mod demo;
mod dev;
mod exit;
mod mcp;
mod memory;
mod output;
mod session;
mod skills;
mod style;
mod vault;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::exit::{Code, Failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.global.verbose);
    let as_json = cli.global.json;
    match run(cli) {
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
            Command::Demo(demo) => demo::run(global, demo).await,
            Command::Ask(ask) => ask::run(global, ask).await,
            Command::Chat(chat) => chat::run(global, chat).await,
            Command::Skills(command) => skills::run(global, command).await,
            Command::Memory(command) => memory::run(global, command).await,
            Command::Mcp(args::Mcp::Serve) => mcp::serve(global).await,
            Command::Backend(command) => backend::run(global, command).await,
            Command::Vault(command) => vault::run(global, command).await,
            Command::Dev(command) => dev::run(global, command).await,
        }
    });
    // A thread may still wait for a line of the terminal: it must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// Logs go to standard error; standard output is for answers.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => "info",
        _ => "debug",
    };
    // rmcp writes whole messages at its debug level, and they can hold anything of the user's.
    let filter = EnvFilter::try_from_env("OPENHUMAN_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},rmcp=error")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true)
        .init();
}
