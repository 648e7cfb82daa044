//! `openhuman skills search`, `install`, `update`, `remove` and `registry`.

use std::io::IsTerminal;
use std::path::Path;

use openhuman::skills::registry::{Available, Decision, Listing, Offer, Plan, update_available};
use openhuman::skills::{PackageError, SkillId, SkillPackage};
use openhuman::{Core, CoreError, ErrorKind, Home, Removal};
use serde_json::json;

use crate::args::{FromRegistry, Global, LeftBehind};
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, fitting, line};
use crate::prompt::confirmed;
use crate::session;
use crate::skills::loaded;
use crate::style::{BOLD, DIM, GOOD, TOOL};

/// Lists what the registry offers; only what holds every word, when there are words.
pub(crate) async fn search(global: &Global, words: &[String], from: &FromRegistry) -> Result<(), Failure> {
    let home = session::home(global)?;
    let listing = index(&home, from).await?;
    let installed = lockfile(&home)?;
    let found: Vec<Available> = listing
        .index
        .search(&words.join(" "))
        .filter(|entry| !entry.ignore_in_production)
        .map(|entry| entry.beside(&installed))
        .collect();
    if global.json {
        return output::json(&json!({ "skills": found, "notice": listing.notice }));
    }
    for skill in &found {
        let entry = &skill.entry;
        let version = entry.version.as_deref().unwrap_or("-");
        let state = match (skill.installed, skill.update_available) {
            (true, true) => "update available",
            (true, false) => "installed",
            (false, _) => "",
        };
        line(format_args!(
            "{BOLD}{}{BOLD:#}  {}  {GOOD}{state}{GOOD:#}",
            entry.id,
            clean_line(version)
        ))?;
        let description = entry.description.as_deref().unwrap_or(&entry.name);
        line(format_args!(
            "  {DIM}{}{DIM:#}",
            fitting(&clean_line(description), 2)
        ))?;
    }
    if found.is_empty() {
        line("No skill in the registry matches.")?;
    }
    Ok(())
}

/// Shows what is known about the registry itself.
pub(crate) async fn status(global: &Global, from: &FromRegistry) -> Result<(), Failure> {
    let home = session::home(global)?;
    let listing = index(&home, from).await?;
    let count = listing.index.entries.len();
    if global.json {
        return output::json(&json!({
            "skills": count, "generated_at": listing.index.generated_at, "fetched_at_ms": listing.fetched_at_ms,
            "problems": listing.index.problems, "notice": listing.notice,
        }));
    }
    let made = listing.index.generated_at.as_deref().unwrap_or("an unknown time");
    line(format_args!("{count} skills, as of {}.", clean_line(made)))?;
    for problem in &listing.index.problems {
        line(format_args!("  {DIM}left out: {}{DIM:#}", clean_line(problem)))?;
    }
    Ok(())
}

/// Installs a skill from the registry, or a package in a file or directory.
pub(crate) async fn install(
    global: &Global,
    what: &str,
    yes: bool,
    from: &FromRegistry,
) -> Result<(), Failure> {
    let (package, offer) = match local(what)? {
        Some(found) => found,
        None => download(&session::home(global)?, &id(what)?, from).await?,
    };
    let core = loaded(global).await?;
    let outcome = carry_out(global, &core, package, offer, yes).await;
    core.close().await;
    outcome
}

/// Updates one skill, or all of them.
pub(crate) async fn update(
    global: &Global,
    skill: Option<&str>,
    yes: bool,
    from: &FromRegistry,
) -> Result<(), Failure> {
    let home = session::home(global)?;
    let installed = lockfile(&home)?;
    let wanted = skill.map(id).transpose()?;
    if let Some(skill) = &wanted
        && !installed.installed().any(|(known, _)| known == skill)
    {
        let message = format!("the skill '{skill}' is not installed; `openhuman skills install {skill}`");
        return Err(Failure::new(Code::NotFound, message));
    }
    let listing = index(&home, from).await?;
    let newer: Vec<SkillId> = installed
        .installed()
        .filter(|(known, _)| wanted.as_ref().is_none_or(|wanted| wanted == *known))
        .filter(|(known, installed)| {
            listing
                .index
                .find(known)
                .is_some_and(|entry| update_available(installed.version.as_deref(), entry.version.as_deref()))
        })
        .map(|(known, _)| known.clone())
        .collect();
    if newer.is_empty() {
        return match global.json {
            true => output::json(&json!({ "updated": [] })),
            false => line("Nothing is newer in the registry."),
        };
    }
    let core = loaded(global).await?;
    let mut outcome = Ok(());
    for skill in &newer {
        let updated = match download(&home, skill, from).await {
            Ok((package, offer)) => carry_out(global, &core, package, offer, yes).await,
            Err(error) => Err(error),
        };
        // One that fails keeps its old version, and does not keep the others from theirs.
        if let Err(failure) = updated {
            if newer.len() > 1 {
                failure.report(global.json);
            }
            outcome = Err(failure);
        }
    }
    core.close().await;
    outcome
}

/// Removes an installed skill.
pub(crate) async fn remove(global: &Global, skill: &str, left: LeftBehind) -> Result<(), Failure> {
    let skill = id(skill)?;
    let forget_data = left.forget_data || (!left.keep_data && asked_to_forget(global, &skill)?);
    let removal = Removal {
        keep_documents: left.keep_documents,
        forget_data,
    };
    let core = loaded(global).await?;
    let removed = core.remove_skill(&skill, removal).await;
    core.close().await;
    let Some(removed) = removed? else {
        let message = format!("the skill '{skill}' was not installed with `openhuman skills install`");
        return Err(Failure::new(Code::NotFound, message));
    };
    if global.json {
        return output::json(&json!({
            "removed": skill, "documents_forgotten": removed.documents, "data_deleted": removed.data,
        }));
    }
    let data = if removed.data {
        "Its own data is deleted."
    } else {
        "Its own data stays, for the same publisher's skill only."
    };
    let documents = match removed.documents {
        0 => String::new(),
        1 => " One document of it is forgotten.".to_owned(),
        many => format!(" {many} documents of it are forgotten."),
    };
    line(format_args!("{skill} is removed. {data}{documents}"))
}

/// Asks at a terminal whether the data goes too; elsewhere it stays.
fn asked_to_forget(global: &Global, skill: &SkillId) -> Result<bool, Failure> {
    if global.json || !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Ok(false);
    }
    confirmed(&format!(
        "Also delete the data of {skill}: its database and files? [y/N] "
    ))
}

async fn carry_out(
    global: &Global,
    core: &Core,
    package: SkillPackage,
    offer: Offer,
    yes: bool,
) -> Result<(), Failure> {
    let plan = core.plan_skill(package, offer).await?;
    let name = clean_line(&plan.package().manifest().name).to_string();
    // Under --json only the outcome is for standard output.
    let say = |text: String| {
        if global.json {
            anstream::eprintln!("{text}");
            Ok(())
        } else {
            line(text)
        }
    };
    let version = |version: Option<&str>| clean_line(version.unwrap_or("without a version")).to_string();
    let new = version(plan.package().manifest().version.as_deref());
    match plan.installed() {
        Some(old) => say(format!(
            "{name}: {} {TOOL}->{TOOL:#} {new}",
            version(old.version.as_deref())
        ))?,
        None => say(format!("{name} {new}"))?,
    }
    // What must not be installed is said by the error.
    let wishes = if plan.is_refused() {
        String::new()
    } else {
        plan.to_string()
    };
    for wish in wishes.lines() {
        say(format!("  {}", clean_line(wish)))?;
    }
    let plan = agreed(plan, yes)?;
    let skill = core.install_skill(plan, false).await?;
    let starts = core.starts_by_itself(&skill).await?;
    if global.json {
        output::json(&json!({ "installed": skill, "version": new }))
    } else if starts {
        line(format_args!("{skill} is installed, and starts with OpenHuman."))
    } else {
        line(format_args!(
            "{skill} is installed. `openhuman skills enable {skill}` starts it with OpenHuman."
        ))
    }
}

/// The plan, approved where it needs that.
fn agreed(plan: Plan, yes: bool) -> Result<Plan, Failure> {
    if !plan.needs_consent() || plan.is_refused() {
        return Ok(plan);
    }
    // Another publisher's key is never a matter of course.
    let other_key = matches!(plan.decision(), Decision::AskKeyChange { .. });
    if yes && other_key {
        return Err(Failure::new(
            Code::Denied,
            "another key has signed this package than the installed one; --yes does not cover that. Run it at a terminal and answer, if the publisher announced the new key",
        ));
    }
    if yes || confirmed("Install this? [y/N] ")? {
        return Ok(plan.approve());
    }
    Err(Failure::new(Code::Denied, "nothing was installed"))
}

/// A package in a file or directory of this machine; `None` for the name of a skill.
fn local(what: &str) -> Result<Option<(SkillPackage, Offer)>, Failure> {
    let path = Path::new(what);
    let unusable = |error: PackageError| {
        let next = if path.is_dir() {
            format!("`openhuman skills check {what}` shows every problem")
        } else {
            "ask whoever made it for a new one, or unpack it and check the folder".to_owned()
        };
        Failure::new(
            Code::Failed,
            format!("the package '{what}' cannot be installed: {error}; {next}"),
        )
    };
    // A bare name is a skill of the registry, whatever lies in the current directory.
    let is_path = what.contains(['/', '\\']) || what == ".";
    let package = if is_path && path.is_dir() {
        SkillPackage::load(path).map_err(unusable)?
    } else if (is_path || what.ends_with(".tar.gz")) && path.is_file() {
        SkillPackage::read_archive(path).map_err(unusable)?
    } else if is_path || what.ends_with(".tar.gz") {
        let message = format!("there is no package at '{what}'");
        return Err(Failure::new(Code::NotFound, message));
    } else {
        return Ok(None);
    };
    let offer = Offer {
        source: Some(what.to_owned()),
        ..Offer::default()
    };
    Ok(Some((package, offer)))
}

async fn download(
    home: &Home,
    skill: &SkillId,
    from: &FromRegistry,
) -> Result<(SkillPackage, Offer), Failure> {
    let registry = home.registry(from.registry.as_deref())?;
    let listing = index(home, from).await?;
    let entry = listing.index.find(skill).ok_or_else(|| {
        let message = format!("the registry has no skill '{skill}'; `openhuman skills search` lists them");
        Failure::new(Code::NotFound, message)
    })?;
    Ok(registry.download(entry).await.map_err(CoreError::from)?)
}

async fn index(home: &Home, from: &FromRegistry) -> Result<Listing, Failure> {
    let registry = home.registry(from.registry.as_deref())?;
    let listing = registry.index(from.refresh).await.map_err(|error| {
        let error = CoreError::from(error);
        match error.kind() {
            ErrorKind::Unavailable => Failure::new(
                Code::Unavailable,
                format!("{error}; check the connection, or name another registry with --registry"),
            ),
            _ => error.into(),
        }
    })?;
    if let Some(notice) = &listing.notice {
        anstream::eprintln!("note: {}", clean_line(notice));
    }
    Ok(listing)
}

fn lockfile(home: &Home) -> Result<openhuman::skills::registry::Lockfile, Failure> {
    Ok(home.package_store()?.lockfile().map_err(CoreError::from)?)
}

fn id(text: &str) -> Result<SkillId, Failure> {
    text.parse::<SkillId>()
        .map_err(|error| Failure::new(Code::Usage, error.to_string()))
}
