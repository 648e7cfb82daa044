//! `openhuman memory`.

use std::path::PathBuf;

use openhuman::Core;
use openhuman::memory::{Hit, Query};
use serde_json::{Value, json};

use crate::args::{Global, Memory};
use crate::ask::preview;
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::session;
use crate::style::{BOLD, DIM, ERROR};

pub(crate) async fn run(global: &Global, command: Memory) -> Result<(), Failure> {
    let home = session::home(global)?;
    let vault = session::vault(global, &home).await?;
    // No skill is needed here, and a slow one should not be waited for.
    let core = Core::builder(home, vault).start_skills(false).build().await?;
    let outcome = match command {
        Memory::Add { paths } => add(&core, paths, global.json).await,
        Memory::Search {
            query,
            limit,
            explain,
        } => search(&core, &query.join(" "), limit.into(), explain, global.json).await,
        Memory::List => list(&core, global.json).await,
        Memory::Forget { id } => forget(&core, id, global.json).await,
        Memory::Export { dir } => export(&core, dir, global.json).await,
    };
    core.close().await;
    outcome
}

async fn add(core: &Core, paths: Vec<PathBuf>, as_json: bool) -> Result<(), Failure> {
    let (mut files, mut chunks, mut embedded, mut skipped) = (0, 0, 0, Vec::new());
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
        skipped.extend(report.skipped);
    }
    if as_json {
        let skipped: Vec<Value> = skipped
            .iter()
            .map(|(path, reason)| json!({ "path": path, "reason": reason }))
            .collect();
        output::json(&json!({ "files": files, "chunks": chunks, "embedded": embedded, "skipped": skipped }))?;
    } else {
        for (path, reason) in &skipped {
            let path = clean_line(&path.display().to_string());
            anstream::eprintln!("{ERROR}skipped{ERROR:#} {path}: {reason}");
        }
        if files > 0 {
            let (files, chunks) = (counted(files, "file"), counted(chunks, "passage"));
            line(format_args!(
                "Remembered {files} in {chunks}, {embedded} of them new or changed."
            ))?;
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

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

async fn search(core: &Core, words: &str, limit: usize, explain: bool, as_json: bool) -> Result<(), Failure> {
    if !words.chars().any(char::is_alphanumeric) {
        return Err(Failure::new(
            Code::Usage,
            "there is nothing to look for; give at least one word",
        ));
    }
    let query = Query {
        limit,
        ..Query::new(words)
    };
    let hits = core.with_memory(move |memory| memory.search(&query)).await?;
    if as_json {
        let hits: Vec<Value> = hits.iter().map(as_value).collect();
        return output::json(&json!({ "hits": hits }));
    }
    if hits.is_empty() {
        return line("Nothing in the memory fits.");
    }
    for hit in &hits {
        show_hit(hit)?;
        if explain {
            let signals = &hit.signals;
            line(format_args!(
                "  {DIM}score {:.3}: meaning counts 0.7 (cosine {:.3}, z {:.2}), words 0.3 (bm25 {:.2}, z {:.2}, {} terms){DIM:#}",
                hit.score,
                signals.vector,
                signals.vector_z,
                signals.text,
                signals.text_z,
                signals.matched_terms
            ))?;
        }
    }
    Ok(())
}

fn as_value(hit: &Hit) -> Value {
    json!({
        "document_id": hit.document_id,
        "title": hit.title,
        "source": hit.source,
        "heading": hit.heading,
        "text": hit.text,
        "start": hit.range.start,
        "end": hit.range.end,
        "score": hit.score,
        "signals": {
            "vector": hit.signals.vector,
            "text": hit.signals.text,
            "vector_z": hit.signals.vector_z,
            "text_z": hit.signals.text_z,
            "matched_terms": hit.signals.matched_terms,
        },
    })
}

/// One passage: its title, where it is from, and how it begins.
pub(crate) fn show_hit(hit: &Hit) -> Result<(), Failure> {
    let source = if hit.source.is_empty() {
        &hit.key
    } else {
        &hit.source
    };
    let (title, source) = (clean_line(&hit.title), clean_line(source));
    line(format_args!("{BOLD}{title}{BOLD:#}  {DIM}{source}{DIM:#}"))?;
    line(format_args!("  {}", preview(&hit.text)))
}

async fn list(core: &Core, as_json: bool) -> Result<(), Failure> {
    let documents = core.with_memory(|memory| memory.documents(None)).await?;
    if as_json {
        return output::json(&json!({ "documents": documents }));
    }
    if documents.is_empty() {
        return line("Nothing is remembered yet. Add a folder with `openhuman memory add DIR`.");
    }
    for document in &documents {
        let (title, source) = (clean_line(&document.title), clean_line(&document.source));
        line(format_args!(
            "{DIM}{}{DIM:#}  {BOLD}{title}{BOLD:#}  {DIM}{source}{DIM:#}",
            document.id
        ))?;
    }
    Ok(())
}

async fn forget(core: &Core, id: String, as_json: bool) -> Result<(), Failure> {
    let wanted = id.clone();
    if !core.with_memory(move |memory| memory.forget(&wanted)).await? {
        let message = format!("there is no document '{id}'; `openhuman memory list` shows the ids");
        return Err(Failure::new(Code::NotFound, message));
    }
    if as_json {
        output::json(&json!({ "forgotten": id }))
    } else {
        line("Forgotten.")
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
