//! `cargo xtask bench memory` and `cargo xtask torture memory`.
//!
//! The measurements are in examples of openhuman-memory: `bench_memory` (vectors, retrieval, the sealed database) and
//! those of the graph and the compression of tool results. sqlite-vec is measured by a program of its own, because it
//! brings C code that nothing else here needs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::Failure;
use crate::bench::{Output, machine, print};
use crate::process::Invocation;
use crate::step::Step;
use crate::storage::fuzz;
use crate::workspace::Workspace;

const CRATE: &str = "openhuman-memory";
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);
const RUN_LIMIT: Duration = Duration::from_secs(60 * 60);

/// What a run must report; those from conversations are null without a file.
const KEYS: [&str; 31] = [
    "locomo_static_r10",
    "locomo_static_hit10",
    "locomo_static_mrr",
    "locomo_plain_r10",
    "locomo_bm25_r10",
    "multihop_r10",
    "evidence_tokens_max",
    "recall10",
    "simd",
    "candidates",
    "flat_100k_ms",
    "flat_1m_ms",
    "ivf_1m_ms",
    "ivf_probed",
    "ivf_recall10",
    "sqlite_vec_100k_ms",
    "sqlite_vec_ratio",
    "sqlite_vec_version",
    "locomo_minilm_r10",
    "minilm_tok_s",
    "hybrid_100k_p50_ms",
    "hybrid_100k_p99_ms",
    "open_100k_ms",
    "rss_100k_mb",
    "chunk_mb_s",
    "static_tok_s",
    "ingest_chunks_s",
    "tool_compression_saved",
    "atoms_kept",
    "graph_3hop_1m_p50_ms",
    "graph_3hop_1m_p99_ms",
];

/// The programs of the other measurements, and the keys for which they are there.
const OTHERS: [(&str, &[&str]); 2] = [
    ("compression", &["tool_compression_saved", "atoms_kept"]),
    ("graph_walk", &["graph_3hop_1m_p99_ms"]),
];

/// Builds the programs in release mode, runs them, prints one object, and draws two curves into `docs`.
pub(crate) fn bench(workspace: &Workspace, output: Output, locomo: Option<&str>) -> Result<(), Failure> {
    let machine = machine(workspace);
    let mut figures = Map::new();
    let mut arguments = vec!["--million"];
    if let Some(file) = locomo {
        arguments.extend(["--locomo", file]);
    }
    // With OPENHUMAN_MINILM_WEIGHTS, the weights of MiniLM, also retrieval with that model; else its keys are null.
    figures.extend(example(
        workspace,
        "bench_memory",
        &["--features", "minilm"],
        &arguments,
    )?);
    for (name, keys) in OTHERS {
        if workspace
            .root()
            .join(format!("crates/{CRATE}/examples/{name}.rs"))
            .exists()
        {
            figures.extend(example(workspace, name, &[], &[])?);
        } else {
            eprintln!("there is no example {name}: {} is null", keys.join(", "));
            figures.extend(keys.iter().map(|key| ((*key).to_owned(), Value::Null)));
        }
    }
    let rival = sqlite_vec(workspace)?;
    let number = |figures: &Map<String, Value>, key: &str| figures.get(key).and_then(Value::as_f64);
    let ratio = number(&rival, "sqlite_vec_100k_ms")
        .zip(number(&figures, "flat_100k_ms"))
        .map(|(theirs, ours)| theirs / ours);
    figures.insert("sqlite_vec_ratio".into(), ratio.map_or(Value::Null, Value::from));
    for key in ["sqlite_vec_100k_ms", "sqlite_vec_version"] {
        figures.insert(key.into(), rival.get(key).cloned().unwrap_or(Value::Null));
    }
    if let Some(missing) = KEYS.iter().find(|key| !figures.contains_key(**key)) {
        return Err(Failure::new(format!("no measurement reported {missing}")));
    }
    draw(workspace, &figures)?;
    figures.insert("machine".into(), machine);
    print(&figures, output);
    Ok(())
}

fn example(
    workspace: &Workspace,
    name: &str,
    features: &[&str],
    arguments: &[&str],
) -> Result<Map<String, Value>, Failure> {
    eprintln!("building and running {name}");
    let mut build = vec!["build", "--release", "--locked", "-p", CRATE, "--example", name];
    build.extend(features);
    Invocation::new(workspace.root(), "cargo", build).run(BUILD_LIMIT)?;
    let program = workspace.program("release/examples", name).display().to_string();
    let printed = Invocation::new(workspace.root(), program, arguments.iter().copied()).read(RUN_LIMIT)?;
    parse(name, &printed)
}

/// One object: everything that was printed, or its last line.
fn parse(name: &str, printed: &str) -> Result<Map<String, Value>, Failure> {
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(printed)
        .or_else(|_| serde_json::from_str(line))
        .map_err(|error| Failure::new(format!("`{name}` printed no JSON object: {error}")))
}

/// The same search in sqlite-vec, in a package with its own lock file: time and version. Empty when it cannot be built
/// here.
fn sqlite_vec(workspace: &Workspace) -> Result<Map<String, Value>, Failure> {
    eprintln!("building and running sqlite-vec");
    let manifest = format!("crates/{CRATE}/bench/Cargo.toml");
    let target = workspace.output("memory-bench").display().to_string();
    let build = [
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        &manifest,
        "--target-dir",
        &target,
    ];
    let build = Invocation::new(workspace.root(), "cargo", build);
    if let Err(failure) = build.run(BUILD_LIMIT) {
        eprintln!("sqlite-vec is not measured: {failure}");
        return Ok(Map::new());
    }
    let program = workspace
        .program("memory-bench/release", "openhuman-memory-bench")
        .display()
        .to_string();
    let printed = Invocation::new(workspace.root(), program, [""; 0]).read(RUN_LIMIT)?;
    parse("openhuman-memory-bench", &printed)
}

/// Recall by candidates and the spread of query times, as pictures beside the documents.
fn draw(workspace: &Workspace, figures: &Map<String, Value>) -> Result<(), Failure> {
    let numbers = |value: &Value| value.as_f64();
    let pairs = |key: &str| {
        figures.get(key).and_then(Value::as_array).map(|points| {
            let pair = |point: &Value| Some((numbers(point.get(0)?)?, numbers(point.get(1)?)?));
            points.iter().filter_map(pair).collect::<Vec<_>>()
        })
    };
    let recall = pairs("recall10_by_candidates");
    let lists = pairs("ivf_recall10_by_probed");
    let latency = figures
        .get("hybrid_100k_ms_by_5_percent")
        .and_then(Value::as_array)
        .map(|times| {
            let at = |(at, time): (usize, &Value)| Some((at as f64 * 5.0, numbers(time)?));
            times.iter().enumerate().filter_map(at).collect::<Vec<_>>()
        });
    let pictures = [
        (
            "memory-recall.svg",
            "Share of the ten nearest turns found, by candidates compared exactly",
            recall,
        ),
        (
            "memory-lists.svg",
            "Share of the ten nearest turns found, by share of the vectors in the lists looked at",
            lists,
        ),
        (
            "memory-latency.svg",
            "Milliseconds of a hybrid query over 100,000 sealed chunks, by share of queries (%)",
            latency,
        ),
    ];
    for (file, title, points) in pictures {
        let Some(points) = points.filter(|points| points.len() > 1) else {
            continue;
        };
        let path = workspace.root().join("docs").join(file);
        std::fs::write(&path, curve(title, &points))
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
        eprintln!("drew {}", path.display());
    }
    Ok(())
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const MARGIN: f64 = 48.0;

/// One line through points, with the range of both axes.
fn curve(title: &str, points: &[(f64, f64)]) -> String {
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = points.iter().map(of);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        (
            low,
            values.fold(f64::NEG_INFINITY, f64::max).max(low + f64::EPSILON),
        )
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    let place = |(x, y): &(f64, f64)| {
        (
            MARGIN + (x - left) / (right - left) * (WIDTH - 2.0 * MARGIN),
            HEIGHT - MARGIN - (y - low) / (high - low) * (HEIGHT - 2.0 * MARGIN),
        )
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\">{title}</text>\n<polyline fill=\"none\" stroke=\"#2563eb\" stroke-width=\"2\" points=\""
    );
    for point in points {
        let (x, y) = place(point);
        let _ = write!(svg, "{x:.1},{y:.1} ");
    }
    svg.push_str("\"/>\n");
    for point in points {
        let (x, y) = place(point);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#2563eb\"/>"
        );
    }
    let label = |number: f64| format!("{}", (number * 1000.0).round() / 1000.0);
    let (bottom, end) = (HEIGHT - MARGIN + 20.0, WIDTH - MARGIN);
    for (x, y, text) in [
        (MARGIN, bottom, label(left)),
        (end - 16.0, bottom, label(right)),
        (4.0, HEIGHT - MARGIN, label(low)),
        (4.0, MARGIN, label(high)),
    ] {
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\">{text}</text>");
    }
    svg.push_str("</svg>\n");
    svg
}

/// The tests with the features that nothing else in the workspace turns on. The one that compares MiniLM with its
/// reference needs `OPENHUMAN_MINILM_WEIGHTS`, and says so when it is not set.
pub(crate) fn features(workspace: &Workspace) -> Invocation {
    let tests = ["test", "--locked", "-p", CRATE, "--all-features"];
    Invocation::new(workspace.root(), "cargo", tests)
}

/// The proofs at full length.
pub(crate) fn torture(workspace: &Workspace) -> Vec<Step> {
    let kills = [
        "test",
        "--release",
        "--locked",
        "-p",
        CRATE,
        "--test",
        "it",
        "kill::",
        "--",
        "--nocapture",
    ];
    let kills =
        Invocation::new(workspace.root(), "cargo", kills).with_environment("OPENHUMAN_MEMORY_KILLS", "300");
    vec![
        Step::programs("three hundred kills of a memory", 60, vec![kills]),
        Step::programs(
            "the memory's fuzz targets",
            60,
            vec![fuzz(workspace, CRATE, "600")],
        )
        .on_linux(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_listed_once() {
        let keys: std::collections::BTreeSet<&str> = KEYS.into_iter().collect();
        assert_eq!(keys.len(), KEYS.len());
    }

    #[test]
    fn an_object_may_be_one_line_or_all() {
        for printed in ["{\n \"a\": 1\n}\n", "progress\n{\"a\":1}"] {
            assert_eq!(parse("x", printed).unwrap()["a"], 1);
        }
        assert!(parse("x", "nothing").is_err());
    }

    #[test]
    fn a_curve_stays_inside_its_picture() {
        let svg = curve("t", &[(10.0, 0.5), (100.0, 0.9), (400.0, 1.0)]);
        assert!(svg.contains("points=\"48.0,272.0 "), "{svg}");
        assert!(svg.contains("592.0,48.0 \"/>"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN"));
        assert!(!curve("flat", &[(1.0, 1.0), (2.0, 1.0)]).contains("NaN"));
    }
}
