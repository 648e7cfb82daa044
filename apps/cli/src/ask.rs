//! `openhuman ask`: one question, one answer.

use std::io::{self, IsTerminal, Read};

use futures_util::StreamExt;
use openhuman::{CancellationToken, ChatEvent, Core, Credential, Route};

use crate::args::{Ask, Global};
use crate::exit::{self, Code, Failure};
use crate::output;
use crate::session;
use crate::style::{DIM, ERROR, TOOL};

/// The most text that is read from standard input.
const LONGEST_INPUT: u64 = 1024 * 1024;

/// How much of a tool's result is shown.
const PREVIEW: usize = 160;

pub(crate) async fn run(global: &Global, ask: Ask) -> Result<(), Failure> {
    let prompt = prompt(&ask.prompt.join(" "))?;
    let login = session::login(&ask.backend);
    let core = session::core(global).await?;
    let thread = match ask.thread {
        Some(thread) => thread,
        None => format!("ask-{}", jiff::Timestamp::now().as_millisecond()),
    };
    let outcome = async {
        let route = route(&core, login).await?;
        answer(&core, &thread, prompt, route, global.json).await
    }
    .await;
    core.close().await;
    outcome
}

/// Connects when a backend was named. Ctrl-C gives the attempt up.
pub(crate) async fn route(core: &Core, login: Option<(String, Credential)>) -> Result<Route, Failure> {
    let Some((url, credential)) = login else {
        return Ok(Route::Local);
    };
    exit::interruptible(async { Ok(core.connect(&url, &credential).await?) }).await?;
    Ok(Route::Backend)
}

/// The words of the command line, and what is piped in. Of a standard input that carried a secret, the first line is
/// gone by now.
fn prompt(words: &str) -> Result<String, Failure> {
    let mut piped = String::new();
    if !io::stdin().is_terminal() {
        let read = io::stdin()
            .lock()
            .take(LONGEST_INPUT + 1)
            .read_to_string(&mut piped);
        read.map_err(|error| Failure::new(Code::Usage, format!("standard input is not text: {error}")))?;
        if piped.len() as u64 > LONGEST_INPUT {
            let message = format!(
                "standard input is longer than {LONGEST_INPUT} bytes; add it with `memory add` instead"
            );
            return Err(Failure::new(Code::Usage, message));
        }
    }
    let piped = piped.trim();
    match (words.trim(), piped) {
        ("", "") => Err(Failure::new(
            Code::Usage,
            "there is no question; give it as an argument or pipe it in",
        )),
        ("", piped) => Ok(piped.to_owned()),
        (words, "") => Ok(words.to_owned()),
        (words, piped) => Ok(format!("{words}\n\n{piped}")),
    }
}

/// Streams one answer to standard output; what the assistant does meanwhile goes to standard error.
pub(crate) async fn answer(
    core: &Core,
    thread: &str,
    prompt: String,
    route: Route,
    as_json: bool,
) -> Result<(), Failure> {
    let cancel = CancellationToken::new();
    let mut events = core.chat(thread, prompt, route, &cancel);
    let mut printed = String::new();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => {
                cancel.cancel();
                continue;
            }
        };
        let Some(event) = event else {
            return Err(Failure::new(
                Code::Failed,
                "the turn ended without an answer; ask again",
            ));
        };
        if as_json {
            // A failure is an error object on standard error, like every other command's.
            if !matches!(event, ChatEvent::Error { .. }) {
                output::json(&event)?;
            }
        } else {
            show(&event, &mut printed)?;
        }
        match event {
            ChatEvent::Done { .. } => return Ok(()),
            ChatEvent::Error { message, error_type } => {
                return Err(Failure::new(Code::of_chat(&error_type), message));
            }
            _ => {}
        }
    }
}

fn show(event: &ChatEvent, printed: &mut String) -> Result<(), Failure> {
    match event {
        ChatEvent::Delta { delta } => {
            printed.push_str(delta);
            output::piece(&output::clean(delta))?;
        }
        ChatEvent::ToolCall { name, args, .. } => {
            exit::tell(format_args!(
                "{TOOL}{name}{TOOL:#} {DIM}{}{DIM:#}",
                preview(&args.to_string())
            ));
        }
        ChatEvent::ToolResult {
            name,
            output,
            success,
            millis,
            ..
        } => {
            let time = millis.map_or_else(String::new, |millis| format!(" {millis} ms"));
            let style = if *success { DIM } else { ERROR };
            exit::tell(format_args!("{style}{name}{time}: {}{style:#}", preview(output)));
        }
        ChatEvent::Notice { message } => exit::tell(format_args!("{ERROR}note:{ERROR:#} {message}")),
        // A model that does not stream has printed nothing yet.
        ChatEvent::Done { answer } if printed.is_empty() => {
            output::piece(&format!("{}\n", output::clean(answer)))?;
        }
        ChatEvent::Done { .. } => output::piece("\n")?,
        ChatEvent::Error { .. } if !printed.is_empty() => output::piece("\n")?,
        _ => {}
    }
    Ok(())
}

/// The first part of a text, on one line.
pub(crate) fn preview(text: &str) -> String {
    let line = output::clean_line(text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(PREVIEW) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_line_and_cuts_between_characters() {
        assert_eq!(preview("a\n  b\u{1b}[2J"), "a b [2J");
        let long = "é".repeat(PREVIEW + 5);
        assert_eq!(preview(&long), format!("{}…", "é".repeat(PREVIEW)));
    }
}
