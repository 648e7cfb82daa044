//! `openhuman backend run`.

use std::io::IsTerminal;
use std::sync::Arc;

use openhuman::agent::openai::OpenAiModel;
use openhuman::model_from_env;
use openhuman_backend::{Backend as Server, BackendError, RunningBackend, SqliteTokenStore};
use serde_json::json;

use crate::args::{Backend, Global};
use crate::exit::{Code, Failure};
use crate::style::{BOLD, DIM};

pub(crate) async fn run(global: &Global, command: Backend) -> Result<(), Failure> {
    let Backend::Run { listen, user } = command;
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
    let running = Server::builder()
        .model(Arc::new(model))
        .token_store(tokens)
        .start(&listen)
        .await?;
    announce(&running, &user, &config.model, global.json)?;
    wait(&running, &user, global.json).await?;
    running.shutdown().await;
    Ok(())
}

fn announce(running: &RunningBackend, user: &str, model: &str, as_json: bool) -> Result<(), Failure> {
    let token = running
        .issue_login_token(user)
        .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    if as_json {
        println!(
            "{}",
            json!({ "url": running.url(), "user": user, "login_token": token.expose(), "expires_in_s": 300 })
        );
    } else {
        anstream::println!("{BOLD}{}{BOLD:#}  {DIM}with {model}{DIM:#}", running.url());
        anstream::println!(
            "Login token for {user}, once, within five minutes: {}",
            token.expose()
        );
    }
    Ok(())
}

/// Runs until Ctrl-C. At a terminal, Enter makes another token.
async fn wait(running: &RunningBackend, user: &str, as_json: bool) -> Result<(), Failure> {
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        anstream::eprintln!("{DIM}Enter makes another token, Ctrl-C stops.{DIM:#}");
    }
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(tokio::io::stdin()));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            line = lines.next_line(), if interactive => match line? {
                Some(_) => {
                    let token = running.issue_login_token(user).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
                    if as_json {
                        println!("{}", json!({ "login_token": token.expose() }));
                    } else {
                        println!("{}", token.expose());
                    }
                }
                None => return Ok(()),
            },
        }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let code = match error {
            BackendError::AddressInUse { .. } | BackendError::Bind { .. } => Code::Unavailable,
            _ => Code::Failed,
        };
        Self::new(code, error.to_string())
    }
}
