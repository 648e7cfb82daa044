//! Fills the sealed graph with facts between entities and prints how long walks of three steps take, as JSON:
//! `cargo run --release -p openhuman-memory --example graph_walk [-- EDGES]`. Default: 1,000,000.
//!
//! Every tenth fact has one of 1,000 hubs as its object, so walks meet entities with many relations.

use std::error::Error;
use std::time::{Duration, Instant};

use openhuman_memory::graph::{Assertion, Change, GraphStore, Object, Walk};
use openhuman_memory::{HashingEmbedder, Key, Memory, MemoryOptions};
use serde_json::json;

const WALKS: u64 = 1_000;
const BATCH: u64 = 20_000;

/// SplitMix64: the same graph each time.
fn random(seed: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fact(number: u64, entities: u64) -> Change {
    let subject = random(number * 4) % entities;
    let hub = random(number * 4 + 1).is_multiple_of(10);
    let object = if hub {
        random(number * 4 + 2) % 1_000
    } else {
        random(number * 4 + 2) % entities
    };
    let assertion = Assertion::many(
        format!("entity {subject}"),
        "knows",
        Object::entity(format!("entity {object}")),
        number as i64,
    );
    Change::Assert(Assertion {
        confidence: 0.5 + (random(number * 4 + 3) % 500) as f32 / 1_000.0,
        ..assertion
    })
}

/// What this thread has computed so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    let edges: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |count| count.parse())?;
    let entities = (edges / 5).max(10);
    let dir = tempfile::tempdir()?;
    let memory = Memory::open(
        dir.path(),
        &Key::from_bytes([7; 32]),
        MemoryOptions::new(HashingEmbedder::new(8)),
    )?;
    let graph = memory.graph();
    let started = Instant::now();
    for first in (0..edges).step_by(BATCH as usize) {
        let changes: Vec<Change> = (first..edges.min(first + BATCH))
            .map(|number| fact(number, entities))
            .collect();
        graph.apply("bench", &changes, first as i64)?;
    }
    let filled = started.elapsed();
    let (mut times, mut computed, mut reached) = (Vec::new(), Vec::new(), 0);
    for number in 0..WALKS {
        let start = random(1 << 40 | number) % entities;
        let (started, before) = (Instant::now(), processor_time());
        let found = graph.walk(&Walk::from("bench", format!("entity {start}")))?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        computed.push((processor_time() - before).as_secs_f64() * 1e3);
        reached += found.nodes.len();
    }
    times.sort_by(f64::total_cmp);
    computed.sort_by(f64::total_cmp);
    let at =
        |times: &[f64], share: f64| (times[((times.len() - 1) as f64 * share) as usize] * 1e3).round() / 1e3;
    let report = json!({
        "graph_edges": edges,
        "graph_entities": entities,
        "graph_3hop_1m_p50_ms": at(&times, 0.5),
        "graph_3hop_1m_p99_ms": at(&times, 0.99),
        "graph_3hop_1m_p50_cpu_ms": at(&computed, 0.5),
        "graph_3hop_1m_p99_cpu_ms": at(&computed, 0.99),
        "graph_nodes_reached_mean": reached as u64 / WALKS,
        "graph_facts_s": (edges as f64 / filled.as_secs_f64()).round(),
        "graph_database_mb": std::fs::metadata(dir.path().join("memory.db"))?.len() / 1_000_000,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
