//! What a call costs: alone, many at once, and beside endless loops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use openhuman_skills::{CallOptions, Engine, Grant, QuarantinePolicy, SkillId, ToolError};
use serde_json::json;
use tokio::task::{AbortHandle, JoinSet};

use crate::meter::{cpu, median, micros, millis, number, quantile};
use crate::skills::{HOG, call, engine, start, start_many};
use crate::{Figures, Outcome};

const SKILLS: usize = 1000;
const HOT: usize = 100;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);

/// What one round of calls gave.
struct Load {
    calls: usize,
    wall: Duration,
    cpu: Duration,
    /// In microseconds.
    latencies: Vec<f64>,
}

impl Load {
    fn per_second(&self) -> f64 {
        self.calls as f64 / self.wall.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        micros(self.cpu) / self.calls as f64
    }
}

/// Keeps `in_flight` calls going over all `ids`, each from its own asynchronous caller.
async fn drive(engine: &Engine, ids: &Arc<Vec<SkillId>>, in_flight: usize, time: Duration) -> Outcome<Load> {
    let turn = Arc::new(AtomicUsize::new(0));
    let (begin, cpu_before) = (Instant::now(), cpu());
    let end = begin + time;
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let (engine, ids, turn) = (engine.clone(), Arc::clone(ids), Arc::clone(&turn));
        callers.spawn(async move {
            let mut latencies = Vec::with_capacity(1 << 14);
            loop {
                let started = Instant::now();
                if started >= end {
                    return Outcome::Ok(latencies);
                }
                let n = turn.fetch_add(1, Ordering::Relaxed);
                let id = &ids[n % ids.len()];
                let output = engine
                    .call_tool(id, "add", json!({ "n": n }), CallOptions::default())
                    .await?;
                latencies.push(micros(started.elapsed()));
                if output.text != (n + 1).to_string() {
                    return Err(format!("{id} answered {} to {n}", output.text).into());
                }
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(caller) = callers.join_next().await {
        latencies.extend(caller??);
    }
    Ok(Load {
        calls: latencies.len(),
        wall: begin.elapsed(),
        cpu: cpu() - cpu_before,
        latencies,
    })
}

/// Processor time for each call and calls for each second, 64 in flight: over 100 skills, over 1,000.
pub(crate) async fn cost() -> Outcome {
    let engine = engine(Arc::default()).build()?;
    let all = Arc::new(start_many(&engine, SKILLS, &Grant::none()).await?);
    let hot = Arc::new(all.iter().take(HOT).cloned().collect::<Vec<_>>());
    let mut figures = Figures::new();
    let mut results = [(hot, "hot100", Vec::new()), (all, "1000", Vec::new())];
    for (ids, _, _) in &results {
        drive(&engine, ids, 64, ROUND / 4).await?;
    }
    for _ in 0..ROUNDS {
        for (ids, _, loads) in &mut results {
            loads.push(drive(&engine, ids, 64, ROUND).await?);
        }
    }
    for (_, name, mut loads) in results {
        let mut of = |figure: fn(&mut Load) -> f64| {
            number(median(&mut loads.iter_mut().map(figure).collect::<Vec<_>>()))
        };
        figures.insert(format!("call_cpu_us_{name}"), of(|load| load.cpu_us()));
        figures.insert(format!("calls_per_s_{name}"), of(|load| load.per_second()));
        figures.insert(
            format!("call_p50_us_{name}"),
            of(|load| median(&mut load.latencies)),
        );
        figures.insert(
            format!("call_p99_us_{name}"),
            of(|load| quantile(&mut load.latencies, 0.99)),
        );
    }
    Ok(figures)
}

/// One call at a time, beside an empty message to a thread and back.
pub(crate) async fn round_trip() -> Outcome {
    const BLOCK: usize = 2000;
    let engine = engine(Arc::default()).build()?;
    let id = start_many(&engine, 1, &Grant::none()).await?.remove(0);
    let (mut ours, mut base, mut std_base) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..8 {
        let mut block = Vec::with_capacity(BLOCK);
        for n in 0..BLOCK {
            let started = Instant::now();
            call(&engine, &id, "add", json!({ "n": n })).await?;
            block.push(micros(started.elapsed()));
        }
        let messages = empty_messages(BLOCK).await?;
        let std_messages = empty_std_messages(BLOCK)?;
        // The first round warms up.
        if round > 0 {
            ours.append(&mut block);
            base.extend(messages);
            std_base.extend(std_messages);
        }
    }
    let (ours, base, std_base) = (median(&mut ours), median(&mut base), median(&mut std_base));
    let mut figures = Figures::new();
    figures.insert("rtt_ours_us".into(), number(ours));
    figures.insert("rtt_base_us".into(), number(base));
    figures.insert("rtt_floor_ratio".into(), number(ours / base));
    figures.insert("rtt_base_blocking_us".into(), number(std_base));
    figures.insert("rtt_floor_blocking_ratio".into(), number(ours / std_base));
    Ok(figures)
}

/// From an asynchronous caller to a thread and back, as every call must go at least.
async fn empty_messages(count: usize) -> Outcome<Vec<f64>> {
    let (there, inbox) = channel::<tokio::sync::oneshot::Sender<()>>();
    let echo = std::thread::spawn(move || {
        while let Ok(back) = inbox.recv() {
            let _ = back.send(());
        }
    });
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        let (back, answer) = tokio::sync::oneshot::channel();
        there.send(back)?;
        answer.await?;
        times.push(micros(started.elapsed()));
    }
    drop(there);
    let _ = echo.join();
    Ok(times)
}

/// The same between two blocking threads.
fn empty_std_messages(count: usize) -> Outcome<Vec<f64>> {
    let (there, inbox) = channel::<()>();
    let (back, answers) = channel();
    let echo = std::thread::spawn(move || while inbox.recv().is_ok() && back.send(()).is_ok() {});
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        there.send(())?;
        answers.recv()?;
        times.push(micros(started.elapsed()));
    }
    drop(there);
    let _ = echo.join();
    Ok(times)
}

/// 1,000 skills with 16 calls in flight, alternating without and with four endless loops that are called again at once.
pub(crate) async fn hostile() -> Outcome {
    const HOGS: usize = 4;
    /// A hog's call ends here and is made again.
    const LIMIT: Duration = Duration::from_millis(100);
    let engine = engine(Arc::default())
        .quarantine(QuarantinePolicy::off())
        .build()?;
    let ids = Arc::new(start_many(&engine, SKILLS, &Grant::none()).await?);
    let mut hogs = Vec::new();
    for index in 0..HOGS {
        hogs.push(start(&engine, &format!("hog-{index}"), HOG).await?);
    }
    // How many turns one hog makes in a second of processor time.
    let before = cpu();
    let spun = engine.call_tool(
        &hogs[0],
        "spin",
        json!({}),
        CallOptions {
            timeout: Duration::from_secs(1),
        },
    );
    if !matches!(spun.await, Err(ToolError::TimedOut)) {
        return Err("an endless loop returned".into());
    }
    let rate = turns(&engine, &hogs[..1]).await? / (cpu() - before).as_secs_f64();
    drive(&engine, &ids, 16, ROUND / 4).await?;
    let (mut without, mut with, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(drive(&engine, &ids, 16, ROUND).await?);
        let turned = turns(&engine, &hogs).await?;
        let spinning: Vec<AbortHandle> = hogs
            .iter()
            .map(|hog| {
                let (engine, hog) = (engine.clone(), hog.clone());
                tokio::spawn(async move {
                    loop {
                        let call = engine.call_tool(&hog, "spin", json!({}), CallOptions { timeout: LIMIT });
                        if !matches!(call.await, Err(ToolError::TimedOut)) {
                            eprintln!("{hog} did not spin");
                            tokio::time::sleep(LIMIT).await;
                        }
                    }
                })
                .abort_handle()
            })
            .collect();
        let load = drive(&engine, &ids, 16, ROUND).await?;
        let wall = load.wall.as_secs_f64();
        spinning.iter().for_each(AbortHandle::abort);
        let turned = turns(&engine, &hogs).await? - turned;
        shares.push(turned / rate / (wall * cores()));
        with.push(load);
    }
    let mut figures = Figures::new();
    let per_second = |loads: &[Load]| median(&mut loads.iter().map(Load::per_second).collect::<Vec<_>>());
    let (base, beside) = (per_second(&without), per_second(&with));
    figures.insert("hostile4_throughput_ratio".into(), number(beside / base));
    figures.insert("hostile4_calls_per_s_without".into(), number(base));
    figures.insert("hostile4_calls_per_s_with".into(), number(beside));
    figures.insert("hog_cpu_share".into(), number(median(&mut shares)));
    for (name, loads) in [("", &mut with), ("_without", &mut without)] {
        for (part, label) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p999")] {
            let times = loads.iter_mut().map(|load| quantile(&mut load.latencies, part));
            let value = median(&mut times.collect::<Vec<_>>());
            figures.insert(format!("hostile4_{label}{name}_ms"), number(value / 1e3));
        }
    }
    figures.insert("hostile4_round_ms".into(), number(millis(ROUND)));
    Ok(figures)
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(2.0, |cores| cores.get() as f64)
}

async fn turns(engine: &Engine, hogs: &[SkillId]) -> Outcome<f64> {
    let mut total = 0.0;
    for hog in hogs {
        total += call(engine, hog, "turns", json!({})).await?.parse::<f64>()?;
    }
    Ok(total)
}
