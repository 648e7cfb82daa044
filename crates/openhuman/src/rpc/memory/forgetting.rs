//! Forgetting everywhere, and the copies that still hold what was forgotten.

use std::path::PathBuf;

use openhuman_memory::forget::Forget;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Core;
use crate::rpc::RpcError;
use crate::rpc::params::{parse, to_json};

pub(super) const METHODS: [&str; 3] = [
    "openhuman.memory_forget",
    "openhuman.memory_outdated_backups",
    "openhuman.memory_delete_backup",
];

/// Exactly one of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetParams {
    person: Option<String>,
    source: Option<String>,
    skill: Option<String>,
    phrase: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathParams {
    path: PathBuf,
}

pub(super) async fn call(core: &Core, method: &str, params: Value) -> Result<Value, RpcError> {
    match method {
        "openhuman.memory_forget" => to_json(&core.forget(what(parse(params)?)?).await?),
        "openhuman.memory_outdated_backups" => {
            let backups = core.blocking(Core::outdated_backups).await?;
            Ok(json!({ "backups": backups }))
        }
        "openhuman.memory_delete_backup" => {
            let PathParams { path } = parse(params)?;
            core.blocking(move |core| core.delete_backup(&path)).await?;
            Ok(json!({ "ok": true }))
        }
        other => Err(RpcError::unknown_method(other)),
    }
}

fn what(params: ForgetParams) -> Result<Forget, RpcError> {
    let given = [
        params.person.map(Forget::Person),
        params.source.map(Forget::Source),
        params.skill.map(Forget::Skill),
        params.phrase.map(Forget::Phrase),
    ];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(what), None) => Ok(what),
        _ => Err(RpcError::params(
            "say what to forget: exactly one of person, source, skill and phrase",
        )),
    }
}
