//! Forgetting, and the copies that still hold what was forgotten.

use std::io::IsTerminal;
use std::path::PathBuf;

use openhuman::Core;
use openhuman::memory::forget::Forget;
use serde_json::json;

use super::counted;
use crate::args::Forgotten;
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::prompt::confirmed;
use crate::style::{BOLD, DIM, WARNING};

pub(super) async fn forget(
    core: &Core,
    what: Forgotten,
    delete_backups: bool,
    yes: bool,
    as_json: bool,
) -> Result<(), Failure> {
    let (what, shown) = match what {
        Forgotten { id: Some(id), .. } => return document(core, id, as_json).await,
        Forgotten {
            person: Some(name), ..
        } => (Forget::Person(name.clone()), format!("the person '{name}'")),
        Forgotten {
            source: Some(source), ..
        } => (Forget::Source(source.clone()), format!("the source '{source}'")),
        Forgotten {
            skill: Some(skill), ..
        } => (Forget::Skill(skill.clone()), format!("what '{skill}' told")),
        Forgotten {
            phrase: Some(phrase), ..
        } => (Forget::Phrase(phrase.clone()), format!("the words '{phrase}'")),
        _ => return Err(Failure::new(Code::Usage, "say what to forget")),
    };
    let question = format!(
        "Forget {} everywhere? It cannot be undone. [y/N] ",
        clean_line(&shown)
    );
    if !yes && !confirmed(&question)? {
        return Err(Failure::new(Code::Denied, "nothing was forgotten"));
    }
    let forgotten = core.forget(what).await?;
    let report = &forgotten.report;
    let outdated = report.backups.clone();
    let deleted = delete(core, &outdated, delete_backups, as_json).await?;
    if as_json {
        output::json(&json!({ "forgotten": forgotten, "deleted_backups": deleted }))?;
    } else {
        let counts = [
            (report.documents_removed, "document removed"),
            (report.documents_changed, "document changed"),
            (report.session_lines, "line of conversations changed"),
            (report.sessions_removed, "conversation removed"),
            (usize::try_from(report.facts).unwrap_or(usize::MAX), "fact"),
            (
                usize::try_from(report.entities).unwrap_or(usize::MAX),
                "name of the graph",
            ),
            (report.originals, "shortened text"),
            (report.working_items, "item of the working memory"),
        ];
        let told: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, thing)| plural(*count, thing))
            .collect();
        match told.is_empty() {
            true => line(format_args!("There was nothing of {}.", clean_line(&shown)))?,
            false => line(format_args!("Forgotten: {}.", told.join(", ")))?,
        }
        if let Some(facts) = forgotten.on_server {
            line(format_args!(
                "The graph server forgot {}.",
                counted(usize::try_from(facts).unwrap_or(usize::MAX), "fact")
            ))?;
        }
        if report.left.is_empty() {
            line(format_args!(
                "{DIM}A search of everything finds nothing of it.{DIM:#}"
            ))?;
        }
        still_there(&outdated, &deleted)?;
    }
    if let Some(problem) = &forgotten.server_problem {
        let message = format!("the memory forgot, and the graph server could not be told: {problem}");
        return Err(Failure::new(Code::Unavailable, message));
    }
    if !report.left.is_empty() {
        let message = format!(
            "it is still found in {}: something wrote it again; forget once more",
            report.left.join(", ")
        );
        return Err(Failure::new(Code::Failed, message));
    }
    Ok(())
}

/// A count before the first word, which gets the mark of the plural.
fn plural(count: usize, thing: &str) -> String {
    match (count, thing.split_once(' ')) {
        (1, _) => format!("1 {thing}"),
        (count, Some((first, rest)))
            if ["document", "line", "conversation", "name", "item"].contains(&first) =>
        {
            format!("{count} {first}s {rest}")
        }
        (count, _) => format!("{count} {thing}s"),
    }
}

async fn document(core: &Core, id: String, as_json: bool) -> Result<(), Failure> {
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

/// Lists, or deletes, the copies that hold something forgotten since.
pub(super) async fn backups(core: &Core, delete_them: bool, as_json: bool) -> Result<(), Failure> {
    let outdated = core
        .with_memory(openhuman::memory::Memory::outdated_backups)
        .await?;
    let deleted = match delete_them {
        true => delete(core, &outdated, true, as_json).await?,
        false => Vec::new(),
    };
    if as_json {
        return output::json(&json!({ "backups": outdated, "deleted": deleted }));
    }
    if outdated.is_empty() {
        return line("No copy that is known holds something forgotten.");
    }
    still_there(&outdated, &deleted)
}

/// Deletes copies after a yes, or without asking. Where nobody can be asked, none.
async fn delete(
    core: &Core,
    outdated: &[PathBuf],
    without_asking: bool,
    as_json: bool,
) -> Result<Vec<PathBuf>, Failure> {
    let mut deleted = Vec::new();
    if !without_asking && (as_json || !std::io::stdin().is_terminal()) {
        return Ok(deleted);
    }
    for path in outdated {
        let question = format!(
            "{} is from before and still holds it. Delete it? [y/N] ",
            clean_line(&path.display().to_string())
        );
        if without_asking || confirmed(&question)? {
            let (core, target) = (core.clone(), path.clone());
            tokio::task::spawn_blocking(move || core.delete_backup(&target)).await??;
            deleted.push(path.clone());
        }
    }
    Ok(deleted)
}

fn still_there(outdated: &[PathBuf], deleted: &[PathBuf]) -> Result<(), Failure> {
    for path in deleted {
        line(format_args!(
            "Deleted {}.",
            clean_line(&path.display().to_string())
        ))?;
    }
    let left: Vec<&PathBuf> = outdated.iter().filter(|path| !deleted.contains(path)).collect();
    if left.is_empty() {
        return Ok(());
    }
    line(format_args!(
        "{WARNING}Copies from before still hold it; `openhuman memory backups --delete` deletes them:{WARNING:#}"
    ))?;
    left.iter().try_for_each(|path| {
        line(format_args!(
            "  {BOLD}{}{BOLD:#}",
            clean_line(&path.display().to_string())
        ))
    })
}
