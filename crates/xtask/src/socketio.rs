//! `cargo xtask bench socketio` and `cargo xtask torture socketio`.
//!
//! The bench measures the client beside a floor of bare WebSocket frames, rust_socketio and the official JavaScript
//! client, in turns, against one server in a process of its own. A figure is the median of its runs.

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

/// Each measurement and the clients that it exists for.
const MEASUREMENTS: [(&str, &[&str]); 7] = [
    ("connect", &["ours", "floor", "rust_socketio", "js"]),
    ("emit", &["ours", "floor", "rust_socketio", "js"]),
    ("receive", &["ours", "floor", "rust_socketio", "js"]),
    ("ack", &["ours", "floor", "rust_socketio", "js"]),
    ("memory", &["ours", "floor", "rust_socketio", "js"]),
    ("many", &["ours"]),
    ("decode", &["ours"]),
];

/// What a full run must report.
const KEYS: [&str; 22] = [
    "connect_p50_ms",
    "connect_floor_ratio",
    "emit_1k_cpu_us",
    "recv_1k_ignored_cpu_us",
    "recv_1k_lazy_cpu_us",
    "recv_1k_typed_cpu_us",
    "header_decode_ns",
    "ack_rtt_p50_us",
    "ack_floor_ratio",
    "rss_per_conn_kib",
    "conns_10k_mib",
    "rust_socketio_connect_p50_ms",
    "rust_socketio_emit_1k_cpu_us",
    "rust_socketio_recv_1k_typed_cpu_us",
    "rust_socketio_ack_rtt_p50_us",
    "rust_socketio_rss_per_conn_kib",
    "js_connect_p50_ms",
    "js_emit_1k_cpu_us",
    "js_recv_1k_typed_cpu_us",
    "js_ack_rtt_p50_us",
    "js_rss_per_conn_kib",
    "floor_emit_1k_cpu_us",
];

/// Our figures, and those of bare frames that they are compared with: `KEY_ours` and `KEY_base`.
const BASES: [(&str, &str); 6] = [
    ("connect_p50_ms", "floor_connect_p50_ms"),
    ("emit_1k_cpu_us", "floor_emit_1k_cpu_us"),
    ("recv_1k_lazy_cpu_us", "floor_recv_1k_cpu_us"),
    ("recv_1k_typed_cpu_us", "floor_recv_1k_cpu_us"),
    ("ack_rtt_p50_us", "floor_ack_rtt_p50_us"),
    ("rss_per_conn_kib", "floor_rss_per_conn_kib"),
];

const CRATE: &str = "crates/openhuman-socketio";

/// Builds all clients in release mode, runs all measurements, and prints one object.
pub(crate) fn bench(workspace: &Workspace, output: Output) -> Result<(), Failure> {
    eprintln!("building the release programs");
    let root = workspace.root();
    let ours = [
        "build",
        "--release",
        "--locked",
        "-p",
        "openhuman-socketio",
        "--example",
        "bench_socketio",
    ];
    Invocation::new(root, "cargo", ours).run(BUILD_LIMIT)?;
    let rival_folder = workspace.output("socketio-bench").display().to_string();
    let manifest = format!("{CRATE}/bench/Cargo.toml");
    let rival = [
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        &manifest,
        "--target-dir",
        &rival_folder,
    ];
    Invocation::new(root, "cargo", rival).run(BUILD_LIMIT)?;
    let node = std::path::PathBuf::from(CRATE).join("tests/node");
    Invocation::new(root, "npm", ["ci"])
        .within(&node)
        .run(BUILD_LIMIT)?;

    let program = workspace
        .program("release/examples", "bench_socketio")
        .display()
        .to_string();
    let rival = workspace
        .program("socketio-bench/release", "openhuman-socketio-bench")
        .display()
        .to_string();
    let script = format!("{CRATE}/tests/node/bench.mjs");
    let server = Invocation::new(root, program.clone(), ["serve"]).serve()?;
    let call = |client: &str, name: &str| {
        let url = server.address();
        match client {
            "rust_socketio" => Invocation::new(root, rival.clone(), [name, url]),
            "js" => Invocation::new(root, "node", [script.as_str(), name, url]),
            client => Invocation::new(root, program.clone(), [client, name, url]),
        }
    };
    let mut runs: Vec<Map<String, Value>> = Vec::new();
    for turn in 1..=RUNS {
        let mut run = Map::new();
        for (name, clients) in MEASUREMENTS {
            for client in clients {
                eprintln!("{name}, {client}, {turn} of {RUNS}");
                run.extend(named(client, &call(client, name).read(RUN_LIMIT)?)?);
            }
        }
        runs.push(run);
    }
    let mut figures = figures(&runs);
    if let Some(missing) = KEYS.iter().find(|key| !figures.contains_key(**key)) {
        return Err(Failure::new(format!("no measurement reported {missing}")));
    }
    figures.insert("peers".into(), peers(workspace));
    figures.insert("machine".into(), machine(workspace));
    print(&figures, output);
    Ok(())
}

/// The figures of one run, with the client's name before those that are not ours.
fn named(client: &str, printed: &str) -> Result<Map<String, Value>, Failure> {
    let line = printed.lines().last().unwrap_or_default();
    let figures: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
        Failure::new(format!(
            "the measurement of {client} printed no JSON object: {error}"
        ))
    })?;
    let prefix = if client == "ours" {
        String::new()
    } else {
        format!("{client}_")
    };
    Ok(figures
        .into_iter()
        .map(|(key, value)| (format!("{prefix}{key}"), value))
        .collect())
}

/// Medians, and our share of the floor.
fn figures(runs: &[Map<String, Value>]) -> Map<String, Value> {
    let keys = runs.first().into_iter().flat_map(Map::keys);
    let middle = |key: &str| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(key)?.as_f64()).collect();
        median(&mut values)
    };
    let mut figures: Map<String, Value> = keys.map(|key| (key.clone(), number(middle(key)))).collect();
    for (key, ours) in [
        ("connect_floor_ratio", "connect_p50_ms"),
        ("ack_floor_ratio", "ack_rtt_p50_us"),
    ] {
        let floor = middle(&format!("floor_{ours}"));
        if floor > 0.0 {
            figures.insert(key.to_owned(), number(middle(ours) / floor));
        }
    }
    for (key, base) in BASES {
        for (suffix, from) in [("ours", key), ("base", base)] {
            if let Some(figure) = figures.get(from).cloned() {
                figures.insert(format!("{key}_{suffix}"), figure);
            }
        }
    }
    figures
}

/// The versions of everything that is measured beside ours.
fn peers(workspace: &Workspace) -> Value {
    let folder = workspace.root().join(CRATE);
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let client = read(folder.join("tests/node/node_modules/socket.io-client/package.json"));
    let client: Option<Value> = serde_json::from_str(&client).ok();
    let node = Invocation::new(workspace.root(), "node", ["--version"]).read(RUN_LIMIT);
    json!({
        "rust_socketio": locked(&read(folder.join("bench/Cargo.lock")), "rust_socketio"),
        "tokio-tungstenite": locked(&read(workspace.root().join("Cargo.lock")), "tokio-tungstenite"),
        "socket.io-client": client.and_then(|package| package.get("version").cloned()),
        "node": node.ok().map(|version| version.trim().to_owned()),
    })
}

/// The newest version of a package in a lock file.
fn locked(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines();
    let mut newest = None;
    while lines.any(|line| line == name) {
        let version = lines.next()?.strip_prefix("version = ")?;
        newest = Some(version.trim_matches('"').to_owned());
    }
    newest
}

/// The proofs at full length, in release mode.
pub(crate) fn torture(workspace: &Workspace) -> Vec<Step> {
    let test = |name: &str, more: &[&str]| {
        let cargo = [
            "test",
            "--release",
            "--locked",
            "-p",
            "openhuman-socketio",
            "--all-features",
            "--test",
            "it",
        ];
        let all: Vec<&str> = cargo
            .iter()
            .copied()
            .chain([name, "--", "--nocapture"])
            .chain(more.iter().copied())
            .collect();
        Invocation::new(workspace.root(), "cargo", all)
    };
    // One at a time: they count the files and the memory of their process.
    let alone = ["--test-threads", "1"];
    let full = |name: &str| test(name, &alone).with_environment("OPENHUMAN_SOCKETIO_TORTURE", "1");
    vec![
        Step::programs("losses of every kind", 60, vec![full("torture::")]),
        Step::programs("a thousand restored sessions", 30, vec![full("recovery::")]),
        Step::programs(
            "ten million sequences beside the official decoder",
            60,
            vec![test("differential::", &[]).with_environment("OPENHUMAN_SOCKETIO_DIFFERENTIAL", "10000000")],
        ),
        Step::programs("fuzz targets", 120, vec![fuzz(workspace, "600")]).on_linux(),
    ]
}

/// All fuzz targets, one after the other, each for so many seconds.
pub(crate) fn fuzz(workspace: &Workspace, seconds: &str) -> Invocation {
    let script = "crates/openhuman-socketio/fuzz/run.sh";
    Invocation::new(workspace.root(), "sh", [script, "all", seconds])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::step::listing;

    #[test]
    fn figures_are_medians_with_their_clients_names() {
        let run = |ours: f64, floor: f64| {
            let mut run = named("ours", &json!({"ack_rtt_p50_us": ours}).to_string()).unwrap();
            run.extend(named("floor", &format!("warning\n{}", json!({"ack_rtt_p50_us": floor}))).unwrap());
            run
        };
        let figures = figures(&[run(30.0, 10.0), run(20.0, 16.0), run(1000.0, 900.0)]);
        assert_eq!(
            Value::Object(figures),
            json!({
                "ack_rtt_p50_us": 30.0,
                "ack_rtt_p50_us_ours": 30.0,
                "ack_rtt_p50_us_base": 16.0,
                "floor_ack_rtt_p50_us": 16.0,
                "ack_floor_ratio": 1.88,
            })
        );
        assert!(named("js", "").is_err());
    }

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.1.0\"\n";
        assert_eq!(locked(lock, "a").as_deref(), Some("2.1.0"));
        assert_eq!(locked(lock, "b"), None);
    }

    #[test]
    fn what_runs_long_says_so() {
        let text = listing(&torture(&Workspace::at(Path::new("somewhere"))));
        assert_eq!(text.matches("OPENHUMAN_SOCKETIO_TORTURE=1").count(), 2, "{text}");
        assert_eq!(text.matches("--release").count(), 3, "{text}");
    }
}
