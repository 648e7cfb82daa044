//! The conversations.

use std::path::PathBuf;

use jiff::Timestamp;
use openhuman::memory::{SessionRecord, SessionRole};
use openhuman::{Core, CoreError};
use serde_json::json;

use crate::args::Sessions;
use crate::ask::preview;
use crate::exit::{Code, Failure};
use crate::output::{self, clean, clean_line, line};
use crate::style::{BOLD, DIM, TOOL};

pub(super) async fn run(core: &Core, command: Sessions, as_json: bool) -> Result<(), Failure> {
    match command {
        Sessions::List => list(core, as_json).await,
        Sessions::Show { id } => show(core, id, as_json).await,
        Sessions::Export { id, file } => export(core, id, file, as_json).await,
        Sessions::Forget { id } => {
            let wanted = id.clone();
            if !on(core, move |core| core.forget_thread(&wanted)).await? {
                return Err(missing(&id));
            }
            match as_json {
                true => output::json(&json!({ "forgotten": id })),
                false => line("Forgotten, with what a search found of it."),
            }
        }
    }
}

async fn on<T: Send + 'static>(
    core: &Core,
    call: impl FnOnce(&Core) -> Result<T, CoreError> + Send + 'static,
) -> Result<T, Failure> {
    let core = core.clone();
    Ok(tokio::task::spawn_blocking(move || call(&core)).await??)
}

fn missing(id: &str) -> Failure {
    let message = format!(
        "there is no conversation '{}'; `openhuman memory sessions list` shows them",
        clean_line(id)
    );
    Failure::new(Code::NotFound, message)
}

fn moment(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

async fn list(core: &Core, as_json: bool) -> Result<(), Failure> {
    let threads = on(core, Core::threads).await?;
    if as_json {
        return output::json(&json!({ "sessions": threads }));
    }
    if threads.is_empty() {
        return line("There was no conversation yet. `openhuman chat` begins one.");
    }
    for thread in &threads {
        let shortened = match thread.compactions {
            0 => String::new(),
            1 => ", summed up once".to_owned(),
            times => format!(", summed up {times} times"),
        };
        line(format_args!(
            "{BOLD}{}{BOLD:#}  {}  {DIM}{}, {} messages, {} tokens{shortened}{DIM:#}",
            clean_line(&thread.id),
            preview(&thread.first),
            moment(thread.updated_ms),
            thread.messages,
            thread.tokens
        ))?;
    }
    Ok(())
}

async fn show(core: &Core, id: String, as_json: bool) -> Result<(), Failure> {
    let wanted = id.clone();
    let records = core
        .with_memory(move |memory| {
            let there = memory.session_ids()?.contains(&wanted);
            match there {
                true => memory.session(&wanted)?.read().map(Some),
                false => Ok(None),
            }
        })
        .await?;
    let records = records.ok_or_else(|| missing(&id))?;
    if as_json {
        return output::json(&json!({ "session": id, "records": records }));
    }
    records.iter().try_for_each(show_record)
}

fn show_record(record: &SessionRecord) -> Result<(), Failure> {
    match record {
        SessionRecord::Message { timestamp, message } => {
            let who = match message.role {
                SessionRole::User => "You",
                SessionRole::Assistant => "OpenHuman",
                SessionRole::Tool => "Tool",
                _ => "System",
            };
            for block in &message.content {
                let name = block.rest.get("name").and_then(|name| name.as_str());
                match (&block.text, name) {
                    (Some(text), _) if message.role == SessionRole::Tool => {
                        line(format_args!("  {DIM}{}{DIM:#}", preview(text)))?;
                    }
                    (Some(text), _) => {
                        line(format_args!(
                            "{BOLD}{who}{BOLD:#}  {DIM}{}{DIM:#}",
                            moment(*timestamp)
                        ))?;
                        line(clean(text))?;
                    }
                    (None, Some(name)) => line(format_args!("  {TOOL}{}{TOOL:#}", clean_line(name)))?,
                    (None, None) => {}
                }
            }
            Ok(())
        }
        SessionRecord::Compaction { summary, .. } => {
            line(format_args!("{DIM}What came before is summed up as:"))?;
            line(format_args!("{}{DIM:#}", clean(summary)))
        }
        _ => Ok(()),
    }
}

async fn export(core: &Core, id: String, file: Option<PathBuf>, as_json: bool) -> Result<(), Failure> {
    let wanted = id.clone();
    let lines = on(core, move |core| {
        let mut lines = Vec::new();
        Ok(core.export_thread(&wanted, &mut lines)?.then_some(lines))
    });
    let lines = lines.await?.ok_or_else(|| missing(&id))?;
    let Some(file) = file else {
        // For another program: as it is.
        return output::piece(&String::from_utf8_lossy(&lines));
    };
    super::write_new(&file, &lines)?;
    let noted = std::path::absolute(&file).unwrap_or_else(|_| file.clone());
    core.with_memory(move |memory| memory.note_backup(&noted)).await?;
    match as_json {
        true => output::json(&json!({ "file": file })),
        false => line(format_args!("Wrote {}, plain and readable.", file.display())),
    }
}
