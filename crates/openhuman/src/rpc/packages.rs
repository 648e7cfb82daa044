//! The methods `openhuman.skills_*` on packages, the registry and data files.

use openhuman_skills::registry::{Available, Listing};
use openhuman_skills::{DataError, SkillId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::params::{parse, parse_secret, to_json};
use super::skills::SkillParams;
use super::{RpcError, plan};
use crate::{Core, CoreError, Removal};

/// The methods answered here.
pub(super) const METHODS: [&str; 12] = [
    "openhuman.skills_registry_fetch",
    "openhuman.skills_search",
    "openhuman.skills_list_available",
    "openhuman.skills_list_installed",
    "openhuman.skills_plan",
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

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParams {
    query: String,
    category: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UninstallParams {
    skill_id: String,
    /// Keep the documents that it added to the memory.
    #[serde(default)]
    keep_documents: bool,
    /// Delete its rows, files and published state. Without it they stay for the same publisher's skill.
    #[serde(default)]
    forget_data: bool,
}

/// What was removed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Uninstalled {
    /// Whether it was installed.
    removed: bool,
    /// How many documents were forgotten.
    documents: usize,
    /// Whether its own data was deleted.
    data: bool,
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
            to_json(&found.into_iter().filter(fits).collect::<Vec<_>>())
        }
        "openhuman.skills_list_available" => to_json(&available(core, registry, "").await?),
        "openhuman.skills_list_installed" => installed(core).await,
        "openhuman.skills_plan" => to_json(&plan::plan(core, registry, &parse(params)?).await?),
        "openhuman.skills_install" => to_json(&plan::install(core, registry, parse(params)?).await?),
        "openhuman.skills_uninstall" => {
            let params: UninstallParams = parse(params)?;
            let removal = Removal {
                keep_documents: params.keep_documents,
                forget_data: params.forget_data,
            };
            let removed = core.remove_skill(&id(&params.skill_id)?, removal).await?;
            to_json(&Uninstalled {
                removed: removed.is_some(),
                documents: removed.map_or(0, |removed| removed.documents),
                data: removed.is_some_and(|removed| removed.data),
            })
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

pub(super) fn id(text: &str) -> Result<SkillId, RpcError> {
    text.parse::<SkillId>()
        .map_err(|error| RpcError::params(error.to_string()))
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
