//! `openhuman backend run`.

use std::io::IsTerminal;
use std::sync::Arc;

use openhuman::agent::openai::OpenAiModel;
use openhuman::model_from_env;
use openhuman::vault::tokens::Challenge;
use openhuman_backend::{Backend as Server, BackendError, RunningBackend, SqliteTokenStore};
use serde_json::json;

use crate::args::{Backend, Global};
use crate::exit::{Code, Failure, stop_signal, tell};
use crate::output;
use crate::style::{BOLD, DIM};

pub(crate) async fn run(global: &Global, command: Backend) -> Result<(), Failure> {
    let Backend::Run {
        listen,
        user,
        answer_codes,
    } = command;
    let config = model_from_env().ok_or_else(|| {
        Failure::new(
            Code::Usage,
            "a backend hosts a model, and none is configured; set OPENAI_BASE_URL (for instance \
             http://127.0.0.1:11434/v1) or OPENAI_API_KEY, and OPENAI_MODEL",
        )
    })?;
    let model =
        OpenAiModel::new(config.clone()).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    let tokens =
        SqliteTokenStore::in_memory().map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    let stop = stop_signal()?;
    let running = Server::builder()
        .model(Arc::new(model))
        .token_store(tokens)
        .start(&listen)
        .await?;
    announce(&running, &user, &config.model, global.json)?;
    let options = Answers {
        interactive: std::io::stdin().is_terminal(),
        codes: answer_codes,
        as_json: global.json,
    };
    let outcome = wait(&running, &user, options, stop).await;
    running.shutdown().await;
    outcome
}

fn announce(running: &RunningBackend, user: &str, model: &str, as_json: bool) -> Result<(), Failure> {
    let token = running.issue_login_token(user)?;
    if as_json {
        let announced =
            json!({ "url": running.url(), "user": user, "login_token": token.expose(), "expires_in_s": 300 });
        return output::json(&announced);
    }
    output::line(format_args!(
        "{BOLD}{}{BOLD:#}  {DIM}with {model}{DIM:#}",
        running.url()
    ))?;
    let token = token.expose();
    output::line(format_args!(
        "Login token for {user}, once, within five minutes: {token}"
    ))
}

/// Runs until a signal stops it. At a terminal, Enter makes another token; the code of a device makes a link for it.
async fn wait(
    running: &RunningBackend,
    user: &str,
    options: Answers,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    if options.interactive {
        tell(format_args!(
            "{DIM}Enter makes another token, the code of a device makes a link for it, Ctrl-C stops.{DIM:#}"
        ));
    }
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(tokio::io::stdin()));
    let mut reading = options.interactive || options.codes;
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            line = lines.next_line(), if reading => match line? {
                Some(line) => answer(running, user, &line, &options)?,
                None if options.interactive => return Ok(()),
                // Whoever sent codes has no more of them.
                None => reading = false,
            },
        }
    }
}

/// What is read and how it is answered.
struct Answers {
    interactive: bool,
    codes: bool,
    as_json: bool,
}

fn answer(running: &RunningBackend, user: &str, line: &str, options: &Answers) -> Result<(), Failure> {
    let line = line.trim();
    if let Some(challenge) = Challenge::parse(line) {
        let token = running.issue_login_token_for(user, &challenge)?;
        let link = format!("openhuman://auth?token={}", token.expose());
        return match options.as_json {
            true => output::json(&json!({ "login_link": link })),
            false => output::line(link),
        };
    }
    if !line.is_empty() || !options.interactive {
        tell("That is no code of a device; it has 43 letters, digits, '-' and '_'.");
        return Ok(());
    }
    let token = running.issue_login_token(user)?;
    match options.as_json {
        true => output::json(&json!({ "login_token": token.expose() })),
        false => output::line(token.expose()),
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let code = match &error {
            BackendError::InvalidUser => Code::Usage,
            BackendError::Bind { source, .. } if source.kind() == std::io::ErrorKind::InvalidInput => {
                Code::Usage
            }
            BackendError::AddressInUse { .. } | BackendError::Bind { .. } => Code::Unavailable,
            _ => Code::Failed,
        };
        Self::new(code, error.to_string())
    }
}
