//! `openhuman skills allow` and `revoke`.

use openhuman::Core;
use openhuman::skills::{Grant, Manifest};
use serde_json::json;

use super::package;
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::prompt;

/// What the user lets a skill do beyond its manifest.
pub(super) struct Wishes {
    private: Vec<(String, u16)>,
    hosts: Vec<String>,
}

impl Wishes {
    /// Reads the options `--private` and `--host`.
    pub(super) fn parse(private: &[String], hosts: &[String]) -> Result<Self, Failure> {
        Ok(Self {
            private: private
                .iter()
                .map(|address| host_and_port(address))
                .collect::<Result<_, _>>()?,
            hosts: hosts
                .iter()
                .map(|host| public_host(host))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A host name, or a pattern such as `*.example.com`.
pub(super) fn public_host(host: &str) -> Result<String, Failure> {
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

pub(super) fn allow(
    global: &Global,
    core: &Core,
    skill: &str,
    wishes: Wishes,
    yes: bool,
) -> Result<(), Failure> {
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

/// Takes back what a skill was allowed.
pub(super) fn revoke(global: &Global, core: &Core, skill: &str) -> Result<(), Failure> {
    let revoked = core.revoke_skill(skill)?;
    if !revoked {
        core.skill(skill)?;
        let message = format!("the skill '{skill}' was not allowed anything");
        return Err(Failure::new(Code::NotFound, message));
    }
    if global.json {
        return output::json(&json!({ "revoked": skill }));
    }
    line(format_args!("{skill} has no permission any more."))
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
