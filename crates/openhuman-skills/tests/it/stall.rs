//! Built-in functions that never ask whether they may go on.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use openhuman_skills::{Engine, Grant, QuarantinePolicy, SkillError, SkillId, SkillStatus, ToolError};
use serde_json::json;

use crate::support::{call_for, package, run, tool, until};

/// Scripts that run for far longer than a test, each in another way, inside built-in functions.
const ENDLESS: &[(&str, &str)] = &[
    ("reverse", "[].reverse.call({ length: 2 ** 53 - 1 })"),
    ("join", "[].join.call({ length: 2 ** 32 - 1 })"),
    ("index of", "('a'.repeat(1e7)).indexOf('a'.repeat(5e6) + 'b')"),
    ("includes", "[].includes.call({ length: 2 ** 53 - 1 }, 1)"),
    ("last index of", "[].lastIndexOf.call({ length: 2 ** 53 - 1 }, 1)"),
    ("copy within", "[].copyWithin.call({ length: 2 ** 53 - 1 }, 0, 1)"),
    (
        "typed array fills",
        "const a = new Uint8Array(32 << 20); for (;;) a.fill(1)",
    ),
    (
        "JSON in a loop",
        "const t = '[' + '1,'.repeat(5e6) + '1]'; for (;;) JSON.parse(t.slice(0, 1e6) + '1]')",
    ),
    (
        "deep prototypes",
        "let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (;;) o.missing",
    ),
    ("big powers", "let b = 3n ** 200000n; for (;;) b * b"),
    (
        "normalize",
        "const t = '\\u1E9B\\u0323'.repeat(2e6); for (;;) t.normalize('NFKD')",
    ),
    ("big to string", "const b = 7n ** 350000n; for (;;) b.toString()"),
    ("flat", "[].flat.call({ length: 2 ** 53 - 1 })"),
    ("unshift", "[].unshift.call({ length: 2 ** 53 - 3 }, 1)"),
    (
        "in a host function",
        "db.exec('SELECT ?', [{ toJSON() { return [].reverse.call({ length: 2 ** 53 - 1 }) } }])",
    ),
];

fn engine() -> Engine {
    Engine::builder().workers(1).build().unwrap()
}

/// A neighbour whose state shows that it was never built anew.
const NEIGHBOUR: &str = "globalThis.born = Math.random(); globalThis.count = 0;
    var tools = [{ name: 'run', execute: () => JSON.stringify([born, ++count]) }];";

async fn born(engine: &Engine, id: &SkillId) -> (f64, u64) {
    let text = call_for(engine, id, json!({}), Duration::from_secs(5))
        .await
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_builtin_ends_at_its_limit_and_its_neighbour_goes_on() {
    for (name, body) in ENDLESS {
        let engine = engine();
        let neighbour = run(&engine, "neighbour", NEIGHBOUR).await;
        let stuck = run(&engine, "stuck", &tool(body)).await;
        let (birth, mut count) = born(&engine, &neighbour).await;
        let started = Instant::now();
        let offender = call_for(&engine, &stuck, json!({}), Duration::from_millis(400));
        let others = async {
            let mut worst = Duration::ZERO;
            while started.elapsed() < Duration::from_millis(700) {
                let asked = Instant::now();
                assert_eq!(born(&engine, &neighbour).await, (birth, count + 1), "{name}");
                count += 1;
                worst = worst.max(asked.elapsed());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            worst
        };
        let (result, worst) = tokio::join!(offender, others);
        eprintln!("{name}: {result:?} worst {worst:?}, {count} calls");
        assert!(matches!(result, Err(ToolError::TimedOut)), "{name}: {result:?}");
        assert!(worst < Duration::from_secs(4), "{name}: {worst:?}");
        engine.shutdown().await;
    }
}

fn status(engine: &Engine, id: &SkillId) -> (SkillStatus, String) {
    let snapshots = engine.snapshots();
    let found = snapshots.iter().find(|snapshot| snapshot.skill_id == id.as_str());
    found.map_or((SkillStatus::Pending, String::new()), |snapshot| {
        (snapshot.status, snapshot.error.clone().unwrap_or_default())
    })
}

const REVERSE: &str = "if (args.ping) return 'alive'; [].reverse.call({ length: 2 ** 53 - 1 })";

#[tokio::test(flavor = "multi_thread")]
async fn an_offender_is_started_again_and_quarantined_after_three_times() {
    let engine = Engine::builder()
        .workers(1)
        .quarantine(QuarantinePolicy {
            restart_after: Duration::from_millis(1),
            ..QuarantinePolicy::default()
        })
        .build()
        .unwrap();
    let neighbour = run(&engine, "neighbour", NEIGHBOUR).await;
    let stuck = run(&engine, "stuck", &tool(REVERSE)).await;
    let (birth, _) = born(&engine, &neighbour).await;
    for time in 1..=3 {
        let waiting = call_for(&engine, &stuck, json!({}), Duration::from_millis(50));
        let (result, queued) = tokio::join!(waiting, async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            call_for(&engine, &stuck, json!({ "ping": true }), Duration::from_secs(60)).await
        });
        assert!(matches!(result, Err(ToolError::TimedOut)), "{result:?}");
        assert!(matches!(queued, Err(ToolError::Ended { .. })), "{queued:?}");
        if time < 3 {
            until(|| status(&engine, &stuck).0 == SkillStatus::Running).await;
            assert_eq!(
                call_for(&engine, &stuck, json!({ "ping": true }), Duration::from_secs(30)).await,
                Ok("alive".to_owned())
            );
        }
    }
    until(|| status(&engine, &stuck).1.contains("quarantine")).await;
    let text = status(&engine, &stuck).1;
    assert!(
        text.contains("3 times within 10 minutes") && text.contains("did not end"),
        "{text}"
    );
    let refused = call_for(&engine, &stuck, json!({}), Duration::from_secs(1)).await;
    assert!(
        matches!(refused, Err(ToolError::Quarantined { .. })),
        "{refused:?}"
    );
    let refused = engine.start(&stuck).await;
    assert!(
        matches!(refused, Err(SkillError::Quarantined { .. })),
        "{refused:?}"
    );
    let quarantine = engine.quarantine(&stuck).unwrap();
    assert!(quarantine.until_ms > 0 && !quarantine.reason.is_empty());
    assert!(engine.lift_quarantine(&stuck).unwrap());
    assert_eq!(engine.quarantine(&stuck), None);
    engine.start(&stuck).await.unwrap();
    assert_eq!(
        call_for(&engine, &stuck, json!({ "ping": true }), Duration::from_secs(30)).await,
        Ok("alive".to_owned())
    );
    assert_eq!(born(&engine, &neighbour).await.0, birth);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_stuck_while_it_loads_or_stops_ends_too() {
    let engine = Engine::builder()
        .workers(1)
        .lifecycle_limits(
            Duration::from_millis(300),
            Duration::from_millis(300),
            Duration::from_millis(300),
        )
        .build()
        .unwrap();
    let neighbour = run(&engine, "neighbour", NEIGHBOUR).await;
    let loads = engine
        .install(
            package("loads", "[].reverse.call({ length: 2 ** 53 - 1 })"),
            Grant::none(),
        )
        .await
        .unwrap();
    let started = engine.start(&loads).await;
    assert!(
        matches!(started, Err(SkillError::LoadTimedOut { .. })),
        "{started:?}"
    );
    engine.remove(&loads).await.unwrap();
    let code = "globalThis.__skill = { default: { stop() { [].reverse.call({ length: 2 ** 53 - 1 }); }, tools: [] } };";
    let stops = run(&engine, "stops", code).await;
    let asked = Instant::now();
    let stopped = engine.stop(&stops).await;
    assert!(matches!(stopped, Err(SkillError::TimedOut { .. })), "{stopped:?}");
    assert_eq!(status(&engine, &stops).0, SkillStatus::Stopped);
    let stuck = run(&engine, "stuck", &tool(REVERSE)).await;
    let (result, removed) = tokio::join!(
        call_for(&engine, &stuck, json!({}), Duration::from_secs(60)),
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            engine.remove(&stuck).await
        }
    );
    assert!(
        matches!(result, Err(ToolError::Stopped { .. } | ToolError::Ended { .. })),
        "{result:?}"
    );
    assert!(
        removed.is_ok() || matches!(removed, Err(SkillError::TimedOut { .. })),
        "{removed:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(20));
    born(&engine, &neighbour).await;
    engine.shutdown().await;
}

/// What a skill computes in long built-in functions, as one text.
const WORK: &str = "
    const numbers = Array.from({ length: 60000 }, (_, i) => (i * 7919) % 60013);
    const text = JSON.stringify(numbers.map((n) => ({ n, s: 'v' + n })));
    const parsed = JSON.parse(text);
    const sorted = numbers.slice().sort();
    const big = (3n ** 60000n).toString();
    const upper = text.toUpperCase().normalize('NFD');
    const matches = text.match(/(\\d+)\\D+v\\1/g).length;
    let hash = 0;
    for (const part of [text, sorted.join(), big, upper, numbers.reverse().join('-'), JSON.stringify(parsed)])
        for (let i = 0; i < part.length; i += 997) hash = (hash * 31 + part.charCodeAt(i)) | 0;
    return [hash, matches, parsed.length, big.length, text.indexOf('v60012'), new Uint8Array(1 << 20).fill(3).indexOf(4)].join();";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_suspended_inside_a_builtin_goes_on_as_if_nothing_had_been() {
    let calm = Engine::builder()
        .workers(1)
        .stall_limit(Duration::from_secs(3600))
        .build()
        .unwrap();
    let id = run(&calm, "calm", &tool(WORK)).await;
    let expected = call_for(&calm, &id, json!({}), Duration::from_secs(60))
        .await
        .unwrap();
    calm.shutdown().await;
    let engine = Engine::builder()
        .workers(1)
        .stall_limit(Duration::from_millis(1))
        .build()
        .unwrap();
    let ids = [
        run(&engine, "a", &tool(WORK)).await,
        run(&engine, "b", &tool(WORK)).await,
    ];
    for _ in 0..3 {
        let calls = ids
            .iter()
            .map(|id| call_for(&engine, id, json!({}), Duration::from_secs(60)));
        for result in join_all(calls).await {
            assert_eq!(result.as_ref(), Ok(&expected));
        }
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_but_finite_builtin_succeeds() {
    let engine = engine();
    let neighbour = run(&engine, "neighbour", NEIGHBOUR).await;
    let code = "const text = '[' + '1,'.repeat(1e6) + '1]'; let sum = 0;
        for (let i = 0; i < 5; i++) sum += JSON.parse(text).length; return String(sum);";
    let long = run(&engine, "long", &tool(code)).await;
    let (result, _) = tokio::join!(
        call_for(&engine, &long, json!({}), Duration::from_secs(60)),
        born(&engine, &neighbour)
    );
    assert_eq!(result.as_deref(), Ok("5000005"));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_bomb_meets_the_limit_and_harms_nobody() {
    let engine = engine();
    let neighbour = run(&engine, "neighbour", NEIGHBOUR).await;
    let bomb = "let size = 0; const kept = [];
        try { for (;;) { kept.push(new Uint8Array(1 << 16).fill(7)); size++; } } catch (e) { kept.length = 0; return size + ' ' + e; }";
    let id = run(&engine, "bomb", &tool(bomb)).await;
    for _ in 0..5 {
        let text = call_for(&engine, &id, json!({}), Duration::from_secs(60))
            .await
            .unwrap();
        let chunks: u32 = text.split(' ').next().unwrap().parse().unwrap();
        assert!(
            (900..=1024).contains(&chunks) && text.contains("out of memory"),
            "{text}"
        );
        born(&engine, &neighbour).await;
    }
    engine.shutdown().await;
}

/// Resident memory in KB, mappings, and open files of this process.
#[cfg(target_os = "linux")]
fn footprint() -> [usize; 3] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    [
        resident.split_whitespace().next().unwrap().parse().unwrap(),
        std::fs::read_to_string("/proc/self/maps")
            .unwrap()
            .lines()
            .count(),
        std::fs::read_dir("/proc/self/fd").unwrap().count(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heap_scan_sees_what_a_skill_holds() {
    let engine = Engine::builder().workers(2).build().unwrap();
    let code = tool("globalThis.kept = ['needle', args.n].join('-') + '-in-a-haystack'; return kept");
    let ids = [run(&engine, "a", &code).await, run(&engine, "b", &code).await];
    assert_eq!(engine.occurrences_in_heaps(b"needle-7-in-a-haystack").await, 0);
    for id in &ids {
        call_for(&engine, id, json!({ "n": 7 }), Duration::from_secs(30))
            .await
            .unwrap();
    }
    assert!(engine.occurrences_in_heaps(b"needle-7-in-a-haystack").await >= 2);
    assert_eq!(engine.occurrences_in_heaps(b"needle-8-in-a-haystack").await, 0);
    assert_eq!(engine.occurrences_in_heaps(b"").await, 0);
    engine.shutdown().await;
}

/// Runs in a process of its own, so that other tests do not count.
#[cfg(target_os = "linux")]
fn alone(name: &str) -> bool {
    const FLAG: &str = "OPENHUMAN_SKILLS_TEST_ALONE";
    if std::env::var_os(FLAG).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", name, "--nocapture"])
        .env(FLAG, "1")
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

/// Abandons `times` activations and returns the footprint before and after.
#[cfg(target_os = "linux")]
async fn abandon(times: usize) -> ([usize; 3], [usize; 3]) {
    let engine = Engine::builder()
        .workers(1)
        .stall_limit(Duration::from_millis(1))
        .quarantine(QuarantinePolicy::off())
        .build()
        .unwrap();
    let stuck = run(&engine, "stuck", &tool(REVERSE)).await;
    let mut before = footprint();
    for time in 0..times + times / 4 {
        if time == times / 4 {
            before = footprint();
        }
        loop {
            until(|| status(&engine, &stuck).0 == SkillStatus::Running).await;
            let result = call_for(&engine, &stuck, json!({}), Duration::from_millis(10)).await;
            assert!(matches!(result, Err(ToolError::TimedOut)), "{result:?}");
            // A call that reached its limit before the built-in function did not need to be abandoned.
            let next = call_for(&engine, &stuck, json!({ "ping": true }), Duration::from_secs(60)).await;
            if next.is_err() {
                break;
            }
        }
    }
    until(|| status(&engine, &stuck).0 == SkillStatus::Running).await;
    let after = footprint();
    engine.shutdown().await;
    (before, after)
}

#[cfg(target_os = "linux")]
#[test]
fn abandoned_activations_leave_nothing_behind() {
    if !alone("stall::abandoned_activations_leave_nothing_behind") {
        return;
    }
    let times = std::env::var("OPENHUMAN_SKILLS_TIMES").map_or(200, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (before, after) = runtime.block_on(abandon(times));
    eprintln!("{times} abandoned: {before:?} -> {after:?} (KB, mappings, files)");
    assert!(after[0] < before[0] + 4096, "{before:?} {after:?}");
    assert!(after[1] < before[1] + 20, "{before:?} {after:?}");
    assert!(after[2] <= before[2] + 2, "{before:?} {after:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn starts_and_stops_leave_nothing_behind() {
    if !alone("stall::starts_and_stops_leave_nothing_behind") {
        return;
    }
    let times = std::env::var("OPENHUMAN_SKILLS_TIMES").map_or(300, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let engine = Engine::builder().workers(2).build().unwrap();
        let id = run(&engine, "again", &tool("return 'alive'")).await;
        let mut before = footprint();
        for time in 0..times + times / 4 {
            if time == times / 4 {
                before = footprint();
            }
            engine.stop(&id).await.unwrap();
            engine.start(&id).await.unwrap();
            call_for(&engine, &id, json!({}), Duration::from_secs(30))
                .await
                .unwrap();
        }
        let after = footprint();
        eprintln!("{times} starts and stops: {before:?} -> {after:?} (KB, mappings, files)");
        assert!(after[0] < before[0] + 4096, "{before:?} {after:?}");
        assert!(after[1] < before[1] + 20, "{before:?} {after:?}");
        assert!(after[2] <= before[2] + 2, "{before:?} {after:?}");
        engine.shutdown().await;
    });
}
