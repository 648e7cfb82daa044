use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use openhuman_skills::{CallOptions, Engine, Grant, HostModule, SkillId, ToolError};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{call, call_for, engine, is_pending, run, tool, until};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_each_get_their_own_result() {
    let engine = engine();
    let code = "var tools = [
        { name: 'sync', execute: (a) => 'sync' + a.n },
        { name: 'slow', execute: (a) => { sleep(a.n % 5); return 'slow' + a.n; } },
        { name: 'async', execute: async (a) => { await new Promise((d) => setTimeout(d, (40 - a.n) % 7)); return 'async' + a.n; } },
    ];";
    let id = run(&engine, "many", code).await;
    let calls = (0..40).map(|n| {
        let (engine, id) = (&engine, &id);
        let name = ["sync", "slow", "async"][n % 3];
        async move {
            let output = engine
                .call_tool(id, name, json!({ "n": n }), CallOptions::default())
                .await;
            assert_eq!(output.unwrap().text, format!("{name}{n}"));
        }
    });
    join_all(calls).await;
    engine.shutdown().await;
}

/// A module whose function waits for a permit.
struct Gate {
    entered: AtomicUsize,
    left: AtomicUsize,
    permits: Semaphore,
}

struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl HostModule for Gate {
    fn name(&self) -> &str {
        "gate"
    }
    fn functions(&self) -> &[&str] {
        &["wait"]
    }
    fn call(&self, _: &SkillId, _: &str, args: Value) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async move {
            let _leaving = Leaving(&self.left);
            self.entered.fetch_add(1, Ordering::SeqCst);
            let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
            Ok(args[0].clone())
        })
    }
}

fn gated() -> (Engine, Arc<Gate>) {
    let gate = Arc::new(Gate {
        entered: AtomicUsize::new(0),
        left: AtomicUsize::new(0),
        permits: Semaphore::new(0),
    });
    (
        Engine::builder().workers(1).module(gate.clone()).build().unwrap(),
        gate,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_says_so() {
    let (engine, gate) = gated();
    let id = run(&engine, "busy", &tool("return gate.wait(args.n);")).await;
    let first = {
        let (engine, id) = (engine.clone(), id.clone());
        tokio::spawn(async move { call(&engine, &id, json!({ "n": 0 })).await })
    };
    until(|| gate.entered.load(Ordering::SeqCst) == 1).await;
    let mut waiting: Vec<_> = (1..=64)
        .map(|n| Box::pin(call(&engine, &id, json!({ "n": n }))))
        .collect();
    for call in &mut waiting {
        assert!(is_pending(call.as_mut()).await);
    }
    assert!(matches!(
        call(&engine, &id, json!({ "n": 99 })).await,
        Err(ToolError::Busy { limit: 64, .. })
    ));
    gate.permits.add_permits(1);
    assert_eq!(first.await.unwrap().as_deref(), Ok("0"));
    for (n, result) in join_all(waiting).await.into_iter().enumerate() {
        assert_eq!(result, Ok((n + 1).to_string()));
    }
    assert_eq!(call(&engine, &id, json!({ "n": 99 })).await.as_deref(), Ok("99"));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_future_cancels_the_call() {
    let (engine, gate) = gated();
    let id = run(
        &engine,
        "drop",
        &tool("if (args.spin) { for (;;); } return gate.wait(args.n);"),
    )
    .await;
    let mut dropped = Box::pin(call(&engine, &id, json!({ "n": 1 })));
    assert!(is_pending(dropped.as_mut()).await);
    until(|| gate.entered.load(Ordering::SeqCst) == 1).await;
    drop(dropped);
    until(|| gate.left.load(Ordering::SeqCst) == 1).await;
    // An endless loop whose caller is gone ends too: the next call is answered.
    let mut spinning = Box::pin(call(&engine, &id, json!({ "spin": true })));
    assert!(is_pending(spinning.as_mut()).await);
    drop(spinning);
    gate.permits.add_permits(1);
    assert_eq!(
        call_for(&engine, &id, json!({ "n": 2 }), Duration::from_secs(10))
            .await
            .as_deref(),
        Ok("2")
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_what_runs_and_what_waits() {
    let (engine, gate) = gated();
    let code = "var tools = [{ name: 'run', execute(args) { if (args.spin) for (;;); return gate.wait(1); } }, { name: 'later', execute: () => new Promise((d) => setTimeout(d, 60000)) }];";
    let id = run(&engine, "stops", code).await;
    let later = engine.call_tool(&id, "later", json!({}), CallOptions::default());
    let calls = [
        call(&engine, &id, json!({})),
        call(&engine, &id, json!({})),
        call(&engine, &id, json!({ "spin": true })),
    ];
    let stop = async {
        until(|| gate.entered.load(Ordering::SeqCst) == 1).await;
        engine.stop(&id).await.unwrap();
    };
    let (later, calls, ()) = tokio::join!(later, join_all(calls), stop);
    assert!(matches!(later, Err(ToolError::Stopped { .. })), "{later:?}");
    assert!(
        calls
            .iter()
            .all(|result| matches!(result, Err(ToolError::Stopped { .. }))),
        "{calls:?}"
    );
    until(|| gate.left.load(Ordering::SeqCst) == 1).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_engine_ends_its_threads() {
    let (engine, gate) = gated();
    let id = run(&engine, "left", &tool("return gate.wait(1);")).await;
    {
        let (engine, id) = (engine.clone(), id.clone());
        tokio::spawn(async move {
            let _ = tokio::time::timeout(Duration::from_millis(100), call(&engine, &id, json!({}))).await;
            drop(engine);
        });
    }
    until(|| gate.entered.load(Ordering::SeqCst) == 1).await;
    drop(engine);
    until(|| gate.left.load(Ordering::SeqCst) == 1).await;
    until(|| Arc::strong_count(&gate) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_and_stop_do_not_race() {
    let engine = engine();
    let id = engine
        .install(crate::support::package("race", &tool("return 1")), Grant::none())
        .await
        .unwrap();
    let steps = (0..20).map(|n| {
        let (engine, id) = (&engine, &id);
        async move {
            if n % 2 == 0 {
                let _ = engine.start(id).await;
            } else {
                engine.stop(id).await.unwrap();
            }
        }
    });
    join_all(steps).await;
    let _ = engine.start(&id).await;
    assert_eq!(call(&engine, &id, json!({})).await.as_deref(), Ok("1"));
    engine.shutdown().await;
}
