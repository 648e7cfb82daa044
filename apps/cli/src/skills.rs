//! `openhuman skills`.

use std::io::{self, IsTerminal, Write};

use openhuman::mcp::Origin;
use openhuman::skills::{Manifest, SkillPackage, SkillSnapshot};
use openhuman::{Core, SkillProblem};
use serde_json::{Value, json};

use crate::args::{Global, Skills};
use crate::ask::preview;
use crate::exit::{Code, Failure};
use crate::session;
use crate::style::{BOLD, DIM, ERROR, GOOD, TOOL};

pub(crate) async fn run(global: &Global, command: Skills) -> Result<(), Failure> {
    match command {
        Skills::List => {
            let core = session::core_quietly(global).await?;
            let outcome = list(&core, global.json);
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
        Skills::Allow { skill, private, yes } => {
            let hosts = private
                .iter()
                .map(|address| host_and_port(address))
                .collect::<Result<Vec<_>, _>>()?;
            let core = session::core(global).await?;
            let outcome = allow(global, &core, &skill, hosts, yes);
            core.close().await;
            outcome
        }
        Skills::Revoke { skill } => {
            let core = session::core(global).await?;
            let revoked = core.revoke_skill(&skill);
            core.close().await;
            if revoked? {
                println!("{skill} has no permission any more.");
                Ok(())
            } else {
                Err(Failure::new(
                    Code::NotFound,
                    format!("the skill '{skill}' was not allowed anything"),
                ))
            }
        }
    }
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

fn list(core: &Core, as_json: bool) -> Result<(), Failure> {
    let snapshots = core.skill_snapshots();
    let problems = core.problems();
    if as_json {
        let problems: Vec<Value> = problems
            .iter()
            .map(|problem| json!({ "path": problem.path, "error": problem.error.to_string() }))
            .collect();
        println!(
            "{}",
            serde_json::to_string(&json!({ "skills": snapshots, "problems": problems }))?
        );
    } else {
        snapshots.iter().for_each(show);
        problems.iter().for_each(show_problem);
        if snapshots.is_empty() && problems.is_empty() {
            println!(
                "No skills. Put packages into {} or name a folder with --skills-dir.",
                core.home().skills_dir().display()
            );
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::shown(Code::Failed))
    }
}

fn show(skill: &SkillSnapshot) {
    anstream::println!(
        "{BOLD}{}{BOLD:#}  {GOOD}{}{GOOD:#}  {}",
        skill.skill_id,
        skill.connection_status,
        skill.name
    );
    if let Some(error) = &skill.error {
        anstream::println!("  {ERROR}{error}{ERROR:#}");
    }
    for tool in &skill.tools {
        anstream::println!(
            "  {TOOL}{}{TOOL:#}  {DIM}{}{DIM:#}",
            tool.name,
            preview(&tool.description)
        );
    }
}

fn show_problem(problem: &SkillProblem) {
    anstream::eprintln!(
        "{ERROR}error:{ERROR:#} the skill in {} is not available: {}",
        problem.path.display(),
        problem.error
    );
}

async fn call(core: &Core, skill: &str, tool: &str, arguments: Value, as_json: bool) -> Result<(), Failure> {
    core.skill(skill)?;
    let snapshot = core
        .skill_snapshots()
        .into_iter()
        .find(|snapshot| snapshot.skill_id == skill);
    let tools: Vec<String> = snapshot
        .into_iter()
        .flat_map(|skill| skill.tools)
        .map(|tool| tool.name)
        .collect();
    if !tools.iter().any(|name| name == tool) {
        let message = format!(
            "the skill '{skill}' has no tool '{tool}'; it has: {}",
            tools.join(", ")
        );
        return Err(Failure::new(Code::NotFound, message));
    }
    let result = core
        .call_tool(&format!("{skill}__{tool}"), arguments, Origin::Cli)
        .await;
    if result.is_error {
        return Err(Failure::new(
            Code::Failed,
            format!(
                "the tool {tool} of the skill {skill} failed: {}",
                result.to_text()
            ),
        ));
    }
    if as_json {
        println!(
            "{}",
            serde_json::to_string(&json!({ "content": result.content, "isError": false }))?
        );
    } else {
        println!("{}", result.to_text());
    }
    Ok(())
}

fn allow(
    global: &Global,
    core: &Core,
    skill: &str,
    private: Vec<(String, u16)>,
    yes: bool,
) -> Result<(), Failure> {
    core.skill(skill)?;
    let package = package(global, core, skill)?;
    println!("{} asks for:", package.manifest().name);
    let asked = asked(package.manifest());
    for line in &asked {
        println!("  - {line}");
    }
    for (host, port) in &private {
        println!("  - the private address {host}:{port} (your own wish)");
    }
    if asked.is_empty() && private.is_empty() {
        println!("  nothing");
        return Ok(());
    }
    if !yes && !confirmed("Allow this? [y/N] ")? {
        return Err(Failure::new(
            Code::Denied,
            format!("nothing was allowed; {skill} runs without these"),
        ));
    }
    core.allow_skill(&package, private)?;
    println!("Allowed, for this version of the package. It takes effect at the next start.");
    Ok(())
}

/// What a manifest asks for, a line each. A package from before permissions existed asks through its set-up.
fn asked(manifest: &Manifest) -> Vec<String> {
    let Some(permissions) = &manifest.permissions else {
        let oauth = manifest
            .setup
            .oauth
            .iter()
            .filter_map(|oauth| oauth.api_base_url.as_deref());
        let modes = manifest.setup.auth.iter().flat_map(|auth| &auth.modes);
        let bases = oauth.chain(modes.filter_map(|mode| mode.api_base_url.as_deref()));
        return bases.map(|base| format!("the network: {base}")).collect();
    };
    let hosts = permissions.net.iter().map(|net| {
        let methods = if net.methods.is_empty() {
            "any method".to_owned()
        } else {
            net.methods.join(", ")
        };
        let scheme = if net.http { " (also without TLS)" } else { "" };
        format!("the network: {}{scheme}, {methods}", net.host)
    });
    let env = permissions
        .env
        .iter()
        .map(|name| format!("the environment value {name}"));
    let events = permissions
        .events
        .iter()
        .map(|name| format!("server events {name}"));
    let notify = permissions.notify.then(|| "notifications".to_owned());
    hosts.chain(env).chain(events).chain(notify).collect()
}

/// The package that a loaded skill came from.
fn package(global: &Global, core: &Core, skill: &str) -> Result<SkillPackage, Failure> {
    let installed = core.home().skills_dir();
    for dir in global.skills_dir.iter().chain(std::iter::once(&installed)) {
        let Ok(entries) = std::fs::read_dir(dir) else {
            continue;
        };
        for entry in entries.flatten() {
            match SkillPackage::load(&entry.path()) {
                Ok(package) if package.manifest().id.as_str() == skill => return Ok(package),
                _ => {}
            }
        }
    }
    Err(Failure::new(
        Code::NotFound,
        format!("the package of the skill '{skill}' is not there any more"),
    ))
}

fn confirmed(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Code::Denied,
            "nobody can be asked here; look at the list above and repeat with --yes",
        ));
    }
    print!("{question}");
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
