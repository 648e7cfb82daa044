//! `openhuman skills`.

use openhuman::mcp::{CallContext, CallError, Origin};
use openhuman::skills::{
    Grant, Manifest, PermissionKind, SkillEvent, SkillId, SkillPackage, SkillSnapshot, SkillStatus,
};
use openhuman::{Core, CoreError, SkillProblem};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use crate::args::{Global, Skills};
use crate::ask::preview;
use crate::author;
use crate::exit::{Code, Failure};
use crate::output::{self, clean, clean_line, fitting, line};
use crate::prompt;
use crate::registry;
use crate::session;
use crate::style::{BOLD, DIM, ERROR, GOOD, TOOL};
use crate::upkeep;
use crate::wizard::{self, Answers};

pub(crate) async fn run(global: &Global, command: Skills) -> Result<(), Failure> {
    match command {
        Skills::List => {
            let core = session::core_quietly(global).await?;
            let outcome = list(&core, global);
            core.close().await;
            outcome
        }
        Skills::Call {
            skill,
            tool,
            arguments,
        } => {
            let arguments = object(&arguments)?;
            let core = session::core(global).await?;
            let outcome = call(&core, &skill, &tool, arguments, global.json).await;
            core.close().await;
            outcome
        }
        Skills::Allow {
            skill,
            private,
            host,
            yes,
        } => {
            let private: Result<Vec<_>, _> = private.iter().map(|address| host_and_port(address)).collect();
            let wishes = Wishes {
                private: private?,
                hosts: host
                    .iter()
                    .map(|host| public_host(host))
                    .collect::<Result<_, _>>()?,
            };
            let core = loaded(global).await?;
            let outcome = allow(global, &core, &skill, wishes, yes);
            core.close().await;
            outcome
        }
        Skills::Author(command) => author::run(global, command).await,
        Skills::Revoke { skill } => {
            let core = loaded(global).await?;
            let revoked = core.revoke_skill(&skill);
            let known = core.skill(&skill);
            core.close().await;
            match revoked? {
                false if known.is_err() => Err(known
                    .err()
                    .map_or_else(|| Failure::shown(Code::NotFound), Failure::from)),
                false => {
                    let message = format!("the skill '{skill}' was not allowed anything");
                    Err(Failure::new(Code::NotFound, message))
                }
                true if global.json => output::json(&json!({ "revoked": skill })),
                true => line(format_args!("{skill} has no permission any more.")),
            }
        }
        Skills::Search { words, from } => registry::search(global, &words, &from).await,
        Skills::Install { skill, yes, from } => registry::install(global, &skill, yes, &from).await,
        Skills::Update { skill, yes, from } => registry::update(global, skill.as_deref(), yes, &from).await,
        Skills::Remove { skill } => registry::remove(global, &skill).await,
        Skills::Registry { from } => registry::status(global, &from).await,
        Skills::Setup { skill, values } => {
            let answers = Answers::new(values.as_deref())?;
            let core = session::core_quietly(global).await?;
            let outcome = async {
                let id = running(&core, &skill).await?;
                wizard::setup(&core, &id, &answers, global.json).await
            };
            let outcome = outcome.await;
            core.close().await;
            outcome
        }
        Skills::Connect { skill, mode, values } => {
            let answers = Answers::new(values.as_deref())?;
            let core = session::core_quietly(global).await?;
            let outcome = async {
                running(&core, &skill).await?;
                let package = package(&core, &skill)?;
                wizard::connect(&core, package.manifest(), mode.as_deref(), &answers, global.json).await
            };
            let outcome = outcome.await;
            core.close().await;
            outcome
        }
        Skills::Options { skill, name, value } => {
            let core = session::core_quietly(global).await?;
            let outcome = async {
                let id = running(&core, &skill).await?;
                let change = name.as_deref().zip(value.as_deref());
                wizard::options(&core, &id, change, global.json).await
            };
            let outcome = outcome.await;
            core.close().await;
            outcome
        }
        Skills::Disconnect { skill } => {
            let core = session::core_quietly(global).await?;
            let outcome = upkeep::disconnect(&core, &skill, global.json).await;
            core.close().await;
            outcome
        }
        Skills::Sync { skill } => {
            let core = session::core_quietly(global).await?;
            let outcome = async {
                let id = running(&core, &skill).await?;
                upkeep::sync(&core, &id, global.json).await
            };
            let outcome = outcome.await;
            core.close().await;
            outcome
        }
        Skills::Schedules { skill, run } => {
            let core = session::core_quietly(global).await?;
            let outcome = async {
                let id = running(&core, &skill).await?;
                upkeep::schedules(&core, &id, run.as_deref(), global.json).await
            };
            let outcome = outcome.await;
            core.close().await;
            outcome
        }
        Skills::Egress {
            skill,
            refused,
            limit,
        } => {
            let core = loaded(global).await?;
            let outcome = upkeep::egress(&core, skill.as_deref(), refused, limit.into(), global.json).await;
            core.close().await;
            outcome
        }
        Skills::Enable { skill } => {
            let core = loaded(global).await?;
            let outcome = upkeep::enable(&core, &skill, true, global.json);
            core.close().await;
            outcome
        }
        Skills::Disable { skill } => {
            let core = loaded(global).await?;
            let outcome = upkeep::enable(&core, &skill, false, global.json);
            core.close().await;
            outcome
        }
    }
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
    let builder = Core::builder(home, vault).start_skills(false);
    Ok(session::with_skills(global, builder)?.build().await?)
}

fn object(text: &str) -> Result<Value, Failure> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(Failure::new(
            Code::Usage,
            "the arguments must be a JSON object, such as '{\"query\":\"staking\"}'",
        )),
        Err(error) => Err(Failure::new(
            Code::Usage,
            format!("the arguments are not JSON: {error}"),
        )),
    }
}

/// The host a skill was just refused, if its manifest does not ask for it.
fn wanted_host(events: &mut Receiver<SkillEvent>, skill: &str) -> Option<String> {
    std::iter::from_fn(|| events.try_recv().ok()).find_map(|event| match event {
        SkillEvent::PermissionWanted {
            skill_id,
            kind: PermissionKind::Host,
            what,
        } if skill_id.as_str() == skill => public_host(&what).ok(),
        _ => None,
    })
}

/// What the user lets a skill do beyond its manifest.
struct Wishes {
    private: Vec<(String, u16)>,
    hosts: Vec<String>,
}

/// A host name, or a pattern such as `*.example.com`.
fn public_host(host: &str) -> Result<String, Failure> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    if !name.is_empty() && name.chars().all(plain) && name.contains(|c: char| c.is_alphabetic()) {
        return Ok(host.to_owned());
    }
    let message = format!(
        "'{host}' is not a host name, such as api.example.com; an address of your own network goes with --private HOST:PORT"
    );
    Err(Failure::new(Code::Usage, message))
}

fn host_and_port(address: &str) -> Result<(String, u16), Failure> {
    let parsed = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parsed.filter(|(host, _)| !host.is_empty()).ok_or_else(|| {
        Failure::new(
            Code::Usage,
            format!("'{address}' is not HOST:PORT, such as 127.0.0.1:8080"),
        )
    })
}

fn list(core: &Core, global: &Global) -> Result<(), Failure> {
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

async fn call(core: &Core, skill: &str, tool: &str, arguments: Value, as_json: bool) -> Result<(), Failure> {
    running(core, skill).await?;
    let snapshot = core
        .skill_snapshots()
        .into_iter()
        .find(|snapshot| snapshot.skill_id == skill);
    let snapshot =
        snapshot.ok_or_else(|| Failure::new(Code::NotFound, format!("the skill '{skill}' is gone")))?;
    if !snapshot.tools.iter().any(|known| known.name == tool) {
        let tools: Vec<&str> = snapshot.tools.iter().map(|tool| tool.name.as_str()).collect();
        let message = format!(
            "the skill '{skill}' has no tool '{tool}'; it has: {}",
            tools.join(", ")
        );
        return Err(Failure::new(Code::NotFound, message));
    }
    let context = CallContext::new(Origin::Cli);
    let mut events = core.skills().events();
    let result = core
        .hub()
        .try_call(&format!("{skill}__{tool}"), arguments, context)
        .await;
    let failed = |code, reason: &str| {
        Failure::new(
            code,
            format!("the tool {tool} of the skill {skill} failed: {}", clean(reason)),
        )
    };
    match result {
        Ok(result) if result.is_error => {
            let text = result.to_text();
            Err(match wanted_host(&mut events, skill) {
                Some(host) => failed(
                    Code::Failed,
                    &format!("{text}\n`openhuman skills allow {skill} --host {host}` allows that host"),
                ),
                None => failed(Code::Failed, &text),
            })
        }
        Ok(result) if as_json => output::json(&json!({ "content": result.content, "isError": false })),
        Ok(result) => line(clean(&result.to_text())),
        Err(error @ CallError::DeadlineExceeded { .. }) => Err(failed(Code::Timeout, &error.to_string())),
        Err(error) => Err(failed(Code::Failed, &error.to_string())),
    }
}

fn allow(global: &Global, core: &Core, skill: &str, wishes: Wishes, yes: bool) -> Result<(), Failure> {
    core.skill(skill)?;
    let package = package(core, skill)?;
    let Wishes {
        mut private,
        mut hosts,
    } = wishes;
    let mut added = core.added_hosts(skill)?;
    added.retain(|host| !hosts.contains(host));
    let kept: Vec<_> = core
        .private_hosts(skill)?
        .into_iter()
        .filter(|host| !private.contains(host))
        .collect();
    let mut asked = asked(package.manifest());
    asked.extend(
        private
            .iter()
            .map(|(host, port)| format!("the private address {host}:{port} (your own wish)")),
    );
    asked.extend(
        kept.iter()
            .map(|(host, port)| format!("the private address {host}:{port} (allowed before)")),
    );
    asked.extend(hosts.iter().map(|host| format!("reach {host} (your own wish)")));
    asked.extend(added.iter().map(|host| format!("reach {host} (allowed before)")));
    private.extend(kept);
    hosts.extend(added);
    // Under --json only the outcome is for standard output.
    let say = |text: String| {
        if global.json {
            anstream::eprintln!("{text}");
            Ok(())
        } else {
            line(text)
        }
    };
    say(format!("{} asks for:", clean_line(&package.manifest().name)))?;
    for wish in &asked {
        say(format!("  - {wish}"))?;
    }
    if asked.is_empty() {
        return say("  nothing, and needs no consent".to_owned());
    }
    if !yes && !prompt::confirmed("Allow this? [y/N] ")? {
        let message = format!("nothing was allowed; {skill} runs without these");
        return Err(Failure::new(Code::Denied, message));
    }
    core.allow_skill_with(&package, private, hosts)?;
    if global.json {
        output::json(&json!({ "allowed": skill, "permissions": asked }))
    } else {
        line("Allowed, for this version of the package. `openhuman skills revoke` takes it back.")
    }
}

/// What a manifest asks for, a line each. A package from before permissions existed asks through its set-up.
pub(crate) fn asked(manifest: &Manifest) -> Vec<String> {
    let wishes = Grant::none().difference(&Grant::from_manifest(manifest));
    wishes
        .widened
        .iter()
        .map(|wish| clean_line(&wish.to_string()).to_string())
        .collect()
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
