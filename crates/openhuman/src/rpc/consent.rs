//! What a skill asks for and what it was given: the methods behind the permissions of a front end.

use openhuman_skills::{Grant, Manifest, Permission, PermissionKind, SkillId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::{parse, to_json};
use super::{Dispatcher, RpcError};
use crate::grants::Grants;
use crate::{Core, CoreError};

/// The methods answered here.
pub(super) const METHODS: [&str; 5] = [
    "openhuman.skills_permissions",
    "openhuman.skills_allow",
    "openhuman.skills_revoke",
    "openhuman.skills_allow_host",
    "openhuman.skills_forget_host",
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SkillParams {
    skill_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowParams {
    skill_id: String,
    /// The package that the user was shown: another one is not allowed by this.
    digest: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HostParams {
    skill_id: String,
    /// A public host such as `api.example.com` or `*.example.com`; with a port, an address of this machine or network.
    host: String,
    port: Option<u16>,
}

/// What a skill may do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PermissionsView {
    /// The package it is about, for a consent.
    pub digest: String,
    /// Whether the user consented to this very package.
    pub allowed: bool,
    /// Whether there was a consent to another version, which does not hold any more.
    pub changed: bool,
    /// Whether the package says what it needs; one from before permissions existed does not.
    pub declared: bool,
    /// What it asks for.
    pub wishes: Vec<Wish>,
    /// Public hosts that the user added.
    pub hosts: Vec<String>,
    /// Addresses of this machine or network that the user added, as `host:port`.
    pub private: Vec<String>,
    /// What it was refused since the start, the newest first.
    pub wanted: Vec<Wanted>,
}

/// One thing that a skill asks for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Wish {
    /// The kind, as in the manifest.
    pub kind: String,
    /// What it is about; empty when the kind says it all.
    pub what: String,
    /// A line for people, such as `reach api.example.com`.
    pub text: String,
    /// Whether it may do so now.
    pub granted: bool,
}

/// Something that a running skill was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Wanted {
    /// The kind, as in the manifest.
    pub kind: String,
    /// What it is about, for example a host.
    pub what: String,
    /// Whether it can be allowed as a host.
    pub host: bool,
}

impl Wanted {
    pub(super) fn new(kind: PermissionKind, what: &str) -> Self {
        Self {
            kind: kind_word(kind),
            what: what.to_owned(),
            host: matches!(kind, PermissionKind::Host | PermissionKind::PrivateHost),
        }
    }
}

fn kind_word(kind: PermissionKind) -> String {
    let word = serde_json::to_value(kind).unwrap_or_default();
    word.as_str().unwrap_or("other").to_owned()
}

/// What a manifest asks for. A package from before permissions existed asks through its set-up.
pub(super) fn wishes(manifest: &Manifest) -> Vec<Permission> {
    Grant::none().difference(&Grant::from_manifest(manifest)).widened
}

impl Dispatcher {
    /// Answers one of [`METHODS`].
    pub(super) async fn consent_call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let core = self.core().await?;
        let skill = match method {
            "openhuman.skills_allow" => {
                let params: AllowParams = parse(params)?;
                let skill = core.skill(&params.skill_id)?;
                let package = core.package(&skill)?;
                if package.digest() != params.digest {
                    let message = "the package changed since it was shown; look at what it asks for now";
                    return Err(RpcError::of_kind("changed", message));
                }
                let id = skill.clone();
                core.blocking(move |core| core.consent_to(&id, &package)).await?;
                skill
            }
            "openhuman.skills_revoke" => {
                let skill = core.skill(&parse::<SkillParams>(params)?.skill_id)?;
                let id = skill.clone();
                core.blocking(move |core| core.withdraw_consent(&id)).await?;
                skill
            }
            "openhuman.skills_allow_host" => {
                let params: HostParams = parse(params)?;
                let (skill, id) = both(&core, &params.skill_id)?;
                core.blocking(move |core| core.allow_host(&id, &params.host, params.port))
                    .await?;
                skill
            }
            "openhuman.skills_forget_host" => {
                let params: HostParams = parse(params)?;
                let (skill, id) = both(&core, &params.skill_id)?;
                core.blocking(move |core| core.forget_host(&id, &params.host, params.port))
                    .await?;
                skill
            }
            "openhuman.skills_permissions" => core.skill(&parse::<SkillParams>(params)?.skill_id)?,
            other => return Err(RpcError::unknown_method(other)),
        };
        let wanted = self.wanted(skill.as_str());
        to_json(
            &core
                .blocking(move |core| permissions(core, &skill, wanted))
                .await?,
        )
    }
}

fn both(core: &Core, text: &str) -> Result<(SkillId, SkillId), RpcError> {
    let skill = core.skill(text)?;
    Ok((skill.clone(), skill))
}

/// What a skill asks for and what it has. Blocks on the vault.
fn permissions(core: &Core, skill: &SkillId, wanted: Vec<Wanted>) -> Result<PermissionsView, CoreError> {
    let package = core.package(skill)?;
    let manifest = package.manifest();
    let grants = Grants::load(core.vault())?;
    let now = core.skills().grant(skill)?;
    let missing = now.difference(&Grant::from_manifest(manifest)).widened;
    let wishes = wishes(manifest).into_iter().map(|wish| Wish {
        kind: kind_word(wish.kind),
        text: wish.to_string(),
        granted: !missing.contains(&wish),
        what: wish.what,
    });
    let allowed = grants.is_bound_to(skill.as_str(), package.digest());
    let private = grants.private_hosts(skill.as_str()).into_iter();
    let (hosts, private) = (
        grants.hosts(skill.as_str()),
        private
            .map(|(host, port)| format!("{host}:{port}"))
            .collect::<Vec<_>>(),
    );
    Ok(PermissionsView {
        allowed,
        changed: !allowed && grants.knows(skill.as_str()),
        declared: manifest.permissions.is_some(),
        wishes: wishes.collect(),
        // What was allowed before is no longer in force once it is refused.
        wanted: wanted
            .into_iter()
            .filter(|wanted| {
                !wanted.host || !(hosts.contains(&wanted.what) || private.contains(&wanted.what))
            })
            .collect(),
        hosts,
        private,
        digest: package.digest().to_owned(),
    })
}
