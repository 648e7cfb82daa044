//! The working memory: what the assistant has at hand in every turn.

use std::path::PathBuf;

use openhuman::Core;
use openhuman::memory::working::{self, Item};
use serde_json::json;

use crate::args::{Kind, Profile};
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line, piece};
use crate::style::{BOLD, DIM, GOOD};

impl From<Kind> for working::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Preference => Self::Preference,
            Kind::Goal => Self::Goal,
            Kind::Constraint => Self::Constraint,
            Kind::Entity => Self::Entity,
        }
    }
}

pub(super) async fn run(core: &Core, command: Profile, as_json: bool) -> Result<(), Failure> {
    match command {
        Profile::List { closed } => list(core, closed, as_json).await,
        Profile::Remember { kind, text, slot } => {
            let text = text.join(" ");
            let item = core.with_memory(move |memory| {
                let slot = slot.unwrap_or_else(|| text.clone());
                memory.working().remember(kind.into(), &slot, &text, 1.0)
            });
            let item = item.await?;
            if as_json {
                return output::json(&item);
            }
            line(format_args!("It is at hand from now on, as number {}.", item.id))
        }
        Profile::Pin { id } => {
            let changed = core.with_memory(move |memory| memory.working().pin(id, true));
            changed_or(changed.await?, id, "pinned", as_json)
        }
        Profile::Unpin { id } => {
            let changed = core.with_memory(move |memory| memory.working().pin(id, false));
            changed_or(changed.await?, id, "unpinned", as_json)
        }
        Profile::Close { id } => {
            let changed = core.with_memory(move |memory| memory.working().close(id));
            changed_or(changed.await?, id, "closed", as_json)
        }
        Profile::Export { file } => export(core, file, as_json).await,
        Profile::Import { file } => {
            let text = std::fs::read_to_string(&file).map_err(|error| {
                let code = match error.kind() {
                    std::io::ErrorKind::NotFound => Code::NotFound,
                    _ => Code::Failed,
                };
                Failure::new(code, format!("cannot read {}: {error}", file.display()))
            })?;
            let changed = core
                .with_memory(move |memory| memory.working().import_markdown(&text))
                .await?;
            if as_json {
                return output::json(&json!({ "changed": changed }));
            }
            line(format_args!(
                "{} new or changed.",
                super::counted(changed, "item")
            ))
        }
    }
}

async fn list(core: &Core, closed: bool, as_json: bool) -> Result<(), Failure> {
    let items = core
        .with_memory(move |memory| memory.working().items(closed))
        .await?;
    if as_json {
        return output::json(&json!({ "items": items }));
    }
    if items.is_empty() {
        return line(
            "Nothing is at hand yet. Skills fill it when they are synced; `openhuman memory profile remember` does too.",
        );
    }
    let mut kind = None;
    for item in &items {
        if kind != Some(item.kind) {
            kind = Some(item.kind);
            line(format_args!("{BOLD}{}{BOLD:#}", item.kind.plural()))?;
        }
        show(item)?;
    }
    Ok(())
}

fn show(item: &Item) -> Result<(), Failure> {
    let pinned = match item.pinned {
        true => format!("  {GOOD}pinned{GOOD:#}"),
        false => String::new(),
    };
    let closed = match item.closed_ms {
        Some(_) => "  closed",
        None => "",
    };
    line(format_args!(
        "{:>4}  {}{pinned}  {DIM}from {}{closed}{DIM:#}",
        item.id,
        clean_line(&item.text),
        clean_line(&item.origin)
    ))
}

fn changed_or(changed: bool, id: i64, what: &str, as_json: bool) -> Result<(), Failure> {
    if !changed {
        let message =
            format!("there is no open item {id}; `openhuman memory profile list` shows the numbers");
        return Err(Failure::new(Code::NotFound, message));
    }
    match as_json {
        true => output::json(&json!({ "id": id, "change": what })),
        false => line(format_args!("Number {id} is {what}.")),
    }
}

async fn export(core: &Core, file: Option<PathBuf>, as_json: bool) -> Result<(), Failure> {
    let text = core
        .with_memory(|memory| memory.working().export_markdown())
        .await?;
    let Some(file) = file else {
        return piece(&output::clean(&text));
    };
    super::write_new(&file, text.as_bytes())?;
    let noted = std::path::absolute(&file).unwrap_or_else(|_| file.clone());
    core.with_memory(move |memory| memory.note_backup(&noted)).await?;
    match as_json {
        true => output::json(&json!({ "file": file })),
        false => line(format_args!("Wrote {}, plain and readable.", file.display())),
    }
}
