//! `openhuman chat`: the assistant on the terminal.

use openhuman::memory::Query;
use openhuman::{Core, Route};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};

use crate::args::{Chat, Global};
use crate::ask::{answer, preview, route};
use crate::exit::{Code, Failure};
use crate::output;
use crate::session;
use crate::style::{BOLD, DIM, TOOL};

const HELP: &str = "/tools          what the assistant can use
/memory WORDS   search the memory
/model          which model answers
/help           this list
/quit           leave (also Ctrl-D)";

type Lines = Editor<(), MemHistory>;

pub(crate) async fn run(global: &Global, chat: Chat) -> Result<(), Failure> {
    let login = session::login(&chat.backend);
    let core = session::core(global).await?;
    let outcome = async {
        let route = route(&core, login).await?;
        greet(&core, route);
        talk(&core, &chat.thread, route, global.json).await
    }
    .await;
    core.close().await;
    outcome
}

fn greet(core: &Core, route: Route) {
    let (model, configured) = core.model();
    match (route, configured) {
        (Route::Backend, _) => {
            anstream::eprintln!("{BOLD}OpenHuman{BOLD:#} {DIM}with the backend's model{DIM:#}");
        }
        (_, true) => anstream::eprintln!("{BOLD}OpenHuman{BOLD:#} {DIM}with {model}{DIM:#}"),
        (_, false) => anstream::eprintln!(
            "{BOLD}OpenHuman{BOLD:#} {DIM}without a model: it quotes your memory and runs tools by name. Set \
             OPENAI_BASE_URL or OPENAI_API_KEY to connect one.{DIM:#}"
        ),
    }
    anstream::eprintln!("{DIM}/help for commands, Ctrl-C stops an answer, Ctrl-D leaves{DIM:#}");
}

async fn talk(core: &Core, thread: &str, route: Route, as_json: bool) -> Result<(), Failure> {
    let unusable =
        |error: ReadlineError| Failure::new(Code::Failed, format!("cannot read from the terminal: {error}"));
    // The lines typed here are not written to disk: they belong to the sealed memory only.
    let mut lines: Option<Lines> =
        Some(Editor::with_history(Config::default(), MemHistory::new()).map_err(unusable)?);
    loop {
        let Some(mut editor) = lines.take() else {
            return Ok(());
        };
        let (editor, line) = tokio::task::spawn_blocking(move || {
            let line = editor.readline("> ");
            if let Ok(line) = &line {
                let _ = editor.add_history_entry(line);
            }
            (editor, line)
        })
        .await?;
        lines = Some(editor);
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(ReadlineError::Interrupted) => continue,
            Err(error) => return Err(unusable(error)),
        };
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => return Ok(()),
            "/help" => output::line(HELP)?,
            "/model" => output::line(model_line(core, route))?,
            "/tools" => list_tools(core)?,
            command if command == "/memory" || command.starts_with("/memory ") => {
                search(core, command.trim_start_matches("/memory")).await?;
            }
            command if command.starts_with('/') => {
                output::line(format_args!("There is no command {command}. /help lists them."))?;
            }
            prompt => {
                // One failed answer does not end the conversation.
                if let Err(failure) = answer(core, thread, prompt.to_owned(), route, as_json).await {
                    failure.report(as_json);
                }
            }
        }
    }
}

/// Which model answers, in words.
fn model_line(core: &Core, route: Route) -> String {
    match (route, core.model()) {
        (Route::Backend, _) => "the model of the backend".to_owned(),
        (_, (model, true)) => model.to_owned(),
        (_, (_, false)) => "none: the memory is quoted, and tools run by name".to_owned(),
    }
}

fn list_tools(core: &Core) -> Result<(), Failure> {
    core.hub().catalog().tools.iter().try_for_each(|tool| {
        let description = preview(&tool.description);
        output::line(format_args!(
            "{TOOL}{}{TOOL:#}  {DIM}{description}{DIM:#}",
            tool.name
        ))
    })
}

async fn search(core: &Core, words: &str) -> Result<(), Failure> {
    let words = words.trim();
    if words.is_empty() {
        return output::line("What should be looked for? Write /memory WORDS.");
    }
    let query = Query::new(words);
    match core.with_memory(move |memory| memory.search(&query)).await {
        Ok(hits) if hits.is_empty() => output::line("Nothing in the memory fits."),
        Ok(hits) => hits.iter().try_for_each(crate::memory::show_hit),
        Err(error) => {
            Failure::from(error).report(false);
            Ok(())
        }
    }
}
