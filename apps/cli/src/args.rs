//! The command line.

mod memory;
mod skills;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::memory::{Embedder, Forgotten, Graph, Kind, Memory, Profile, Sessions};
pub(crate) use self::skills::{FromRegistry, LeftBehind, Skills};
use crate::descriptors::Secret;
pub(crate) use crate::mcp::Mcp;

#[derive(Parser)]
#[command(
    name = "openhuman",
    version,
    about = "An assistant with hands and a memory, on your own machine",
    after_help = "Exit codes: 0 ok (also when the reader of the output went away), 1 failed, 2 usage, 3 not found \
                  (a skill, tool, schedule, option or document that is not there), 4 locked, 5 denied, 6 unavailable, \
                  7 timeout, 130 interrupted.\n\nTry `openhuman demo` first: it needs no key, no account and no network."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args)]
pub(crate) struct Global {
    /// The directory of the vault, the memory and the skills [default: the platform's data directory].
    #[arg(long, global = true, env = "OPENHUMAN_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Another directory of skill packages.
    #[arg(long, global = true, env = "OPENHUMAN_SKILLS_DIR", value_name = "DIR")]
    pub(crate) skills_dir: Vec<PathBuf>,
    /// Read the vault's password from this file descriptor, up to the first line end.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) password_fd: Option<u32>,
    /// What was read from `password_fd`.
    #[arg(skip)]
    pub(crate) password: Option<Secret>,
    /// Print JSON: one value, or one value a line for streams.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on standard error; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the main job end to end, offline, in a temporary home.
    Demo(Demo),
    /// Ask one question. Text piped in is the question, or context for it.
    #[command(
        after_help = "Examples:\n  openhuman ask \"What did I note about staking?\"\n  cat report.md | openhuman ask \"Summarise this\""
    )]
    Ask(Ask),
    /// Talk to the assistant.
    Chat(Chat),
    /// Skills: JavaScript tools that run confined.
    #[command(subcommand)]
    Skills(Skills),
    /// The encrypted memory.
    #[command(subcommand)]
    Memory(Memory),
    /// The Model Context Protocol: your skills for any AI client.
    #[command(subcommand)]
    Mcp(Mcp),
    /// The backend that hosts a model for desktops.
    #[command(subcommand)]
    Backend(Backend),
    /// Log in at a backend, once: the session is kept in the vault.
    Login(crate::login::Login),
    /// Forget the session at a backend.
    Logout(crate::login::Logout),
    /// Leave the vault open for a while, so that no command asks for the password.
    Unlock(crate::unlock::Unlock),
    /// End what `unlock` began.
    Lock,
    /// Say what there is, at a glance. Asks for nothing and reaches nobody.
    Status,
    /// Look at every part, and say what is wrong and what to do.
    Doctor(crate::doctor::Doctor),
    /// The vault that holds the keys.
    #[command(subcommand)]
    Vault(crate::vault::Command),
    /// Tools for developing OpenHuman itself.
    #[command(subcommand, hide = true)]
    Dev(Dev),
}

#[derive(Args)]
pub(crate) struct Demo {
    /// Use the model of OPENAI_API_KEY / OPENAI_BASE_URL / OPENAI_MODEL instead of the scripted one.
    #[arg(long)]
    pub(crate) live: bool,
    /// Break one tool on purpose, to see that the checks notice.
    #[arg(long, hide = true, value_name = "SKILL")]
    pub(crate) r#break: Option<crate::demo::Breakable>,
}

#[derive(Args)]
pub(crate) struct Ask {
    /// The question. Without it, standard input is read.
    pub(crate) prompt: Vec<String>,
    /// Continue this conversation [default: a new one].
    #[arg(short, long, value_name = "NAME")]
    pub(crate) thread: Option<String>,
    #[command(flatten)]
    pub(crate) backend: BackendLogin,
}

#[derive(Args)]
pub(crate) struct Chat {
    /// Continue this conversation.
    #[arg(short, long, value_name = "NAME", default_value = "terminal")]
    pub(crate) thread: String,
    #[command(flatten)]
    pub(crate) backend: BackendLogin,
}

#[derive(Args)]
pub(crate) struct BackendLogin {
    /// Let this backend's model answer, with the session of an earlier `openhuman login`.
    #[arg(long, value_name = "URL", value_parser = backend_url)]
    pub(crate) backend: Option<String>,
    /// Log in first, with the login token from this file descriptor, up to the first line end. The password comes first
    /// where both are read from one descriptor.
    #[arg(long, value_name = "N", requires = "backend")]
    pub(crate) login_token_fd: Option<u32>,
    /// What was read from `login_token_fd`.
    #[arg(skip)]
    pub(crate) login_token: Option<Secret>,
}

#[derive(Subcommand)]
pub(crate) enum Backend {
    /// Run a backend; it prints its address and a login token for one desktop.
    Run {
        /// Where to listen. Other than loopback addresses belong behind a TLS proxy.
        #[arg(long, default_value = "127.0.0.1:8787", value_name = "HOST:PORT", value_parser = listen_address)]
        listen: String,
        /// Whom the printed login token is for.
        #[arg(long, default_value = "desktop", value_name = "NAME")]
        user: String,
        /// Read the codes of devices from standard input, one a line, and print a login link for each. At a terminal this
        /// is always so.
        #[arg(long)]
        answer_codes: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum Dev {
    /// Serve a scripted model that speaks the OpenAI wire format; prints its base URL.
    Llm {
        /// The script, JSON [default: the demo's].
        #[arg(long, value_name = "FILE")]
        script: Option<PathBuf>,
    },
    /// Measure the core: ready time, tool calls through the socket, memory in use.
    BenchCore,
}

/// Refuses what can be no address of a backend before a password is asked for.
pub(crate) fn backend_url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    match host {
        Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => Ok(text.to_owned()),
        _ => Err("write it as https://host or http://127.0.0.1:port".to_owned()),
    }
}

fn listen_address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("write it as host:port, for example 127.0.0.1:8787; port 0 takes a free one".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_for_their_form() {
        for good in ["http://127.0.0.1:80", "https://host/path", "http://[::1]:80"] {
            backend_url(good).unwrap();
        }
        for bad in [
            "nonsense",
            "host:80",
            "ftp://host",
            "http://",
            "http:///path",
            "http://a b",
        ] {
            backend_url(bad).unwrap_err();
        }
        for good in ["127.0.0.1:0", "[::1]:80", "localhost:8787"] {
            listen_address(good).unwrap();
        }
        for bad in ["foo", ":80", "host:", "host:65536"] {
            listen_address(bad).unwrap_err();
        }
    }
}
