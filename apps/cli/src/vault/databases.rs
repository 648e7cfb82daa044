//! The sealed databases: whether they are the newest ones, new keys for them, and plain copies.

use std::path::PathBuf;

use openhuman::sqlite::Freshness;
use openhuman::{CoreError, DatabaseName, Home, HomeDatabases};
use serde_json::{Value, json};

use super::on;
use crate::args::Global;
use crate::exit::{Code, Failure, tell};
use crate::output::{self, line};
use crate::prompt::confirmed;
use crate::session;
use crate::style::{BOLD, DIM, ERROR, GOOD, WARNING};

/// Runs a call on the databases of the home, which no core may use meanwhile.
async fn with<T, F>(global: &Global, home: &Home, call: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce(&HomeDatabases) -> Result<T, CoreError> + Send + 'static,
{
    let vault = session::existing_vault(global, home).await?;
    let home = home.clone();
    let (_, value) = on(vault, move |vault| call(&home.databases(vault)?)).await?;
    Ok(value)
}

/// What is known of one database.
enum State {
    Known(Freshness),
    RolledBack(String),
    Unusable(String),
}

/// Lists the databases with what is known of their age.
pub(super) async fn list(global: &Global, home: &Home) -> Result<(), Failure> {
    let found = with(global, home, |databases| {
        let looked_at = databases.names()?.into_iter().map(|name| {
            let state = match databases.check(&name) {
                Ok(freshness) => State::Known(freshness),
                Err(error @ CoreError::RolledBack { .. }) => State::RolledBack(error.to_string()),
                Err(error) => State::Unusable(error.to_string()),
            };
            (databases.path(&name), name, state)
        });
        Ok(looked_at.collect::<Vec<_>>())
    })
    .await?;
    if global.json {
        let values: Vec<Value> = found
            .iter()
            .map(|(path, name, state)| {
                let (state, problem) = named(state);
                json!({ "name": name.to_string(), "file": path, "state": state, "problem": problem })
            })
            .collect();
        output::json(&json!({ "databases": values }))?;
    } else if found.is_empty() {
        line("There is no database yet.")?;
    } else {
        found.iter().try_for_each(|(_, name, state)| show(name, state))?;
    }
    let bad = found
        .iter()
        .any(|(_, _, state)| !matches!(state, State::Known(_)));
    if bad {
        Err(Failure::shown(Code::Failed))
    } else {
        Ok(())
    }
}

fn named(state: &State) -> (&'static str, Option<&str>) {
    match state {
        State::Known(Freshness::Fresh { .. }) => ("fresh", None),
        State::Known(Freshness::UncleanClose { .. }) => ("unclean_close", None),
        State::Known(_) => ("never_sealed", None),
        State::RolledBack(problem) => ("rolled_back", Some(problem)),
        State::Unusable(problem) => ("unusable", Some(problem)),
    }
}

fn show(name: &DatabaseName, state: &State) -> Result<(), Failure> {
    let told = match state {
        State::Known(Freshness::Fresh { .. }) => format!("{GOOD}is as it was closed last{GOOD:#}"),
        State::Known(Freshness::UncleanClose { .. }) => {
            format!(
                "{DIM}opens; it was not closed the last time, so an older copy would not be noticed{DIM:#}"
            )
        }
        State::Known(_) => format!("{DIM}opens; what comes next will be compared with it{DIM:#}"),
        State::RolledBack(problem) | State::Unusable(problem) => format!("{ERROR}{problem}{ERROR:#}"),
    };
    line(format_args!("{BOLD}{name}{BOLD:#}  {told}"))
}

/// Gives every database a new key.
pub(super) async fn rekey(global: &Global, home: &Home) -> Result<(), Failure> {
    let rekeyed = with(global, home, |databases| {
        databases.rekey(|name| tracing::info!(%name, "sealed anew"))
    })
    .await?;
    let failed: Vec<(String, String)> = rekeyed
        .failed
        .iter()
        .map(|(name, error)| (name.to_string(), error.to_string()))
        .collect();
    if global.json {
        let done: Vec<String> = rekeyed.done.iter().map(ToString::to_string).collect();
        let failed: Vec<Value> = failed
            .iter()
            .map(|(name, problem)| json!({ "name": name, "problem": problem }))
            .collect();
        output::json(&json!({ "done": done, "failed": failed }))?;
    } else if rekeyed.done.is_empty() && failed.is_empty() {
        line("There is no database yet: the first ones will have the new key.")?;
    } else {
        for name in &rekeyed.done {
            line(format_args!("{BOLD}{name}{BOLD:#}  has a new key"))?;
        }
        for (name, problem) in &failed {
            line(format_args!("{BOLD}{name}{BOLD:#}  {ERROR}{problem}{ERROR:#}"))?;
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} of {} databases kept the old key; everything still opens: mend that, and run `openhuman vault rekey` again",
        failed.len(),
        failed.len() + rekeyed.done.len()
    );
    Err(Failure::new(Code::Failed, message))
}

/// Writes a plain copy of a database.
pub(super) async fn export(
    global: &Global,
    home: &Home,
    name: DatabaseName,
    file: PathBuf,
) -> Result<(), Failure> {
    let (shown, target) = (name.to_string(), file.clone());
    with(global, home, move |databases| {
        databases.export_plain(&name, &target)
    })
    .await?;
    tell(format_args!(
        "{WARNING}warning:{WARNING:#} {} is not encrypted: whoever has the file reads what is in it. Delete it when you are done.",
        file.display()
    ));
    if global.json {
        return output::json(&json!({ "name": shown, "file": file }));
    }
    line(format_args!(
        "Wrote a plain copy of {shown} to {}.",
        file.display()
    ))
}

/// Copies the home.
pub(super) async fn backup(global: &Global, home: &Home, dir: PathBuf) -> Result<(), Failure> {
    let vault = session::existing_vault(global, home).await?;
    let (place, target) = (home.clone(), dir.clone());
    let copied = on(vault, move |vault| place.databases(vault)?.backup(vault, &target));
    let (_, report) = copied.await?;
    if global.json {
        let names: Vec<String> = report.databases.iter().map(ToString::to_string).collect();
        return output::json(&json!({
            "dir": dir, "databases": names, "files": report.files, "bytes": report.bytes,
        }));
    }
    line(format_args!(
        "Copied {} and {} other files ({} KB) to {}, sealed as they are. The same password opens it.",
        counted(report.databases.len()),
        report.files,
        report.bytes.div_ceil(1000),
        dir.display()
    ))
}

fn counted(databases: usize) -> String {
    format!("{databases} database{}", if databases == 1 { "" } else { "s" })
}

/// Gives up what a damaged log holds.
pub(super) async fn discard_log(
    global: &Global,
    home: &Home,
    name: DatabaseName,
    yes: bool,
) -> Result<(), Failure> {
    let question = format!("Give up what was written last into {name}? A backup would have it. [y/N] ");
    if !yes && !confirmed(&question)? {
        return Err(Failure::new(Code::Denied, "nothing was changed"));
    }
    let shown = name.to_string();
    let kept = with(global, home, move |databases| databases.discard_log(&name)).await?;
    if global.json {
        return output::json(&json!({ "name": shown, "kept": kept }));
    }
    match kept {
        Some(kept) => line(format_args!(
            "{shown} opens without it from now on. What it held is kept as {}.",
            kept.display()
        )),
        None => line(format_args!("{shown} has no log; nothing was changed.")),
    }
}

/// Takes one database, or all, as they are.
pub(super) async fn accept(global: &Global, home: &Home, name: Option<DatabaseName>) -> Result<(), Failure> {
    let shown = name
        .as_ref()
        .map_or_else(|| "all".to_owned(), ToString::to_string);
    match name {
        Some(name) => with(global, home, move |databases| databases.accept(&name)).await?,
        None => {
            let vault = session::existing_vault(global, home).await?;
            let home = home.clone();
            on(vault, move |vault| {
                let store = session::age_keeper(vault);
                home.accept_databases(vault, store.as_deref())
            })
            .await?;
        }
    }
    if global.json {
        return output::json(&json!({ "accepted": shown }));
    }
    line(format_args!("Accepted as it is: {shown}."))
}
