//! Skills that come and go leave nothing behind. Runs in a process of its own, so that other tests do not count.

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use openhuman_skills::{CallOptions, Engine, Grant, QuarantinePolicy, SkillPackage};
use serde_json::json;

use crate::support::package;

const SKILL: &str = "
    globalThis.__skill = { default: {
        init() { db.exec('CREATE TABLE IF NOT EXISTS t (x)'); state.set('a', 1); setInterval(() => {}, 50); },
        stop() { state.delete('a'); },
        tools: [
            { name: 'run', execute(a) {
                db.exec('INSERT INTO t VALUES (?)', ['x'.repeat(1000)]); db.exec('DELETE FROM t');
                const bytes = crypto.getRandomValues(new Uint8Array(10000));
                let text = ''; for (let i = 0; i < 1000; i++) text += i;
                console.log(text.slice(0, 20)); setTimeout(() => {}, 100000); sleep(1);
                globalThis.kept = new Array(20000).fill({ text }); queueMicrotask(() => {});
                return Promise.resolve(String(bytes.length));
            } },
            { name: 'spin', execute() { for (;;); } },
            { name: 'never', execute: () => new Promise((done) => setTimeout(done, 1e9)) },
            { name: 'stuck', execute() { Array.prototype.reverse.call({ length: 2 ** 53 - 1 }); } },
        ],
    } };
";
/// How many skills come and go side by side. Their names are used again: a database outlives its skill on purpose.
const LANES: usize = 4;

/// Grown memory that counts as none, in KB: what the allocators keep for later. A leak of one JavaScript context, stack
/// or arena in every hundred cycles would exceed it in 300 cycles, one of 500 bytes in every cycle in 10,000.
const SLACK_KB: u64 = 5 * 1024;

fn cycles() -> usize {
    std::env::var("OPENHUMAN_LEAK_CYCLES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(300)
}

#[test]
fn starting_and_stopping_leaves_nothing_behind() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "leak::measured_in_a_process_of_its_own",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{out}");
    assert!(output.status.success(), "{out}\n{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test above"]
async fn measured_in_a_process_of_its_own() {
    let engine = Engine::builder()
        .workers(2)
        .quarantine(QuarantinePolicy::off())
        .build()
        .unwrap();
    // Fills the pools: threads, stacks, arenas, database connections.
    run(&engine, 100).await;
    let before = Usage::now();
    run(&engine, cycles()).await;
    let after = Usage::now();
    println!("{} cycles: {before:?} became {after:?}", cycles());
    assert!(after.resident_kb <= before.resident_kb + SLACK_KB, "memory grew");
    assert!(after.files <= before.files, "files were left open");
    // The runtime's threads for blocking work come and go with the work.
    assert!(after.threads <= before.threads + 4, "threads were left");
    // Neither are maps: each arena and stack is one or two of them.
    assert!(after.maps <= before.maps + 40, "memory maps were left");
    engine.shutdown().await;
}

async fn run(engine: &Engine, cycles: usize) {
    join_all((0..LANES).map(|lane| async move {
        for cycle in 0..cycles.div_ceil(LANES) {
            once(engine, lane, cycle).await;
        }
    }))
    .await;
}

async fn once(engine: &Engine, lane: usize, cycle: usize) {
    let package: SkillPackage = package(&format!("leak-{lane}"), SKILL);
    let id = engine.install(package, Grant::none()).await.unwrap();
    engine.start(&id).await.unwrap();
    let call = async |name: &str, limit: u64| {
        let options = CallOptions {
            timeout: Duration::from_millis(limit),
        };
        engine.call_tool(&id, name, json!({}), options).await
    };
    assert_eq!(call("run", 30_000).await.unwrap().text, "10000");
    // The ways to end, among them those that leave a stack or an arena as it is.
    match cycle % 16 {
        3 => drop(call("spin", 5).await),
        7 => drop(call("never", 5).await),
        11 => drop(tokio::time::timeout(Duration::from_millis(5), call("spin", 60_000)).await),
        15 => drop(call("stuck", 60).await),
        _ => {}
    }
    let _ = engine.stop(&id).await;
    engine.remove(&id).await.unwrap();
}

/// What the process holds.
#[derive(Debug)]
struct Usage {
    resident_kb: u64,
    files: usize,
    threads: u64,
    maps: usize,
}

impl Usage {
    fn now() -> Self {
        let count = |text: String| text.lines().count();
        Self {
            resident_kb: field("/proc/self/smaps_rollup", "Rss:"),
            files: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            threads: field("/proc/self/status", "Threads:"),
            maps: std::fs::read_to_string("/proc/self/maps").map_or(0, count),
        }
    }
}

fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
