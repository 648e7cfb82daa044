//! `openhuman memory`.

mod embedder;
mod forget;
mod graph;
mod profile;
mod search;
mod sessions;

use std::path::PathBuf;

use openhuman::Core;
use openhuman::memory::Reembedded;
use serde_json::{Value, json};

pub(crate) use self::search::show_hit;
use crate::args::{Global, Memory};
use crate::exit::{Code, Failure, tell};
use crate::output::{self, clean_line, line};
use crate::session;
use crate::style::{BOLD, DIM, ERROR, GOOD, WARNING};

/// A core for work that needs no skill: a slow one should not be waited for.
async fn core(global: &Global) -> Result<Core, Failure> {
    let home = session::home(global)?;
    let vault = session::vault(global, &home).await?;
    Ok(Core::builder(home, vault).start_skills(false).build().await?)
}

pub(crate) async fn run(global: &Global, command: Memory) -> Result<(), Failure> {
    let core = core(global).await?;
    let outcome = carry_out(global, &core, command).await;
    core.close().await;
    outcome
}

async fn carry_out(global: &Global, core: &Core, command: Memory) -> Result<(), Failure> {
    let as_json = global.json;
    match command {
        Memory::Add { paths } => add(core, paths, as_json).await,
        Memory::Search {
            query,
            limit,
            namespace,
            explain,
        } => search::search(core, &query.join(" "), limit.into(), namespace, explain, as_json).await,
        Memory::Context {
            question,
            tokens,
            explain,
        } => search::context(core, &question.join(" "), tokens.into(), explain, as_json).await,
        Memory::List { namespace } => list(core, namespace, as_json).await,
        Memory::Forget {
            what,
            delete_backups,
            yes,
        } => forget::forget(core, what, delete_backups, yes, as_json).await,
        Memory::Backups { delete } => forget::backups(core, delete, as_json).await,
        Memory::Profile(command) => profile::run(core, command, as_json).await,
        Memory::Graph(command) => graph::run(core, command, as_json).await,
        Memory::Sessions(command) => sessions::run(core, command, as_json).await,
        Memory::Embedder(command) => embedder::run(core, command, as_json).await,
        Memory::Reembed => reembed_with(core, as_json).await,
        Memory::Check => check(core, as_json).await,
        Memory::Export { dir } => export(core, dir, as_json).await,
    }
}

/// Computes all vectors anew. Ctrl-C stops it after the batch under way.
pub(crate) async fn reembed(global: &Global) -> Result<(), Failure> {
    let core = core(global).await?;
    let outcome = reembed_with(&core, global.json).await;
    core.close().await;
    outcome
}

async fn reembed_with(core: &Core, as_json: bool) -> Result<(), Failure> {
    let stopped = crate::exit::stop_signal()?;
    let stop = openhuman::CancellationToken::new();
    let told = stop.clone();
    let waiting = tokio::spawn(async move {
        stopped.await;
        told.cancel();
    });
    let asked = stop.clone();
    let outcome = core
        .reembed(move |progress| {
            if as_json {
                // A reader that went away is told of by the last line.
                let _ = output::json(&json!({ "done": progress.done, "total": progress.total }));
            } else {
                tell(format_args!(
                    "{DIM}{} of {} passages{DIM:#}",
                    progress.done, progress.total
                ));
            }
            !asked.is_cancelled()
        })
        .await;
    waiting.abort();
    let space = core.with_memory(|memory| Ok(memory.space())).await?;
    match outcome? {
        Reembedded::Complete if as_json => output::json(&json!({ "complete": true, "space": space })),
        Reembedded::Complete => line(format_args!("All vectors are of {space}.")),
        _ => Err(Failure::new(
            Code::Interrupted,
            "stopped; what was computed is kept, and `openhuman memory reembed` goes on with it",
        )),
    }
}

async fn add(core: &Core, paths: Vec<PathBuf>, as_json: bool) -> Result<(), Failure> {
    let (mut files, mut chunks, mut embedded, mut learned, mut skipped) = (0, 0, 0, 0, Vec::new());
    for path in paths {
        if !path.exists() {
            let message = format!(
                "{} does not exist; what came before it is remembered",
                path.display()
            );
            return Err(Failure::new(Code::NotFound, message));
        }
        let report = core.import(&path).await?;
        files += report.files;
        chunks += report.chunks;
        embedded += report.embedded;
        learned += report.learned;
        skipped.extend(report.skipped);
    }
    if as_json {
        let skipped: Vec<Value> = skipped
            .iter()
            .map(|(path, reason)| json!({ "path": path, "reason": reason }))
            .collect();
        output::json(&json!({
            "files": files, "chunks": chunks, "embedded": embedded, "learned": learned, "skipped": skipped,
        }))?;
    } else {
        for (path, reason) in &skipped {
            let path = clean_line(&path.display().to_string());
            anstream::eprintln!("{ERROR}skipped{ERROR:#} {path}: {reason}");
        }
        if files > 0 {
            let (remembered, passages) = (counted(files, "file"), counted(chunks, "passage"));
            line(format_args!(
                "Remembered {remembered} in {passages}, {embedded} of them new or changed."
            ))?;
            if !skipped.is_empty() {
                let left = counted(skipped.len(), "file");
                line(format_args!("{left} could not be used; see above."))?;
            }
        }
    }
    match (files, skipped.len()) {
        (0, 0) => Err(Failure::new(
            Code::NotFound,
            "no Markdown or text file was found there; files end in .md, .markdown, .txt or .text",
        )),
        (0, skipped) => {
            let message = format!(
                "nothing was remembered: {} could not be used",
                counted(skipped, "file")
            );
            Err(Failure::new(Code::Failed, message))
        }
        _ => Ok(()),
    }
}

/// A number of things, in words.
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

async fn list(core: &Core, namespace: Option<String>, as_json: bool) -> Result<(), Failure> {
    let documents = core
        .with_memory(move |memory| memory.documents(namespace.as_deref()))
        .await?;
    if as_json {
        return output::json(&json!({ "documents": documents }));
    }
    if documents.is_empty() {
        return line("Nothing is remembered yet. Add a folder with `openhuman memory add DIR`.");
    }
    for document in &documents {
        let title = match document.title.as_str() {
            "" => clean_line(&document.key),
            title => clean_line(title),
        };
        let source = clean_line(&document.source);
        line(format_args!(
            "{DIM}{}{DIM:#}  {BOLD}{title}{BOLD:#}  {DIM}{source}{DIM:#}",
            document.id
        ))?;
    }
    Ok(())
}

async fn check(core: &Core, as_json: bool) -> Result<(), Failure> {
    let health = core.check_memory().await?;
    if as_json {
        output::json(&json!({ "sound": health.is_sound(), "memory": health }))?;
    } else {
        let stats = &health.stats;
        line(format_args!(
            "{} in {}, {}, {} KB.",
            counted(usize::try_from(stats.documents).unwrap_or(usize::MAX), "document"),
            counted(usize::try_from(stats.chunks).unwrap_or(usize::MAX), "passage"),
            counted(
                usize::try_from(stats.sessions).unwrap_or(usize::MAX),
                "conversation"
            ),
            stats.database_bytes.div_ceil(1000)
        ))?;
        match &health.damage {
            None => line(format_args!(
                "{GOOD}Documents, words and vectors belong together.{GOOD:#}"
            ))?,
            Some(damage) => line(format_args!(
                "{ERROR}It is damaged: {damage}. Put it back from a backup.{ERROR:#}"
            ))?,
        }
        embedder::show(&health.embedding)?;
        if !health.outdated_backups.is_empty() {
            let copies = match health.outdated_backups.len() {
                1 => "A copy from before still holds".to_owned(),
                count => format!("{count} copies from before still hold"),
            };
            line(format_args!(
                "{WARNING}{copies} what was forgotten: `openhuman memory backups` lists them.{WARNING:#}"
            ))?;
        }
    }
    match health.damage {
        None => Ok(()),
        Some(_) => Err(Failure::shown(Code::Failed)),
    }
}

async fn export(core: &Core, dir: PathBuf, as_json: bool) -> Result<(), Failure> {
    let files = core.export_plain(&dir).await?;
    if as_json {
        return output::json(&json!({ "files": files }));
    }
    line("Wrote plain, readable copies; delete them when you are done:")?;
    files
        .iter()
        .try_for_each(|file| line(format_args!("  {}", file.display())))
}

/// Writes a file that must not be there yet, readable by its owner only where the platform has such a notion.
fn write_new(file: &std::path::Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| Failure::new(Code::Failed, format!("cannot write {}: {error}", file.display())))
}
