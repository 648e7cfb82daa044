//! A built-in function that never returns, and how long the other skills wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use openhuman_skills::{CallOptions, Grant};
use serde_json::{Value, json};

use crate::meter::{median, millis, number};
use crate::skills::{HOG, engine, start, start_many};
use crate::{Figures, Outcome};

const RUNS: usize = 5;
const NEIGHBOURS: usize = 100;
/// An engine that needs longer has not recovered.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn native() -> Outcome {
    let mut times = Vec::new();
    let mut failed = 0;
    for _ in 0..RUNS {
        let engine = engine(Arc::default()).build()?;
        let ids = start_many(&engine, NEIGHBOURS, &Grant::none()).await?;
        let hog = start(&engine, "hog", HOG).await?;
        let stalled = Instant::now();
        let native = {
            let engine = engine.clone();
            tokio::spawn(async move {
                engine
                    .call_tool(&hog, "native", json!({}), CallOptions::default())
                    .await
            })
        };
        tokio::task::yield_now().await;
        // Every neighbour is called once the worker is held; the last answer tells when the engine is back.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let calls = ids
            .iter()
            .map(|id| engine.call_tool(id, "add", json!({"n": 1}), CallOptions { timeout: PATIENCE }));
        let answers = tokio::time::timeout(PATIENCE, join_all(calls)).await;
        let Ok(answers) = answers else {
            return Ok(Figures::from_iter([(
                "native_stall_recovery_ms".into(),
                Value::Null,
            )]));
        };
        times.push(millis(stalled.elapsed()));
        failed += answers.iter().filter(|answer| answer.is_err()).count();
        native.abort();
        if tokio::time::timeout(PATIENCE, engine.shutdown()).await.is_err() {
            eprintln!("the engine did not shut down within {PATIENCE:?}");
        }
    }
    let mut figures = Figures::new();
    figures.insert("native_stall_recovery_ms".into(), number(median(&mut times)));
    figures.insert(
        "native_stall_recovery_most_ms".into(),
        number(times.iter().copied().fold(0.0, f64::max)),
    );
    figures.insert("native_stall_neighbour_errors".into(), failed.into());
    Ok(figures)
}
