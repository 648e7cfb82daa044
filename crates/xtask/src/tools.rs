//! `cargo xtask bench tools`: the hub and its MCP servers beside the official TypeScript SDK, in the same run.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::Failure;
use crate::bench::{Output, machine, median, number, print};
use crate::process::Invocation;
use crate::step::Step;
use crate::workspace::Workspace;

const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);
const RUNS: usize = 3;
const CRATE: &str = "crates/openhuman-mcp";

/// What the hub alone must report.
const HUB_KEYS: [&str; 4] = [
    "hub_dispatch_us",
    "catalog_10k_list_ms",
    "change_to_sync_ms",
    "tool_search_p95_ms",
];

/// Our figure divided by theirs.
const RATIOS: [(&str, &str); 6] = [
    ("stdio_p50_ratio", "stdio_p50_us"),
    ("stdio_seq_ratio", "stdio_seq_s"),
    ("stdio_conc_ratio", "stdio_conc_s"),
    ("stdio_cpu_ratio", "stdio_cpu_us"),
    ("http_conc_ratio", "http_conc_s"),
    ("rss_ratio", "rss_mib"),
];

/// Builds the servers in release mode, measures ours and theirs in turns, and prints one object of medians.
pub(crate) fn bench(workspace: &Workspace, output: Output) -> Result<(), Failure> {
    eprintln!("building the release programs");
    let root = workspace.root();
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "openhuman-mcp",
        "--features",
        "http",
        "--example",
        "bench_mcp",
    ];
    Invocation::new(root, "cargo", build).run(BUILD_LIMIT)?;
    let node = std::path::PathBuf::from(CRATE).join("tests/node");
    Invocation::new(root, "npm", ["ci", "--ignore-scripts"])
        .within(&node)
        .run(BUILD_LIMIT)?;

    let program = workspace
        .program("release/examples", "bench_mcp")
        .display()
        .to_string();
    let script = format!("{CRATE}/tests/node/bench-server.mjs");
    let drive = |words: &[&str]| Invocation::new(root, program.clone(), words.iter().copied());
    let (ours, theirs) = ("skill-0__tool-0", "echo");
    let mut runs: Vec<Map<String, Value>> = Vec::new();
    for turn in 1..=RUNS {
        eprintln!("{turn} of {RUNS}");
        let mut run = figures("", &drive(&["hub"]).read(RUN_LIMIT)?)?;
        for (prefix, call) in [
            ("", drive(&["drive-stdio", ours, &program, "stdio"])),
            ("", drive(&["drive-http", ours, "modern", &program, "http"])),
            ("ts_", drive(&["drive-stdio", theirs, "node", &script, "stdio"])),
            (
                "ts_",
                drive(&["drive-http", theirs, "session", "node", &script, "http"]),
            ),
        ] {
            run.extend(figures(prefix, &call.read(RUN_LIMIT)?)?);
        }
        runs.push(run);
    }
    let mut all = summary(&runs);
    let needed = HUB_KEYS.into_iter().chain(RATIOS.map(|(key, _)| key));
    if let Some(missing) = needed.into_iter().find(|key| !all.contains_key(*key)) {
        return Err(Failure::new(format!("no measurement reported {missing}")));
    }
    all.insert("peers".into(), peers(workspace));
    all.insert("machine".into(), machine(workspace));
    print(&all, output);
    Ok(())
}

/// The proofs at full length, in release mode.
pub(crate) fn torture(workspace: &Workspace) -> Vec<Step> {
    let test = [
        "test",
        "--release",
        "--locked",
        "-p",
        "openhuman-mcp",
        "--all-features",
        "--test",
        "it",
        "ten_thousand_calls_and_random_disconnects",
        "--",
        "--nocapture",
    ];
    let calls =
        Invocation::new(workspace.root(), "cargo", test).with_environment("OPENHUMAN_MCP_TORTURE", "500");
    vec![Step::programs(
        "five million calls on a connection that breaks",
        120,
        vec![calls],
    )]
}

/// The figures of one measurement, with whose they are before them.
fn figures(prefix: &str, printed: &str) -> Result<Map<String, Value>, Failure> {
    let line = printed.lines().last().unwrap_or_default();
    let figures: Map<String, Value> = serde_json::from_str(line)
        .map_err(|error| Failure::new(format!("a measurement printed no JSON object: {error}")))?;
    let named = figures
        .into_iter()
        .map(|(key, value)| (format!("{prefix}{key}"), value));
    Ok(named.collect())
}

/// Medians, and our share of theirs.
fn summary(runs: &[Map<String, Value>]) -> Map<String, Value> {
    let keys = runs.first().into_iter().flat_map(Map::keys);
    let middle = |key: &str| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(key)?.as_f64()).collect();
        (!values.is_empty()).then(|| median(&mut values))
    };
    let mut all: Map<String, Value> = keys
        .filter_map(|key| Some((key.clone(), number(middle(key)?))))
        .collect();
    for (ratio, key) in RATIOS {
        if let (Some(ours), Some(theirs)) = (middle(key), middle(&format!("ts_{key}")))
            && theirs > 0.0
        {
            all.insert(ratio.to_owned(), number(ours / theirs));
        }
    }
    all
}

fn peers(workspace: &Workspace) -> Value {
    let package = workspace
        .root()
        .join(CRATE)
        .join("tests/node/node_modules/@modelcontextprotocol/sdk/package.json");
    let package = std::fs::read_to_string(package).unwrap_or_default();
    let package: Option<Value> = serde_json::from_str(&package).ok();
    let node = Invocation::new(workspace.root(), "node", ["--version"]).read(RUN_LIMIT);
    json!({
        "@modelcontextprotocol/sdk": package.and_then(|package| package.get("version").cloned()),
        "node": node.ok().map(|version| version.trim().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_medians_and_need_both_sides() {
        let run = |ours: f64, theirs: f64| {
            let mut run = figures("", &json!({"stdio_p50_us": ours, "rss_mib": 4.0}).to_string()).unwrap();
            run.extend(figures("ts_", &format!("note\n{}", json!({"stdio_p50_us": theirs}))).unwrap());
            run
        };
        let all = summary(&[run(50.0, 100.0), run(70.0, 200.0), run(60.0, 90.0)]);
        assert_eq!(all["stdio_p50_us"], 60.0);
        assert_eq!(all["stdio_p50_ratio"], 0.6);
        assert!(
            !all.contains_key("rss_ratio"),
            "there is nothing to compare it with"
        );
        assert!(figures("", "").is_err());
    }
}
