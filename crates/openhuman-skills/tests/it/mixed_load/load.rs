//! Everything at once: tool calls, schedules and events for many skills. Shared by the test and the benchmark.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use openhuman_skills::{CallOptions, Engine, Grant, ManualClock, SkillId, SkillPackage, ToolError};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SKILL: &str = "
    const counted = { calls: 0, cron: 0, events: 0 };
    globalThis.__skill = { default: {
        onCronTrigger(id) { counted.cron++; },
        onServerEvent(name, data) { counted.events++; if (data.n < 0) throw new Error('negative'); },
        tools: [
            { name: 'add', execute(a) { counted.calls++; return String(a.n + 1); } },
            { name: 'wait', execute(a) { counted.calls++; sleep(1); return String(a.n + 1); } },
            { name: 'counted', execute: () => counted },
            { name: 'schedule', execute(a) { for (let i = 0; i < a.count; i++) cron.register('s' + i, '0 * * * * *'); return cron.list().length; } },
        ],
    } };
";

/// How much of everything.
pub(crate) struct Size {
    pub(crate) skills: usize,
    /// Tool calls; every other one waits in the host for a moment.
    pub(crate) calls: usize,
    /// Schedules in each skill, all due at the same moment.
    pub(crate) schedules: usize,
    /// Events that every skill gets.
    pub(crate) events: usize,
}

impl Size {
    /// 1,000 skills, 2,000 tool calls, 5,000 schedules, 5,000 deliveries of events.
    #[allow(dead_code, reason = "the test has its own size")]
    pub(crate) fn full() -> Self {
        Self {
            skills: 1000,
            calls: 2000,
            schedules: 5,
            events: 5,
        }
    }
}

/// What became of it.
pub(crate) struct Report {
    pub(crate) wall: Duration,
    /// Tool calls with the right result.
    pub(crate) calls: usize,
    /// Refusals of tool calls by a full mailbox; each was made again.
    pub(crate) calls_busy: usize,
    /// Schedules that fired, as counted by the engine and by the skills.
    pub(crate) cron: usize,
    /// Events that were handled, as counted by the engine and by the skills.
    pub(crate) events: usize,
    /// Events that a full mailbox refused.
    pub(crate) events_refused: usize,
    pub(crate) threads_before: u64,
    pub(crate) threads_most: u64,
}

/// Runs everything at once and checks that nothing got lost.
pub(crate) async fn run(size: &Size) -> Outcome<Report> {
    let clock = Arc::new(ManualClock::new(1_000));
    let engine = Engine::builder().clock(clock.clone()).build()?;
    let ids = try_join_all((0..size.skills).map(|index| install(&engine, index, size.schedules))).await?;
    let watch = ThreadWatch::start();
    let started = Instant::now();
    clock.advance(Duration::from_secs(60));
    let calls = join_all((0..size.calls).map(|n| call(&engine, &ids[n % ids.len()], n)));
    let (calls, cron, events) = tokio::join!(calls, fire(&engine, size), send(&engine, size));
    let wall = started.elapsed();
    let (cron, (events, events_refused)) = (cron?, events?);
    let mut report = Report {
        wall,
        calls: 0,
        calls_busy: 0,
        cron,
        events,
        events_refused,
        threads_before: watch.before,
        threads_most: 0,
    };
    for result in calls {
        report.calls_busy += result?;
        report.calls += 1;
    }
    // Events are delivered without waiting for their hooks: the skills' own counts say when all have run.
    let end = Instant::now() + Duration::from_secs(60);
    let mut counted = counts(&engine, &ids).await?;
    while counted[2] < events && Instant::now() < end {
        counted = counts(&engine, &ids).await?;
    }
    report.threads_most = watch.stop();
    let expected = [
        size.calls,
        size.skills * size.schedules,
        size.skills * size.events,
    ];
    let got = [report.calls, report.cron, report.events + report.events_refused];
    if got != expected || counted != [report.calls, report.cron, report.events] {
        return Err(
            format!("expected {expected:?}, the engine counted {got:?}, the skills {counted:?}").into(),
        );
    }
    engine.shutdown().await;
    Ok(report)
}

async fn install(engine: &Engine, index: usize, schedules: usize) -> Outcome<SkillId> {
    let name = format!("load-{index}");
    let manifest = json!({"id": name, "name": name, "permissions": {"events": ["tick"]}}).to_string();
    let package = SkillPackage::from_parts(&manifest, SKILL.to_owned())?;
    let grant = Grant::from_manifest(package.manifest());
    let id = engine.install(package, grant).await?;
    engine.start(&id).await?;
    tool(engine, &id, "schedule", json!({ "count": schedules })).await?;
    Ok(id)
}

async fn tool(engine: &Engine, id: &SkillId, name: &str, args: Value) -> Result<String, ToolError> {
    Ok(engine
        .call_tool(id, name, args, CallOptions::default())
        .await?
        .text)
}

/// Calls a tool until the skill takes it; returns how often it was busy.
async fn call(engine: &Engine, id: &SkillId, n: usize) -> Outcome<usize> {
    let name = if n.is_multiple_of(2) { "add" } else { "wait" };
    let mut busy = 0;
    loop {
        match tool(engine, id, name, json!({ "n": n })).await {
            Ok(text) if text == (n + 1).to_string() => return Ok(busy),
            Ok(text) => return Err(format!("{id} answered {text} to {n}").into()),
            Err(ToolError::Busy { .. }) => {
                busy += 1;
                tokio::task::yield_now().await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Fires schedules until all that were due have run. One whose skill is busy stays due.
async fn fire(engine: &Engine, size: &Size) -> Outcome<usize> {
    let expected = size.skills * size.schedules;
    let mut fired = 0;
    let end = Instant::now() + Duration::from_secs(60);
    while fired < expected && Instant::now() < end {
        fired += engine.run_schedules().await?;
    }
    Ok(fired)
}

/// Sends the events to all skills; returns how many were delivered and refused.
async fn send(engine: &Engine, size: &Size) -> Outcome<(usize, usize)> {
    let mut delivered = 0;
    for n in 0..size.events {
        delivered += engine.server_event("tick", json!({ "n": n })).await;
    }
    Ok((delivered, size.skills * size.events - delivered))
}

/// The skills' own counts of calls, schedules and events.
async fn counts(engine: &Engine, ids: &[SkillId]) -> Outcome<[usize; 3]> {
    let mut total = [0; 3];
    for text in try_join_all(ids.iter().map(|id| tool(engine, id, "counted", json!({})))).await? {
        let counted: Value = serde_json::from_str(&text)?;
        for (sum, key) in total.iter_mut().zip(["calls", "cron", "events"]) {
            *sum += usize::try_from(counted[key].as_u64().unwrap_or(0))?;
        }
    }
    Ok(total)
}

/// The largest number of threads that was seen.
struct ThreadWatch {
    before: u64,
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    sampler: std::thread::JoinHandle<()>,
}

impl ThreadWatch {
    /// The sampler's own thread counts as one that was there before.
    fn start() -> Self {
        let (most, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let sampler = {
            let (most, over) = (Arc::clone(&most), Arc::clone(&over));
            std::thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    most.fetch_max(threads(), Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        };
        Self {
            before: threads(),
            most,
            over,
            sampler,
        }
    }

    fn stop(self) -> u64 {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.sampler.join();
        self.most.load(Ordering::SeqCst)
    }
}

/// The threads of this process; 0 where the system does not tell.
fn threads() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
