//! The engine and the skills that are measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use openhuman_skills::{CallOptions, Engine, EngineBuilder, Grant, HostModule, SkillId, SkillPackage};
use serde_json::{Value, json};

use crate::Outcome;

/// A small skill in the style of the published ones.
pub(crate) const SMALL: &str = include_str!("small.js");
/// Endless loops, in bytecode and in a built-in function.
pub(crate) const HOG: &str = include_str!("hog.js");

/// An engine with the product's defaults, and a host module of the kind a product adds.
pub(crate) fn engine(delay: Arc<Delay>) -> EngineBuilder {
    Engine::builder().module(delay)
}

/// A host function that takes a given time.
#[derive(Default)]
pub(crate) struct Delay {
    pub(crate) millis: AtomicU64,
    pub(crate) entered: AtomicUsize,
}

impl HostModule for Delay {
    fn name(&self) -> &str {
        "delay"
    }

    fn functions(&self) -> &[&str] {
        &["wait"]
    }

    fn call(&self, _: &SkillId, _: &str, _: Value) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async {
            self.entered.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(self.millis.load(Ordering::SeqCst))).await;
            Ok(json!(true))
        })
    }
}

pub(crate) async fn install(engine: &Engine, id: &str, code: &str, grant: Grant) -> Outcome<SkillId> {
    let manifest = json!({
        "id": id, "name": id, "version": "1.0.0", "description": "Measured.",
        "permissions": {"net": [{"host": "api.example.com"}], "notify": true, "db": {"max_mb": 8}},
    });
    let package = SkillPackage::from_parts(&manifest.to_string(), code.to_owned())?;
    Ok(engine.install(package, grant).await?)
}

pub(crate) async fn start(engine: &Engine, id: &str, code: &str) -> Outcome<SkillId> {
    let id = install(engine, id, code, Grant::none()).await?;
    engine.start(&id).await?;
    Ok(id)
}

/// Starts `count` small skills, some at a time.
pub(crate) async fn start_many(engine: &Engine, count: usize, grant: &Grant) -> Outcome<Vec<SkillId>> {
    let mut ids = Vec::with_capacity(count);
    for first in (0..count).step_by(64) {
        let started = (first..count.min(first + 64)).map(|index| async move {
            let id = install(engine, &format!("small-{index}"), SMALL, grant.clone()).await?;
            engine.start(&id).await?;
            Outcome::Ok(id)
        });
        ids.extend(try_join_all(started).await?);
    }
    Ok(ids)
}

pub(crate) async fn call(engine: &Engine, id: &SkillId, tool: &str, args: Value) -> Outcome<String> {
    Ok(engine
        .call_tool(id, tool, args, CallOptions::default())
        .await?
        .text)
}
