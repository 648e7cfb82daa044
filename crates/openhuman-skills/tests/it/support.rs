use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use openhuman_skills::{CallOptions, Engine, Grant, SkillId, SkillPackage, ToolError};
use serde_json::{Value, json};

/// An engine with two workers.
pub(crate) fn engine() -> Engine {
    Engine::builder().workers(2).build().unwrap()
}

/// A package with an id and a script.
pub(crate) fn package(id: &str, code: &str) -> SkillPackage {
    let manifest = json!({"id": id, "name": id}).to_string();
    SkillPackage::from_parts(&manifest, code.to_owned()).unwrap()
}

/// Installs and starts a skill.
pub(crate) async fn run(engine: &Engine, id: &str, code: &str) -> SkillId {
    run_with(engine, id, code, Grant::none()).await
}

pub(crate) async fn run_with(engine: &Engine, id: &str, code: &str, grant: Grant) -> SkillId {
    let id = engine.install(package(id, code), grant).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

/// A skill with one tool `run` that has this body.
pub(crate) fn tool(body: &str) -> String {
    format!(
        "globalThis.__skill = {{ default: {{ tools: [{{ name: 'run', description: 'd', execute(args) {{ {body} }} }}] }} }};"
    )
}

/// Calls the tool `run`.
pub(crate) async fn call(engine: &Engine, id: &SkillId, args: Value) -> Result<String, ToolError> {
    call_for(engine, id, args, Duration::from_secs(30)).await
}

pub(crate) async fn call_for(
    engine: &Engine,
    id: &SkillId,
    args: Value,
    timeout: Duration,
) -> Result<String, ToolError> {
    engine
        .call_tool(id, "run", args, CallOptions { timeout })
        .await
        .map(|output| output.text)
}

/// Runs one script in its own skill and returns what its tool returned.
pub(crate) async fn eval(body: &str) -> Result<String, ToolError> {
    let engine = engine();
    let id = run(&engine, "one", &tool(body)).await;
    let result = call(&engine, &id, json!({})).await;
    engine.shutdown().await;
    result
}

/// Waits until `check` holds, at most a minute.
pub(crate) async fn until(mut check: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the condition did not become true within a minute");
}

/// Polls a future once.
pub(crate) async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}
