//! Synchronous host calls that wait, 2,000 at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use openhuman_skills::{Engine, Grant, SkillId};
use serde_json::json;

use crate::meter::{cpu, median, micros, millis, number, resident_kb, threads};
use crate::skills::{Delay, call, engine, start_many};
use crate::{Figures, Outcome};

const CALLS: usize = 2000;
const DELAY: Duration = Duration::from_millis(100);

pub(crate) async fn blocked() -> Outcome {
    let delay = Arc::new(Delay::default());
    let engine = engine(Arc::clone(&delay)).build()?;
    let ids = start_many(&engine, CALLS, &Grant::none()).await?;
    let mut figures = Figures::new();
    // Each skill has been called, but never waited: the stacks that waiting needs are not there yet.
    for id in &ids {
        call(&engine, id, "stats", json!({})).await?;
    }
    let (resident, threads_before) = (resident_kb(), threads());
    delay.millis.store(3000, Ordering::SeqCst);
    let waiting = tokio::spawn(wait_all(engine.clone(), ids.clone()));
    while delay.entered.load(Ordering::SeqCst) < CALLS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    figures.insert(
        "blocked_extra_kb".into(),
        number((resident_kb() - resident) / CALLS as f64),
    );
    figures.insert("sync_blocked_threads_before".into(), threads_before.into());
    figures.insert("sync_blocked_threads_during".into(), threads().into());
    waiting.await??;
    delay
        .millis
        .store(u64::try_from(DELAY.as_millis())?, Ordering::SeqCst);
    let (mut walls, mut spent) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (started, before) = (Instant::now(), cpu());
        wait_all(engine.clone(), ids.clone()).await?;
        walls.push(millis(started.elapsed()));
        spent.push(micros(cpu() - before) / CALLS as f64);
    }
    let wall = median(&mut walls);
    figures.insert("sync_blocked_2000_ours_ms".into(), number(wall));
    figures.insert("sync_blocked_2000_base_ms".into(), number(millis(DELAY)));
    figures.insert("sync_blocked_2000_ratio".into(), number(wall / millis(DELAY)));
    figures.insert("sync_blocked_cpu_us".into(), number(median(&mut spent)));
    Ok(figures)
}

/// One waiting call in each skill. Returns when the last has its answer.
async fn wait_all(engine: Engine, ids: Vec<SkillId>) -> Outcome<()> {
    let calls = ids.iter().map(|id| call(&engine, id, "wait", json!({})));
    for answer in try_join_all(calls).await? {
        if answer != r#"{"success":true,"value":true}"# {
            return Err(format!("a wrong answer: {answer}").into());
        }
    }
    Ok(())
}
