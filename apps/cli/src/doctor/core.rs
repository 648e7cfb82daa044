//! What a running core shows: the memory, the skills, and the model.

use openhuman::skills::SkillStatus;
use openhuman::vault::Vault;
use openhuman::{Core, Home, model_from_env};

use super::Findings;
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::session;

/// Builds the core with its skills, as every command does.
pub(super) async fn open(
    global: &Global,
    home: &Home,
    vault: Vault,
    findings: &mut Findings,
) -> Result<Option<Core>, Failure> {
    let builder = session::with_skills(global, session::builder(home.clone(), vault)?)?;
    match builder.build().await {
        Ok(core) => Ok(Some(core)),
        Err(error) => {
            let failure = Failure::from(error);
            if failure.code == Code::Unavailable {
                let advice = "what runs there was not looked at";
                findings.note("core", failure.to_string(), advice)?;
            } else {
                findings.bad("core", failure.to_string())?;
            }
            Ok(None)
        }
    }
}

pub(super) async fn look(core: &Core, findings: &mut Findings) -> Result<(), Failure> {
    memory(core, findings).await?;
    skills(core, findings)
}

/// Reads all of it: damage, vectors that nobody can compute, and copies that hold what was forgotten.
async fn memory(core: &Core, findings: &mut Findings) -> Result<(), Failure> {
    let area = "memory";
    let health = match core.check_memory().await {
        Ok(health) => health,
        Err(error) => return findings.bad(area, error.to_string()),
    };
    let counts = format!(
        "{} documents in {} passages",
        health.stats.documents, health.stats.chunks
    );
    match &health.damage {
        None => findings.good(area, counts)?,
        Some(damage) => findings.bad(
            area,
            format!("{counts}; damaged: {damage}; put it back from a backup"),
        )?,
    }
    let embedding = &health.embedding;
    if let Some(problem) = &embedding.problem {
        findings.bad(area, format!("searches fail: {problem}"))?;
    } else if embedding.stored != embedding.chosen {
        let text = format!(
            "{} was chosen for the vectors, which are of {}",
            embedding.chosen, embedding.stored
        );
        findings.note(area, text, "`openhuman memory reembed` computes them anew")?;
    }
    if !health.outdated_backups.is_empty() {
        let text = format!(
            "{} of your copies still hold what was forgotten",
            health.outdated_backups.len()
        );
        findings.note(area, text, "`openhuman memory backups` lists them")?;
    }
    Ok(())
}

fn skills(core: &Core, findings: &mut Findings) -> Result<(), Failure> {
    let area = "skills";
    let problems = core.problems();
    let mut wrong = problems.len();
    for problem in &problems {
        let text = format!("{}: {}", problem.path.display(), problem.error);
        findings.bad(area, text)?;
    }
    // One that did not start is in both lists.
    let told = |reason: &str| problems.iter().any(|problem| problem.error.to_string() == reason);
    let (mut running, mut all) = (0, 0);
    for skill in core.skill_snapshots() {
        all += 1;
        match skill.status {
            SkillStatus::Running => running += 1,
            SkillStatus::Error => {
                let reason = skill.error.as_deref().unwrap_or("it gave no reason");
                if !told(reason) {
                    wrong += 1;
                    findings.bad(area, format!("{}: {reason}", skill.skill_id))?;
                }
            }
            _ => {}
        }
    }
    match (all, wrong) {
        (0, 0) => findings.good(area, "none is installed"),
        (_, 0) => findings.good(area, format!("{running} of {all} run")),
        _ => Ok(()),
    }
}

/// The provider is not asked: that could cost money.
pub(super) fn model(findings: &mut Findings) -> Result<(), Failure> {
    match model_from_env() {
        Some(model) => findings.good("model", format!("{} at {}", model.model, model.base_url)),
        None => findings.note(
            "model",
            "none is configured: answers quote the memory",
            "set OPENAI_BASE_URL or OPENAI_API_KEY, and OPENAI_MODEL",
        ),
    }
}
