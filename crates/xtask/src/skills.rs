//! `cargo xtask bench skills`: what the skills engine costs on this machine.
//!
//! The measurements are in the example `bench_skills`; each runs several times, in a process of its own, one after the
//! other in turns. A figure is the median of its runs.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::Failure;
use crate::bench::{Output, machine, median, number, print};
use crate::process::Invocation;
use crate::workspace::Workspace;

const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The measurements, and how often each runs.
const MEASUREMENTS: [(&str, usize); 12] = [
    ("idle", 3),
    ("idle-db", 1),
    ("boot", 5),
    ("bundle", 3),
    ("calls", 3),
    ("round-trip", 3),
    ("hostile", 3),
    ("blocked", 3),
    ("fetch", 3),
    ("stall", 1),
    ("mixed", 3),
    ("node", 3),
];

/// What a full run must report.
const KEYS: [&str; 26] = [
    "idle_rss_kb_1000",
    "create_p50_us",
    "boot_1000_ms",
    "call_cpu_us_hot100",
    "call_cpu_us_1000",
    "rtt_floor_ratio",
    "rtt_ours_us",
    "rtt_base_us",
    "calls_per_s_1000",
    "calls_per_s_hot100",
    "hostile4_throughput_ratio",
    "hostile4_calls_per_s_with",
    "hostile4_calls_per_s_without",
    "hog_cpu_share",
    "hostile4_p99_ms",
    "sync_blocked_2000_ratio",
    "sync_blocked_threads_before",
    "sync_blocked_threads_during",
    "sync_fetch_2000_ratio",
    "sync_fetch_2000_ours_ms",
    "sync_fetch_2000_base_ms",
    "blocked_extra_kb",
    "node_worker_start_ms",
    "node_worker_rss_kb",
    "native_stall_recovery_ms",
    "bundle_360k_rss_kb",
];

/// Builds the benchmark in release mode, runs all measurements, and prints one object.
pub(crate) fn bench(workspace: &Workspace, output: Output) -> Result<(), Failure> {
    eprintln!("building the release program");
    let arguments = [
        "build",
        "--release",
        "--locked",
        "-p",
        "openhuman-skills",
        "--example",
        "bench_skills",
    ];
    Invocation::new(workspace.root(), "cargo", arguments).run(BUILD_LIMIT)?;
    let program = workspace
        .program("release/examples", "bench_skills")
        .display()
        .to_string();
    let machine = machine(workspace);
    let mut runs: Vec<Vec<Map<String, Value>>> = vec![Vec::new(); MEASUREMENTS.len()];
    for turn in 0..MEASUREMENTS.iter().map(|(_, times)| *times).max().unwrap_or(0) {
        for ((name, times), runs) in MEASUREMENTS.iter().zip(&mut runs) {
            if turn < *times {
                eprintln!("{name}, {} of {times}", turn + 1);
                let call = Invocation::new(workspace.root(), program.clone(), [*name]);
                runs.push(parse(name, &call.read(RUN_LIMIT)?)?);
            }
        }
    }
    let mut figures: Map<String, Value> = runs.iter().flat_map(|runs| medians(runs)).collect();
    if let Some(missing) = KEYS.iter().find(|key| !figures.contains_key(**key)) {
        return Err(Failure::new(format!("no measurement reported {missing}")));
    }
    figures.insert("machine".into(), machine);
    print(&figures, output);
    Ok(())
}

fn parse(name: &str, printed: &str) -> Result<Map<String, Value>, Failure> {
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .map_err(|error| Failure::new(format!("`bench_skills {name}` printed no JSON object: {error}")))
}

/// The median of each figure; what is no number as the first run has it. A figure that one run could not give is null.
fn medians(runs: &[Map<String, Value>]) -> Map<String, Value> {
    let Some(first) = runs.first() else {
        return Map::new();
    };
    let figure = |(key, value): (&String, &Value)| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(key)?.as_f64()).collect();
        let value = match value {
            Value::String(_) => value.clone(),
            _ if values.len() == runs.len() => number(median(&mut values)),
            _ => Value::Null,
        };
        (key.clone(), value)
    };
    first.iter().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_medians_of_their_runs() {
        let runs = [
            r#"{"a":1,"version":"v1","b":2}"#,
            r#"{"a":9,"version":"v1","b":null}"#,
            r#"warning\n{"a":2.5,"version":"v1","b":2}"#,
        ];
        let runs: Vec<_> = runs
            .iter()
            .map(|run| parse("x", &run.replace("\\n", "\n")).unwrap())
            .collect();
        assert_eq!(
            Value::Object(medians(&runs)),
            json!({"a": 2.5, "version": "v1", "b": null})
        );
        assert!(parse("x", "").is_err());
    }

    #[test]
    fn every_key_is_listed_once() {
        let keys: std::collections::BTreeSet<&str> = KEYS.into_iter().collect();
        assert_eq!(keys.len(), KEYS.len());
    }
}
