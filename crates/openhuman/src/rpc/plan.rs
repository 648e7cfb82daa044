//! What installing a skill of the registry would mean, and doing it.

use openhuman_skills::SkillPackage;
use openhuman_skills::registry::{Decision, Offer, Plan, VersionChange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::RpcError;
use super::packages::id;
use crate::{Core, CoreError};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanParams {
    skill_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InstallParams {
    skill_id: String,
    /// The digest that the plan, or a refusal of kind `needs_consent`, named: the user has seen what it means.
    consent: Option<String>,
    /// The fingerprint of the new key, where another key has signed the package: the user has compared it.
    accept_key: Option<String>,
}

/// Who made a package, compared with what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublisherChange {
    /// The publisher of the installed version, or the same package.
    Known,
    /// Signed with a key that was not seen before.
    FirstUse,
    /// Signed with another key than the installed version.
    KeyChange,
    /// Nobody signed it.
    Unsigned,
    /// It must not be installed.
    Refused,
}

/// What installing or updating a skill means, for the user to decide.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanView {
    /// The skill.
    pub skill_id: String,
    /// Its name for people.
    pub name: String,
    /// The version on offer.
    pub version: Option<String>,
    /// The version that is installed.
    pub installed_version: Option<String>,
    /// Whether it is installed.
    pub installed: bool,
    /// Whether the offer is older than what is installed.
    pub older: bool,
    /// To be given back as `consent`.
    pub digest: String,
    /// Whether the user has to agree.
    pub needs_consent: bool,
    /// Who made it.
    pub publisher: PublisherChange,
    /// The same in a sentence.
    pub publisher_text: String,
    /// The fingerprint of the key that signed the offer.
    pub key: Option<String>,
    /// What it may do that the installed version may not; of a new skill everything it asks for.
    pub adds: Vec<String>,
    /// What it may not do any more.
    pub removes: Vec<String>,
}

/// What was installed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Installed {
    /// The skill.
    pub installed: String,
    /// Its version.
    pub version: Option<String>,
    /// Whether it starts with OpenHuman.
    pub enabled: bool,
}

impl PlanView {
    fn of(plan: &Plan) -> Self {
        let manifest = plan.package().manifest();
        let decision = plan.decision();
        let lines = |permissions: &[openhuman_skills::Permission]| {
            permissions.iter().map(ToString::to_string).collect()
        };
        let key = match decision {
            Decision::AskFirstUse { key } | Decision::AskKeyChange { new: key, .. } => {
                Some(key.fingerprint())
            }
            _ => plan
                .package()
                .signature()
                .map(|signature| signature.key().fingerprint()),
        };
        Self {
            skill_id: manifest.id.to_string(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            installed_version: plan.installed().and_then(|installed| installed.version.clone()),
            installed: plan.installed().is_some(),
            older: plan.version() == VersionChange::Older,
            digest: plan.package().digest().to_owned(),
            needs_consent: plan.needs_consent(),
            publisher: match decision {
                Decision::Install => PublisherChange::Known,
                Decision::AskFirstUse { .. } => PublisherChange::FirstUse,
                Decision::AskKeyChange { .. } => PublisherChange::KeyChange,
                Decision::AskUnsigned { .. } => PublisherChange::Unsigned,
                _ => PublisherChange::Refused,
            },
            publisher_text: format!("The package {decision}."),
            key,
            adds: lines(&plan.permissions().widened),
            removes: lines(&plan.permissions().narrowed),
        }
    }
}

/// Says what installing a skill of the registry means.
pub(super) async fn plan(
    core: &Core,
    place: Option<&str>,
    params: &PlanParams,
) -> Result<PlanView, RpcError> {
    let (package, offer) = download(core, place, &params.skill_id).await?;
    Ok(PlanView::of(&core.plan_skill(package, offer).await?))
}

/// Installs a skill of the registry. What needs the user's consent is refused first, with what it means and the digest
/// to come back with.
pub(super) async fn install(
    core: &Core,
    place: Option<&str>,
    params: InstallParams,
) -> Result<Installed, RpcError> {
    let (package, offer) = download(core, place, &params.skill_id).await?;
    let digest = package.digest().to_owned();
    let mut plan = core.plan_skill(package, offer).await?;
    if plan.needs_consent() && !plan.is_refused() {
        if params.consent.as_deref() != Some(digest.as_str()) {
            return Err(asking("needs_consent", &params.skill_id, &digest, &plan));
        }
        if let Decision::AskKeyChange { new, .. } = plan.decision()
            && params.accept_key.as_deref() != Some(new.fingerprint().as_str())
        {
            return Err(asking("needs_key_consent", &params.skill_id, &digest, &plan));
        }
        plan = plan.approve();
    }
    let version = plan.package().manifest().version.clone();
    let skill = core.install_skill(plan, false).await?;
    Ok(Installed {
        enabled: core.starts_by_itself(&skill).await?,
        installed: skill.to_string(),
        version,
    })
}

fn asking(kind: &str, skill: &str, digest: &str, plan: &Plan) -> RpcError {
    RpcError {
        data: Some(json!({ "kind": kind, "consent": digest, "asks": plan.to_string() })),
        ..RpcError::failed(format!("'{skill}' is not installed without consent: {plan}"))
    }
}

async fn download(core: &Core, place: Option<&str>, skill: &str) -> Result<(SkillPackage, Offer), RpcError> {
    let skill = id(skill)?;
    let registry = core.home().registry(place)?;
    let listing = registry.index(false).await.map_err(CoreError::from)?;
    let entry = listing.index.find(&skill).ok_or_else(|| CoreError::NotFound {
        what: "the skill",
        name: skill.to_string(),
        hint: "the registry does not have it".to_owned(),
    })?;
    Ok(registry.download(entry).await.map_err(CoreError::from)?)
}
