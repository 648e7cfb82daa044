//! Measures what a skill costs: `cargo run --release -p openhuman-skills --example load [skills] [calls]`.
//!
//! Prints the memory of an idle skill, the round trip of a call beside that of an empty message between threads,
//! and the same with two endless loops running.

use std::time::{Duration, Instant};

use openhuman_skills::{CallOptions, Engine, Grant, SkillId, SkillPackage};
use serde_json::json;

const CODE: &str =
    "var tools = [{ name: 'run', execute(a) { if (a.spin) for (;;); return String(a.n + 1); } }];";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let skills = args.next().transpose()?.unwrap_or(200).max(1);
    let calls = args.next().transpose()?.unwrap_or(10_000);
    let engine = Engine::builder().build()?;
    install(&engine, "warm-up").await?;
    let before = resident_kb();
    let started = Instant::now();
    let mut ids = Vec::new();
    for index in 0..skills {
        ids.push(install(&engine, &format!("skill-{index}")).await?);
    }
    let each = started.elapsed() / u32::try_from(skills)?;
    let grown = resident_kb().saturating_sub(before);
    println!(
        "idle skill           {} KB resident, started in {each:?} (sqlite in memory included)",
        grown / skills
    );
    println!("empty message        {}", quantiles(&mut empty_messages(calls)?));
    println!(
        "round trip           {}",
        quantiles(&mut round_trips(&engine, &ids, calls).await?)
    );
    for index in 0..2 {
        let id = install(&engine, &format!("hog-{index}")).await?;
        let engine = engine.clone();
        tokio::spawn(async move {
            engine
                .call_tool(&id, "run", json!({"spin": true}), CallOptions::default())
                .await
        });
    }
    println!(
        "  beside two hogs    {}",
        quantiles(&mut round_trips(&engine, &ids, calls).await?)
    );
    engine.shutdown().await;
    Ok(())
}

async fn install(engine: &Engine, id: &str) -> Result<SkillId, Box<dyn std::error::Error>> {
    let manifest = json!({"id": id, "name": id}).to_string();
    let id = engine
        .install(
            SkillPackage::from_parts(&manifest, CODE.to_owned())?,
            Grant::none(),
        )
        .await?;
    engine.start(&id).await?;
    Ok(id)
}

async fn round_trips(
    engine: &Engine,
    ids: &[SkillId],
    calls: usize,
) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let mut times = Vec::with_capacity(calls);
    for (n, id) in ids.iter().cycle().take(calls).enumerate() {
        let started = Instant::now();
        let output = engine
            .call_tool(id, "run", json!({ "n": n }), CallOptions::default())
            .await?;
        times.push(started.elapsed());
        assert_eq!(output.text, (n + 1).to_string());
    }
    Ok(times)
}

/// There and back between two threads, with nothing in between.
fn empty_messages(calls: usize) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let (there, inbox) = std::sync::mpsc::channel::<()>();
    let (back, answers) = std::sync::mpsc::channel();
    let echo = std::thread::spawn(move || while inbox.recv().is_ok() && back.send(()).is_ok() {});
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let started = Instant::now();
        there.send(())?;
        answers.recv()?;
        times.push(started.elapsed());
    }
    drop(there);
    let _ = echo.join();
    Ok(times)
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 1000).copied().unwrap_or_default();
    format!("p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999))
}

/// The resident memory of this process; 0 where the system does not tell.
fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or("");
    line.split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse().ok())
        .unwrap_or(0)
}
