//! The methods `openhuman.skills_*` on packages, the registry and data files.

use openhuman_skills::registry::{Available, Listing, Offer};
use openhuman_skills::{DataError, SkillId, SkillPackage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::skills::SkillParams;
use super::{RpcError, parse, parse_secret};
use crate::{Core, CoreError};

/// The methods answered here.
pub(super) const METHODS: [&str; 11] = [
    "openhuman.skills_registry_fetch",
    "openhuman.skills_search",
    "openhuman.skills_list_available",
    "openhuman.skills_list_installed",
    "openhuman.skills_install",
    "openhuman.skills_uninstall",
    "openhuman.skills_discover",
    "openhuman.skills_data_read",
    "openhuman.skills_data_write",
    "openhuman.skills_data_dir",
    "openhuman.skills_data_stats",
];

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FetchParams {
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchParams {
    query: String,
    category: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstallParams {
    skill_id: String,
    /// The digest that a refusal of kind `needs_consent` named: the user has seen what it means.
    consent: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileParams {
    skill_id: String,
    filename: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteParams {
    skill_id: String,
    filename: String,
    content: String,
}

/// Answers one of [`METHODS`]; `registry` is the place of the registry, the public one without it.
pub(super) async fn call(
    core: &Core,
    registry: Option<&str>,
    method: &str,
    params: Value,
) -> Result<Value, RpcError> {
    match method {
        "openhuman.skills_registry_fetch" => {
            let params: FetchParams = if params.is_null() {
                FetchParams::default()
            } else {
                parse(params)?
            };
            let listing = index(core, registry, params.force).await?;
            Ok(json!({
                "skills": listing.index.entries.len(), "generated_at": listing.index.generated_at,
                "fetched_at_ms": listing.fetched_at_ms, "problems": listing.index.problems,
                "notice": listing.notice,
            }))
        }
        "openhuman.skills_search" => {
            let params: SearchParams = parse(params)?;
            let found = available(core, registry, &params.query).await?;
            let fits = |entry: &Available| {
                let category = serde_json::to_value(entry)
                    .ok()
                    .and_then(|json| json.get("category").cloned());
                params
                    .category
                    .as_ref()
                    .is_none_or(|wanted| category == Some(json!(wanted)))
            };
            json_of(&found.into_iter().filter(fits).collect::<Vec<_>>())
        }
        "openhuman.skills_list_available" => json_of(&available(core, registry, "").await?),
        "openhuman.skills_list_installed" => installed(core).await,
        "openhuman.skills_install" => install(core, registry, parse(params)?).await,
        "openhuman.skills_uninstall" => {
            let params: SkillParams = parse(params)?;
            let removed = core.remove_skill(&id(&params.skill_id)?).await?;
            Ok(json!({ "removed": removed }))
        }
        "openhuman.skills_discover" => Ok(discovered(core)),
        "openhuman.skills_data_read" => {
            let params: FileParams = parse(params)?;
            let skill = core.skill(&params.skill_id)?;
            let text = data(core, move |core| {
                core.skills().read_data(&skill, &params.filename)
            })
            .await?;
            Ok(json!({ "content": text }))
        }
        "openhuman.skills_data_write" => {
            let params: WriteParams = parse_secret(params)?;
            let skill = core.skill(&params.skill_id)?;
            data(core, move |core| {
                core.skills()
                    .write_data(&skill, &params.filename, &params.content)
            })
            .await?;
            Ok(json!({ "ok": true }))
        }
        "openhuman.skills_data_dir" => {
            let params: SkillParams = parse(params)?;
            let skill = core.skill(&params.skill_id)?;
            let place = core.home().skills_data_dir().join(core.inner().places.of(&skill));
            // What lies there is sealed: files are read with `skills_data_read`.
            Ok(json!({ "dir": place, "sealed": true }))
        }
        "openhuman.skills_data_stats" => {
            let params: SkillParams = parse(params)?;
            let skill = core.skill(&params.skill_id)?;
            let stats = data(core, move |core| core.skills().data_stats(&skill)).await?;
            Ok(json!({ "files": stats.files, "bytes": stats.bytes }))
        }
        other => Err(RpcError::unknown_method(other)),
    }
}

fn id(text: &str) -> Result<SkillId, RpcError> {
    text.parse::<SkillId>()
        .map_err(|error| RpcError::params(error.to_string()))
}

fn json_of(value: &impl serde::Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(|error| RpcError::failed(error.to_string()))
}

async fn index(core: &Core, registry: Option<&str>, force: bool) -> Result<Listing, RpcError> {
    let registry = core.home().registry(registry)?;
    Ok(registry.index(force).await.map_err(CoreError::from)?)
}

/// What the registry offers, beside what is installed; only what holds every word.
async fn available(core: &Core, registry: Option<&str>, words: &str) -> Result<Vec<Available>, RpcError> {
    let listing = index(core, registry, false).await?;
    let lockfile = core
        .blocking(|core| Ok(core.home().package_store()?.lockfile()?))
        .await?;
    let found = listing.index.search(words);
    Ok(found
        .filter(|entry| !entry.ignore_in_production)
        .map(|entry| entry.beside(&lockfile))
        .collect())
}

async fn installed(core: &Core) -> Result<Value, RpcError> {
    let lockfile = core
        .blocking(|core| Ok(core.home().package_store()?.lockfile()?))
        .await?;
    let all: Vec<Value> = lockfile
        .installed()
        .map(|(skill, installed)| {
            json!({
                "id": skill, "version": installed.version, "digest": installed.digest, "source": installed.source,
                "installed_at_ms": installed.installed_at_ms,
            })
        })
        .collect();
    Ok(Value::from(all))
}

/// Installs a skill of the registry. What needs the user's consent is refused first, with what it means and the digest
/// to come back with.
async fn install(core: &Core, place: Option<&str>, params: InstallParams) -> Result<Value, RpcError> {
    let skill = id(&params.skill_id)?;
    let registry = core.home().registry(place)?;
    let listing = registry.index(false).await.map_err(CoreError::from)?;
    let entry = listing.index.find(&skill).ok_or_else(|| CoreError::NotFound {
        what: "the skill",
        name: skill.to_string(),
        hint: "the registry does not have it".to_owned(),
    })?;
    let (package, offer): (SkillPackage, Offer) = registry.download(entry).await.map_err(CoreError::from)?;
    let digest = package.digest().to_owned();
    let mut plan = core.plan_skill(package, offer).await?;
    if plan.needs_consent() && !plan.is_refused() {
        if params.consent.as_deref() != Some(digest.as_str()) {
            return Err(RpcError {
                data: Some(json!({ "kind": "needs_consent", "consent": digest, "asks": plan.to_string() })),
                ..RpcError::failed(format!("'{skill}' is not installed without consent: {plan}"))
            });
        }
        plan = plan.approve();
    }
    let version = plan.package().manifest().version.clone();
    core.install_skill(plan, false).await?;
    Ok(json!({ "installed": skill, "version": version }))
}

/// Every skill that was found, with what its manifest says.
fn discovered(core: &Core) -> Value {
    let all = core.skill_snapshots().into_iter().filter_map(|snapshot| {
        let package = core.skills().package(&snapshot.skill_id.parse().ok()?)?;
        let manifest = package.manifest();
        Some(json!({
            "id": snapshot.skill_id, "name": manifest.name, "version": manifest.version,
            "description": manifest.description, "auto_start": manifest.auto_start, "entry": manifest.entry,
        }))
    });
    Value::from(all.collect::<Vec<_>>())
}

async fn data<T: Send + 'static>(
    core: &Core,
    work: impl FnOnce(&Core) -> Result<T, DataError> + Send + 'static,
) -> Result<T, RpcError> {
    let done = core.blocking(move |core| Ok(work(core))).await?;
    done.map_err(|error| RpcError::failed(error.to_string()))
}
