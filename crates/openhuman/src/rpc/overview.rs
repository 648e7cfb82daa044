//! `openhuman.skills_overview`: everything a list of skills shows, in one answer.

use openhuman_skills::registry::{Lockfile, Trust};
use openhuman_skills::{AuthKind, AuthMode, Manifest, SetupField, SkillSnapshot, SkillStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RpcError;
use crate::grants::Grants;
use crate::{Core, CoreError};

/// All skills of a home.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SkillsOverview {
    /// The skills, by id.
    pub skills: Vec<SkillOverview>,
    /// Packages that cannot be loaded at all.
    pub problems: Vec<PackageProblem>,
}

/// A package that cannot be loaded.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PackageProblem {
    /// Its directory.
    pub path: String,
    /// Why.
    pub error: String,
}

/// What a skill is doing, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkillCondition {
    /// It does not run.
    Stopped,
    /// It is about to run.
    Starting,
    /// It answers.
    Running,
    /// It is about to stop.
    Stopping,
    /// It waits for its set-up or its account.
    NeedsSetup,
    /// It had to be ended too often and does not run for a while.
    Quarantined,
    /// It failed.
    Error,
}

/// One skill.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SkillOverview {
    /// Its id.
    pub skill_id: String,
    /// Its name for people.
    pub name: String,
    /// The version of its package.
    pub version: Option<String>,
    /// What it does, as its author says.
    pub description: Option<String>,
    /// What it is doing.
    pub condition: SkillCondition,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// When its quarantine ends, in milliseconds since 1970, while it is in one.
    pub quarantined_until_ms: Option<i64>,
    /// Whether it starts with OpenHuman.
    pub enabled: bool,
    /// Whether it runs, and so can be set up and asked for its options.
    pub awake: bool,
    /// How its account is, in the word it publishes.
    pub connection_status: String,
    /// Its set-up and its accounts.
    pub setup: SetupOverview,
    /// Whether the user consented to this very package.
    pub allowed: bool,
    /// Whether it asks for anything that needs a consent.
    pub asks: bool,
    /// Its tools.
    pub tools: Vec<ToolOverview>,
    /// How it came here.
    pub origin: Origin,
}

/// Where a package came from, and who made it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Origin {
    /// Whether it was installed from a registry or an archive: then it can be updated and removed.
    pub installed: bool,
    /// Where from, for people.
    pub source: Option<String>,
    /// The fingerprint of the key that signed it.
    pub key: Option<String>,
}

/// A tool of a skill.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ToolOverview {
    /// Its bare name.
    pub name: String,
    /// What it does.
    pub description: String,
}

/// How a skill is set up.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SetupOverview {
    /// Whether it is of no use before.
    pub required: bool,
    /// Whether it is done, or none is required.
    pub complete: bool,
    /// What the button says.
    pub label: Option<String>,
    /// The ways to connect an account.
    pub modes: Vec<ModeOverview>,
}

/// One way to connect an account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModeOverview {
    /// Which way.
    pub mode: ModeKind,
    /// Its label.
    pub label: Option<String>,
    /// A sentence about it.
    pub description: Option<String>,
    /// Whose account, for a managed connection.
    pub provider: Option<String>,
    /// What the user fills in.
    pub fields: Vec<FieldOverview>,
    /// What the pasted text is.
    pub text_description: Option<String>,
    /// The placeholder of the input for it.
    pub text_placeholder: Option<String>,
}

/// The ways there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeKind {
    /// The backend holds the account.
    Managed,
    /// The user's own application.
    SelfHosted,
    /// A token that is pasted.
    Text,
}

/// One input.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FieldOverview {
    /// Under which name its value is handed over.
    pub name: String,
    /// `text`, `number`, `password`, `select`, `multiselect`, `boolean`, `textarea`, or a kind of a later host.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its label.
    pub label: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// Whether it must be filled in.
    pub required: bool,
    /// Its value before the user changes it.
    pub default: Option<Value>,
    /// Its placeholder.
    pub placeholder: Option<String>,
    /// The choices.
    pub options: Vec<ChoiceOverview>,
}

/// One choice.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChoiceOverview {
    /// What the user sees.
    pub label: String,
    /// What the skill gets.
    pub value: Value,
}

/// Looks at every skill. Reads the vault and the list of installed packages.
pub(super) async fn overview(core: &Core) -> Result<SkillsOverview, RpcError> {
    let (grants, lockfile) = core
        .blocking(|core| {
            Ok((
                Grants::load(core.vault())?,
                core.home().package_store()?.lockfile()?,
            ))
        })
        .await?;
    let mut skills = Vec::new();
    for snapshot in core.skill_snapshots() {
        match one(core, &grants, &lockfile, snapshot).await {
            // Removed in the meantime.
            Err(CoreError::NotFound { .. } | CoreError::Skill(_)) => {}
            found => skills.push(found?),
        }
    }
    Ok(SkillsOverview {
        skills,
        problems: core.unusable_packages(),
    })
}

async fn one(
    core: &Core,
    grants: &Grants,
    lockfile: &Lockfile,
    snapshot: SkillSnapshot,
) -> Result<SkillOverview, CoreError> {
    let id = core.skill(&snapshot.skill_id)?;
    let package = core.package(&id)?;
    let manifest = package.manifest();
    let installed = lockfile
        .installed()
        .find(|(known, _)| **known == id)
        .map(|(_, installed)| installed);
    let key = installed.and_then(|installed| match &installed.trust {
        Trust::Key { key } => Some(key.fingerprint()),
        _ => None,
    });
    let quarantine = core.skills().quarantine(&id);
    let (condition, reason) = match &quarantine {
        Some(quarantine) => (SkillCondition::Quarantined, Some(quarantine.reason.clone())),
        None => condition(&snapshot, manifest),
    };
    Ok(SkillOverview {
        version: manifest.version.clone(),
        description: manifest.description.clone(),
        condition,
        reason,
        quarantined_until_ms: quarantine.map(|quarantine| quarantine.until_ms),
        enabled: core.starts_by_itself(&id).await?,
        awake: snapshot.status == SkillStatus::Running,
        setup: setup(manifest, snapshot.setup_complete),
        allowed: grants.is_bound_to(id.as_str(), package.digest()),
        asks: !super::consent::wishes(manifest).is_empty(),
        origin: Origin {
            installed: installed.is_some(),
            source: installed.and_then(|installed| installed.source.clone()),
            key,
        },
        tools: snapshot
            .tools
            .into_iter()
            .map(|tool| ToolOverview {
                name: tool.name,
                description: tool.description,
            })
            .collect(),
        skill_id: snapshot.skill_id,
        name: snapshot.name,
        connection_status: snapshot.connection_status,
    })
}

/// What a skill is doing, and why.
fn condition(snapshot: &SkillSnapshot, manifest: &Manifest) -> (SkillCondition, Option<String>) {
    let published = |key: &str| snapshot.state.get(key).and_then(Value::as_str).map(str::to_owned);
    let waiting = || match (manifest.setup.required, snapshot.setup_complete) {
        (true, false) => Some("It has to be set up before it works.".to_owned()),
        _ => None,
    };
    match (snapshot.status, &snapshot.error) {
        (SkillStatus::Error, error) => (SkillCondition::Error, error.clone()),
        (SkillStatus::Initializing, _) => (SkillCondition::Starting, None),
        (SkillStatus::Stopping, _) => (SkillCondition::Stopping, None),
        (SkillStatus::Running, _) => match snapshot.connection_status.as_str() {
            "error" => (
                SkillCondition::Error,
                published("connection_error").or_else(|| published("auth_error")),
            ),
            "setup_required" => (SkillCondition::NeedsSetup, waiting()),
            "not_authenticated" => (
                SkillCondition::NeedsSetup,
                Some("Its account is not connected.".to_owned()),
            ),
            _ => (SkillCondition::Running, None),
        },
        _ => match waiting() {
            Some(reason) => (SkillCondition::NeedsSetup, Some(reason)),
            None => (SkillCondition::Stopped, None),
        },
    }
}

fn setup(manifest: &Manifest, complete: bool) -> SetupOverview {
    let setup = &manifest.setup;
    let mut modes: Vec<ModeOverview> = setup.auth.iter().flat_map(|auth| &auth.modes).map(mode).collect();
    // The older form of a managed connection.
    if let (Some(oauth), true) = (&setup.oauth, modes.is_empty()) {
        modes.push(ModeOverview {
            mode: ModeKind::Managed,
            label: None,
            description: None,
            provider: oauth.provider.clone(),
            fields: Vec::new(),
            text_description: None,
            text_placeholder: None,
        });
    }
    SetupOverview {
        required: setup.required,
        complete,
        label: setup.label.clone(),
        modes,
    }
}

fn mode(mode: &AuthMode) -> ModeOverview {
    ModeOverview {
        mode: match mode.kind {
            AuthKind::SelfHosted => ModeKind::SelfHosted,
            AuthKind::Text => ModeKind::Text,
            _ => ModeKind::Managed,
        },
        label: mode.label.clone(),
        description: mode.description.clone(),
        provider: mode.provider.clone(),
        fields: mode.fields.iter().map(field).collect(),
        text_description: mode.text_description.clone(),
        text_placeholder: mode.text_placeholder.clone(),
    }
}

fn field(field: &SetupField) -> FieldOverview {
    FieldOverview {
        name: field.name.clone(),
        kind: field.kind.clone(),
        label: field.label.clone(),
        description: field.description.clone(),
        required: field.required,
        default: field.default.clone(),
        placeholder: field.placeholder.clone(),
        options: field
            .options
            .iter()
            .map(|option| ChoiceOverview {
                label: option.label.clone(),
                value: option.value.clone(),
            })
            .collect(),
    }
}
