//! `openhuman memory`.

use std::path::PathBuf;

use openhuman::Core;
use openhuman::memory::{Hit, Query};
use serde_json::{Value, json};

use crate::args::{Global, Memory};
use crate::ask::preview;
use crate::exit::{Code, Failure};
use crate::session;
use crate::style::{BOLD, DIM, ERROR};

pub(crate) async fn run(global: &Global, command: Memory) -> Result<(), Failure> {
    let core = session::core(global).await?;
    let outcome = match command {
        Memory::Add { paths } => add(&core, paths, global.json).await,
        Memory::Search {
            query,
            limit,
            explain,
        } => search(&core, &query.join(" "), limit.into(), explain, global.json).await,
        Memory::List => list(&core, global.json).await,
        Memory::Forget { id } => forget(&core, id).await,
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
    for (path, reason) in &skipped {
        anstream::eprintln!("{ERROR}skipped{ERROR:#} {}: {reason}", path.display());
    }
    if as_json {
        let skipped: Vec<Value> = skipped
            .iter()
            .map(|(path, reason)| json!({ "path": path, "reason": reason }))
            .collect();
        let report = json!({ "files": files, "chunks": chunks, "embedded": embedded, "skipped": skipped });
        println!("{report}");
    } else {
        println!("Remembered {files} files in {chunks} passages, {embedded} of them new or changed.");
    }
    if files == 0 {
        let message = "no Markdown or text file was found there; files end in .md, .markdown, .txt or .text";
        return Err(Failure::new(Code::NotFound, message));
    }
    Ok(())
}

async fn search(core: &Core, words: &str, limit: usize, explain: bool, as_json: bool) -> Result<(), Failure> {
    let query = Query {
        limit,
        ..Query::new(words)
    };
    let hits = core.with_memory(move |memory| memory.search(&query)).await?;
    if as_json {
        let hits: Vec<Value> = hits.iter().map(as_value).collect();
        println!("{}", json!({ "hits": hits }));
        return Ok(());
    }
    if hits.is_empty() {
        println!("Nothing in the memory fits.");
    }
    for hit in &hits {
        show_hit(hit);
        if explain {
            let signals = &hit.signals;
            anstream::println!(
                "  {DIM}score {:.3} = 0.7 × meaning (cosine {:.3}, z {:.2}) + 0.3 × words (bm25 {:.2}, z {:.2}, {} terms){DIM:#}",
                hit.score,
                signals.vector,
                signals.vector_z,
                signals.text,
                signals.text_z,
                signals.matched_terms
            );
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

pub(crate) fn show_hit(hit: &Hit) {
    let source = if hit.source.is_empty() {
        &hit.key
    } else {
        &hit.source
    };
    anstream::println!("{BOLD}{}{BOLD:#}  {DIM}{source}{DIM:#}", hit.title);
    println!("  {}", preview(&hit.text));
}

async fn list(core: &Core, as_json: bool) -> Result<(), Failure> {
    let documents = core.with_memory(|memory| memory.documents(None)).await?;
    if as_json {
        println!("{}", json!({ "documents": documents }));
        return Ok(());
    }
    for document in &documents {
        anstream::println!(
            "{DIM}{}{DIM:#}  {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}",
            document.id,
            document.title,
            document.source
        );
    }
    if documents.is_empty() {
        println!("Nothing is remembered yet. Add a folder with `openhuman memory add DIR`.");
    }
    Ok(())
}

async fn forget(core: &Core, id: String) -> Result<(), Failure> {
    let wanted = id.clone();
    if core.with_memory(move |memory| memory.forget(&wanted)).await? {
        println!("Forgotten.");
        Ok(())
    } else {
        Err(Failure::new(
            Code::NotFound,
            format!("there is no document '{id}'; `openhuman memory list` shows the ids"),
        ))
    }
}

async fn export(core: &Core, dir: PathBuf, as_json: bool) -> Result<(), Failure> {
    let files = core.export_plain(&dir).await?;
    if as_json {
        println!("{}", json!({ "files": files }));
    } else {
        println!("Wrote plain, readable copies; delete them when you are done:");
        files.iter().for_each(|file| println!("  {}", file.display()));
    }
    Ok(())
}
