//! What `onHookTriggered` answers.

use openhuman_skills::{Engine, Grant, SkillEvent};
use serde_json::json;

use crate::support::{call, run_with, until};

/// Reacts to `price`, counts what came, and answers as the event says.
const REACTS: &str = "let came = 0; globalThis.__skill = { default: {
    init() { hooks.register({ id: 'h', filter: { event_types: ['price'] }, priority: PRIORITY }); },
    onHookTriggered(what) {
        came++;
        const { suppress, broken } = what.event.data;
        if (broken) throw new Error('broken on purpose');
        return { suppress, actions: [{ type: 'show', payload: 'ID' }, { payload: 'no type' }] };
    },
    tools: [{ name: 'came', description: '', input_schema: {}, execute: () => String(came) }],
} };";

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_keeps_an_event_from_those_behind_it_and_its_actions_reach_the_host() {
    let engine = Engine::builder().workers(1).build().unwrap();
    let mut events = engine.events();
    let mut grant = Grant::none();
    grant.allow_event("price");
    let install = async |id: &str, priority: &str| {
        let code = REACTS.replace("PRIORITY", priority).replace("ID", id);
        run_with(&engine, id, &code, grant.clone()).await
    };
    let (low, high) = (install("low", "1").await, install("high", "10").await);
    let emit = "globalThis.__skill = { default: { tools: [{ name: 'run', description: '', input_schema: {},
        execute: (data) => String(hooks.emit({ type: 'price', data })) }] } };";
    let source = run_with(&engine, "source", emit, Grant::none()).await;
    let came = async |id| {
        let options = openhuman_skills::CallOptions::default();
        let output = engine.call_tool(id, "came", json!({}), options).await;
        output.unwrap().text
    };
    let mut acted = Vec::new();
    for (data, behind) in [
        (json!({}), 1),
        (json!({ "broken": true }), 2),
        (json!({ "suppress": "yes" }), 3),
        (json!({ "suppress": true }), 3),
    ] {
        let before: usize = came(&high).await.parse().unwrap();
        call(&engine, &source, data.clone()).await.unwrap();
        while came(&high).await.parse::<usize>().unwrap() == before {
            tokio::task::yield_now().await;
        }
        if behind > 0 && data.get("suppress") != Some(&json!(true)) {
            while came(&low).await != behind.to_string() {
                tokio::task::yield_now().await;
            }
        }
    }
    // Three times `high` and twice `low` answered with actions; the last one was kept from `low`.
    until(|| {
        while let Ok(event) = events.try_recv() {
            if let SkillEvent::HookActions {
                skill_id,
                hook_id,
                actions,
            } = event
            {
                assert_eq!((hook_id.as_str(), actions.len()), ("h", 1));
                acted.push(skill_id.to_string());
            }
        }
        acted.len() == 5
    })
    .await;
    assert_eq!(acted, ["high", "low", "high", "low", "high"]);
    assert_eq!(came(&low).await, "3");
    engine.shutdown().await;
}
