//! Looking for something, and what the assistant would be told.

use openhuman::memory::{Hit, Query, Signals};
use openhuman::{Core, Recollection};
use serde_json::{Value, json};

use crate::ask::preview;
use crate::exit::{Code, Failure};
use crate::output::{self, clean, clean_line, line};
use crate::style::{BOLD, DIM};

/// Words that can be looked for.
fn usable(words: &str) -> Result<(), Failure> {
    if words.chars().any(char::is_alphanumeric) {
        return Ok(());
    }
    Err(Failure::new(
        Code::Usage,
        "there is nothing to look for; give at least one word",
    ))
}

pub(super) async fn search(
    core: &Core,
    words: &str,
    limit: usize,
    namespace: Option<String>,
    explain: bool,
    as_json: bool,
) -> Result<(), Failure> {
    usable(words)?;
    let query = Query {
        limit,
        namespace,
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
            line(format_args!("  {DIM}{}{DIM:#}", explained(hit)))?;
        }
    }
    Ok(())
}

fn as_value(hit: &Hit) -> Value {
    json!({
        "document_id": hit.document_id,
        "namespace": hit.namespace,
        "title": hit.title,
        "source": hit.source,
        "heading": hit.heading,
        "text": hit.text,
        "start": hit.range.start,
        "end": hit.range.end,
        "score": hit.score,
        "signals": hit.signals,
    })
}

/// Why a passage was found, in words.
fn explained(hit: &Hit) -> String {
    let Signals {
        vector,
        text,
        vector_z,
        text_z,
        matched_terms,
        structure,
        ..
    } = hit.signals;
    let words = match matched_terms {
        1 => "1 word of the question".to_owned(),
        count => format!("{count} words of the question"),
    };
    format!(
        "score {:.3}: meaning cosine {vector:.3} (z {vector_z:.2}, counts 0.7), {words} bm25 {text:.2} (z {text_z:.2}, \
         counts 0.3), structure {:+.2} (its document {:+.2}, speaker {:+.2}, rare words {:+.2}, kind {:+.2})",
        hit.score,
        structure.sum(),
        structure.document,
        structure.speaker,
        structure.coverage,
        structure.shape
    )
}

/// One passage: its title, where it is from, and how it begins.
pub(crate) fn show_hit(hit: &Hit) -> Result<(), Failure> {
    let or_key = |text: &str| clean_line(if text.is_empty() { &hit.key } else { text });
    let (title, source) = (or_key(&hit.title), or_key(&hit.source));
    line(format_args!("{BOLD}{title}{BOLD:#}  {DIM}{source}{DIM:#}"))?;
    line(format_args!("  {}", preview(&hit.text)))
}

/// Shows what a turn would be told.
pub(super) async fn context(
    core: &Core,
    question: &str,
    tokens: usize,
    explain: bool,
    as_json: bool,
) -> Result<(), Failure> {
    usable(question)?;
    let mut recalled = core.recall(question, tokens).await?;
    if as_json {
        if !explain {
            recalled.found.clear();
        }
        return output::json(&recalled);
    }
    if recalled.text.is_empty() {
        line("Nothing in the memory has to do with it.")?;
    } else {
        // Without the marks that keep it from being remembered again.
        let text = recalled
            .text
            .lines()
            .filter(|line| !line.ends_with("recalled-memory>"));
        text.map(clean).try_for_each(line)?;
        line(format_args!("\n{BOLD}Sources{BOLD:#}"))?;
        for passage in &recalled.passages {
            line(format_args!(
                "[{}] {}  {DIM}{}{DIM:#}",
                passage.number,
                clean_line(&passage.title),
                clean_line(&passage.source)
            ))?;
        }
        line(format_args!("{DIM}{} of {tokens} tokens{DIM:#}", recalled.tokens))?;
    }
    if explain {
        why(&recalled)?;
    }
    Ok(())
}

fn why(recalled: &Recollection) -> Result<(), Failure> {
    line(format_args!("\n{BOLD}What was found{BOLD:#}"))?;
    for found in &recalled.found {
        show_hit(&found.hit)?;
        let left_out = match found.related {
            true => "",
            false => "left out, it has nothing to do with the question; ",
        };
        line(format_args!("  {DIM}{left_out}{}{DIM:#}", explained(&found.hit)))?;
    }
    Ok(())
}
