//! `openhuman skills list`.

use openhuman::skills::{SkillPackage, SkillSnapshot, SkillStatus};
use openhuman::{Core, SkillProblem};
use serde_json::{Value, json};

use super::consent::asked;
use super::package;
use crate::args::Global;
use crate::ask::preview;
use crate::exit::{Code, Failure};
use crate::output::{self, clean, clean_line, fitting, line};
use crate::style::{BOLD, DIM, ERROR, GOOD, TOOL};

pub(super) fn list(core: &Core, global: &Global) -> Result<(), Failure> {
    let snapshots = core.skill_snapshots();
    let problems = core.problems();
    if global.json {
        let failed: Vec<Value> = problems
            .iter()
            .map(|problem| json!({ "path": problem.path, "error": problem.error.to_string() }))
            .collect();
        let mut skills = serde_json::to_value(&snapshots)?;
        for (json, skill) in skills.as_array_mut().into_iter().flatten().zip(&snapshots) {
            json["disabled"] = (resting(core, skill) == Some("disabled")).into();
        }
        output::json(&json!({ "skills": skills, "problems": failed }))?;
    } else {
        for skill in &snapshots {
            show(core, skill)?;
        }
        // A skill that is in the list has told its error there.
        let unlisted = |problem: &&SkillProblem| !snapshots.iter().any(|skill| is_of(problem, skill));
        problems.iter().filter(unlisted).for_each(show_problem);
        if snapshots.is_empty() && problems.is_empty() {
            let folder = core.home().skills_dir();
            line(format_args!(
                "No skills. Put packages into {} or name a folder with --skills-dir.",
                folder.display()
            ))?;
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::shown(Code::Failed))
    }
}

/// Whether a problem is one of a skill that is listed with an error of its own.
fn is_of(problem: &SkillProblem, skill: &SkillSnapshot) -> bool {
    let package = SkillPackage::load(&problem.path);
    skill.error.is_some() && package.is_ok_and(|package| package.manifest().id.as_str() == skill.skill_id)
}

/// Why a skill that does not run does not: `None` when it should, or does.
fn resting(core: &Core, skill: &SkillSnapshot) -> Option<&'static str> {
    if skill.error.is_some() || !matches!(skill.status, SkillStatus::Pending | SkillStatus::Stopped) {
        return None;
    }
    let id = skill.skill_id.parse().ok()?;
    match core.skills().preference(&id).ok()?.enabled {
        Some(false) => Some("disabled"),
        Some(true) => None,
        // `openhuman skills enable` starts it with OpenHuman.
        None => Some("not started"),
    }
}

fn show(core: &Core, skill: &SkillSnapshot) -> Result<(), Failure> {
    let (id, name) = (&skill.skill_id, clean_line(&skill.name));
    let (style, status) = match resting(core, skill) {
        Some(why) => (DIM, why),
        None if skill.error.is_some() => (ERROR, skill.connection_status.as_str()),
        None => (GOOD, skill.connection_status.as_str()),
    };
    line(format_args!(
        "{BOLD}{id}{BOLD:#}  {style}{status}{style:#}  {name}"
    ))?;
    if let Some(error) = &skill.error {
        line(format_args!("  {ERROR}{}{ERROR:#}", clean(error)))?;
    }
    for tool in &skill.tools {
        let description = fitting(&preview(&tool.description), tool.name.chars().count() + 4);
        line(format_args!(
            "  {TOOL}{}{TOOL:#}  {DIM}{description}{DIM:#}",
            tool.name
        ))?;
    }
    let package = package(core, id)?;
    if !asked(package.manifest()).is_empty() && !core.is_allowed(&package)? {
        let (start, end) = ("not allowed yet: ", format!(". `openhuman skills allow {id}`"));
        let wishes = asked(package.manifest()).join("; ");
        let wishes = fitting(&wishes, start.len() + end.len() + 2);
        line(format_args!("  {DIM}{start}{wishes}{end}{DIM:#}"))?;
    }
    Ok(())
}

fn show_problem(problem: &SkillProblem) {
    let path = problem.path.display();
    anstream::eprintln!(
        "{ERROR}error:{ERROR:#} the skill in {path} is not available: {}",
        problem.error
    );
}
