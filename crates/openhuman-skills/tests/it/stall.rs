//! Built-in functions that never ask whether they may go on.

use std::time::{Duration, Instant};

use openhuman_skills::{Engine, SkillId, ToolError};
use serde_json::json;

use crate::support::{call_for, run, tool};

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
