//! `openhuman skills`.

mod call;
mod consent;
mod list;

use openhuman::skills::{SkillId, SkillPackage, SkillStatus};
use openhuman::{Core, CoreError};

pub(crate) use self::consent::asked;
use crate::args::{Global, Skills};
use crate::author;
use crate::exit::{Code, Failure};
use crate::output::clean;
use crate::registry;
use crate::session;
use crate::upkeep;
use crate::wizard::{self, Answers};

pub(crate) async fn run(global: &Global, command: Skills) -> Result<(), Failure> {
    match command {
        Skills::List => {
            let core = session::core_quietly(global).await?;
            closing(&core, async { list::list(&core, global) }).await
        }
        Skills::Call {
            skill,
            tool,
            arguments,
        } => {
            let arguments = call::object(&arguments)?;
            let core = session::core(global).await?;
            let called = call::call(&core, &skill, &tool, arguments, global.json);
            closing(&core, called).await
        }
        Skills::Allow {
            skill,
            private,
            host,
            yes,
        } => {
            let wishes = consent::Wishes::parse(&private, &host)?;
            let core = loaded(global).await?;
            closing(&core, async {
                consent::allow(global, &core, &skill, wishes, yes)
            })
            .await
        }
        Skills::Author(command) => author::run(global, command).await,
        Skills::Revoke { skill } => {
            let core = loaded(global).await?;
            closing(&core, async { consent::revoke(global, &core, &skill) }).await
        }
        Skills::Search { words, from } => registry::search(global, &words, &from).await,
        Skills::Install { skill, yes, from } => registry::install(global, &skill, yes, &from).await,
        Skills::Update { skill, yes, from } => registry::update(global, skill.as_deref(), yes, &from).await,
        Skills::Remove { skill, left } => registry::remove(global, &skill, left).await,
        Skills::Registry { from } => registry::status(global, &from).await,
        Skills::Setup { skill, values } => {
            let answers = Answers::new(values.as_deref())?;
            let core = session::core_quietly(global).await?;
            closing(&core, async {
                let id = running(&core, &skill).await?;
                wizard::setup(&core, &id, &answers, global.json).await
            })
            .await
        }
        Skills::Connect { skill, mode, values } => {
            let answers = Answers::new(values.as_deref())?;
            let core = session::core_quietly(global).await?;
            closing(&core, async {
                running(&core, &skill).await?;
                let package = package(&core, &skill)?;
                wizard::connect(&core, package.manifest(), mode.as_deref(), &answers, global.json).await
            })
            .await
        }
        Skills::Options { skill, name, value } => {
            let core = session::core_quietly(global).await?;
            closing(&core, async {
                let id = running(&core, &skill).await?;
                let change = name.as_deref().zip(value.as_deref());
                wizard::options(&core, &id, change, global.json).await
            })
            .await
        }
        Skills::Disconnect { skill } => {
            let core = session::core_quietly(global).await?;
            closing(&core, upkeep::disconnect(&core, &skill, global.json)).await
        }
        Skills::Sync { skill } => {
            let core = session::core_quietly(global).await?;
            closing(&core, async {
                let id = running(&core, &skill).await?;
                upkeep::sync(&core, &id, global.json).await
            })
            .await
        }
        Skills::Schedules { skill, run } => {
            let core = session::core_quietly(global).await?;
            closing(&core, async {
                let id = running(&core, &skill).await?;
                upkeep::schedules(&core, &id, run.as_deref(), global.json).await
            })
            .await
        }
        Skills::Egress {
            skill,
            refused,
            limit,
        } => {
            let core = loaded(global).await?;
            closing(
                &core,
                upkeep::egress(&core, skill.as_deref(), refused, limit.into(), global.json),
            )
            .await
        }
        Skills::Enable { skill } => {
            let core = loaded(global).await?;
            closing(&core, async { upkeep::enable(&core, &skill, true, global.json) }).await
        }
        Skills::Disable { skill } => {
            let core = loaded(global).await?;
            closing(&core, async { upkeep::enable(&core, &skill, false, global.json) }).await
        }
    }
}

/// Closes the core whatever became of the command.
async fn closing<T>(core: &Core, command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let outcome = command.await;
    core.close().await;
    outcome
}

/// The id of a skill that runs; one that was switched off is started for this command.
async fn running(core: &Core, skill: &str) -> Result<SkillId, Failure> {
    let id = core.skill(skill)?;
    let snapshot = core
        .skill_snapshots()
        .into_iter()
        .find(|known| known.skill_id == skill);
    let snapshot =
        snapshot.ok_or_else(|| Failure::new(Code::NotFound, format!("the skill '{skill}' is gone")))?;
    if let Some(error) = &snapshot.error {
        let message = format!("the skill {skill} is not running: {}", clean(error));
        return Err(Failure::new(Code::Failed, message));
    }
    if snapshot.status != SkillStatus::Running {
        core.skills().start(&id).await.map_err(CoreError::from)?;
    }
    Ok(id)
}

/// A core whose skills are known but not started: consent needs no running skill.
pub(crate) async fn loaded(global: &Global) -> Result<Core, Failure> {
    let home = session::home(global)?;
    let vault = session::vault(global, &home).await?;
    let keeper = session::age_keeper(&vault);
    let builder = Core::builder(home, vault).start_skills(false).key_store(keeper);
    Ok(session::with_skills(global, builder)?.build().await?)
}

/// The package that a loaded skill came from.
fn package(core: &Core, skill: &str) -> Result<SkillPackage, Failure> {
    if let Some(package) = skill.parse().ok().and_then(|id| core.skills().package(&id)) {
        return Ok(package);
    }
    Err(Failure::new(
        Code::NotFound,
        format!("the package of the skill '{skill}' is not there any more"),
    ))
}
