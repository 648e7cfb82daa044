//! `cargo xtask bench storage` and `cargo xtask torture storage`: the sealed databases and the vault.
//!
//! The measurements are in the examples `bench_storage` (pairs of a sealed and a plain database, in turns, in processor
//! time) and `bench_vault`. SQLCipher is measured by its own program, because its symbols are SQLite's.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::Failure;
use crate::bench::{Output, machine, median, number, print};
use crate::process::Invocation;
use crate::step::Step;
use crate::workspace::Workspace;

const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);
const RUN_LIMIT: Duration = Duration::from_secs(15 * 60);
const SQLCIPHER_RUNS: usize = 5;

/// What a full run must report.
const KEYS: [&str; 26] = [
    "insert_ratio",
    "insert_ms_ours",
    "insert_ms_base",
    "point_read_ratio",
    "point_read_ms_ours",
    "point_read_ms_base",
    "scan_mb_s",
    "scan_mb_s_base",
    "scan_ratio",
    "scan_ms_ours",
    "scan_ms_base",
    "fts_warm_ratio",
    "fts_warm_ms_ours",
    "fts_warm_ms_base",
    "size_ratio",
    "size_bytes_ours",
    "size_bytes_base",
    "vacuum_ratio",
    "vacuum_ms_ours",
    "vacuum_ms_base",
    "cold_open_ms",
    "anchored_open_ms",
    "seal_4k_ns",
    "unlock_ms",
    "password_change_ms",
    "redeem_per_s",
];

/// The programs, and what cargo needs to build them.
const PROGRAMS: [(&str, &str, &[&str]); 2] = [
    ("openhuman-sqlite", "bench_storage", &[]),
    ("openhuman-vault", "bench_vault", &["--features", "sqlite-tokens"]),
];

/// Builds both programs in release mode, runs them, and prints one object.
pub(crate) fn bench(workspace: &Workspace, output: Output) -> Result<(), Failure> {
    let machine = machine(workspace);
    let mut figures = Map::new();
    for (package, example, more) in PROGRAMS {
        eprintln!("building and running {example}");
        let build = [
            "build",
            "--release",
            "--locked",
            "-p",
            package,
            "--example",
            example,
        ];
        let build: Vec<&str> = build.iter().chain(more).copied().collect();
        Invocation::new(workspace.root(), "cargo", build).run(BUILD_LIMIT)?;
        let program = workspace
            .program("release/examples", example)
            .display()
            .to_string();
        let printed = Invocation::new(workspace.root(), program, [""; 0]).read(RUN_LIMIT)?;
        figures.extend(parse(example, &printed)?);
    }
    if let Some(missing) = KEYS.iter().find(|key| !figures.contains_key(**key)) {
        return Err(Failure::new(format!("no measurement reported {missing}")));
    }
    figures.insert("sqlcipher_scan_mb_s".into(), sqlcipher(workspace)?);
    figures.insert("machine".into(), machine);
    print(&figures, output);
    Ok(())
}

fn parse(name: &str, printed: &str) -> Result<Map<String, Value>, Failure> {
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .map_err(|error| Failure::new(format!("`{name}` printed no JSON object: {error}")))
}

/// The same table in SQLCipher, scanned by its own program in fresh processes; null where there is none.
fn sqlcipher(workspace: &Workspace) -> Result<Value, Failure> {
    let call = |script: &str| Invocation::new(workspace.root(), "sqlcipher", ["-batch", ":memory:", script]);
    if !call("SELECT 1").succeeds() {
        eprintln!("sqlcipher is not installed (a Debian package of that name): not measured");
        return Ok(Value::Null);
    }
    let folder = workspace.output("bench-storage");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::new(format!("cannot create {}: {error}", folder.display())))?;
    let database = folder.join("sqlcipher.db");
    let _ = std::fs::remove_file(&database);
    let name = database.display().to_string();
    let key = format!("PRAGMA key = \"x'{}'\";", "05".repeat(32));
    let make = format!(
        "{key} CREATE TABLE document (id INTEGER PRIMARY KEY, body TEXT, vector BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO document SELECT i, substr(hex(randomblob(126)), 1, 252), randomblob(384) FROM n;"
    );
    Invocation::new(workspace.root(), "sqlcipher", ["-batch", &name, &make]).read(RUN_LIMIT)?;
    let scan = format!(
        "{key}\n.timer on\nSELECT sum(length(body) + length(vector)), count(*) FROM document WHERE vector <> x'00';\n"
    );
    let file = folder.join("scan.sql");
    std::fs::write(&file, scan)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))?;
    let read = format!(".read {}", file.display());
    let mut rates = Vec::new();
    for _ in 0..SQLCIPHER_RUNS {
        let printed =
            Invocation::new(workspace.root(), "sqlcipher", ["-batch", &name, &read]).read(RUN_LIMIT)?;
        rates.push(rate(&printed).ok_or_else(|| {
            Failure::new(format!(
                "sqlcipher did not print a sum and a time, but: {printed}"
            ))
        })?);
    }
    Ok(number(median(&mut rates)))
}

/// Megabytes per second of processor time, from a sum and a line `Run Time: real 0.1 user 0.08 sys 0.01`.
fn rate(printed: &str) -> Option<f64> {
    let bytes: f64 = printed
        .lines()
        .find_map(|line| line.split_once('|')?.0.trim().parse().ok())?;
    let line = printed.lines().rev().find(|line| line.contains("Run Time"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse::<f64>().ok()
    };
    let seconds = after("user")? + after("sys")?;
    (seconds > 0.0).then(|| bytes / 1e6 / seconds)
}

/// The proofs at full length, in release mode.
pub(crate) fn torture(workspace: &Workspace) -> Vec<Step> {
    let test = |package: &str, targets: &[&str], name: &str| {
        let cargo = ["test", "--release", "--locked", "-p", package];
        let all: Vec<&str> = cargo
            .iter()
            .chain(targets)
            .copied()
            .chain([name, "--", "--nocapture"])
            .collect();
        Invocation::new(workspace.root(), "cargo", all)
    };
    let sqlite = |name: &str| test("openhuman-sqlite", &["--test", "it"], name);
    let vault = |name: &str| {
        let targets = ["--features", "sqlite-tokens", "--test", "it"];
        test("openhuman-vault", &targets, name)
    };
    vec![
        Step::programs(
            "ten thousand kills",
            240,
            vec![sqlite("crash::").with_environment("OPENHUMAN_KILLS", "10000")],
        ),
        Step::programs(
            "ten thousand power cuts in both modes, with their controls",
            240,
            vec![
                test("openhuman-sqlite", &["--lib"], "power_loss")
                    .with_environment("OPENHUMAN_POWER_CUTS", "10000"),
            ],
        ),
        Step::programs(
            "every byte of a database and a log",
            120,
            vec![sqlite("damage::").with_environment("OPENHUMAN_FLIP_STEP", "1")],
        ),
        Step::programs(
            "a million statements beside plain SQLite",
            120,
            vec![sqlite("differential::").with_environment("OPENHUMAN_STATEMENTS", "1000000")],
        ),
        Step::programs(
            "the vault: kills and ten thousand tokens",
            120,
            vec![
                vault("kill::").with_environment("OPENHUMAN_TEST_KILLS", "10000"),
                vault("redeem::").with_environment("OPENHUMAN_TEST_TOKENS", "10000"),
            ],
        ),
        Step::programs(
            "fuzz targets",
            180,
            vec![
                fuzz(workspace, "openhuman-sqlite", "600"),
                fuzz(workspace, "openhuman-vault", "600"),
            ],
        )
        .on_linux(),
        Step::programs("address sanitizer", 90, vec![sanitized(workspace)]).on_linux(),
        Step::programs("types on other systems", 60, other_systems(workspace)).on_linux(),
    ]
}

/// All fuzz targets of a crate, one after the other, each for so many seconds.
pub(crate) fn fuzz(workspace: &Workspace, package: &str, seconds: &str) -> Invocation {
    let script = format!("crates/{package}/fuzz/run.sh");
    Invocation::new(workspace.root(), "sh", [script.as_str(), "all", seconds])
}

/// The tests of the VFS under AddressSanitizer, on the stable compiler, SQLite's C code instrumented too, by
/// clang (the Debian package of that name). Short runs of what kills and repeats. The traced process would be traced twice.
fn sanitized(workspace: &Workspace) -> Invocation {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = workspace.output("asan").display().to_string();
    let arguments = [
        "test",
        "--locked",
        "-p",
        "openhuman-sqlite",
        "--lib",
        "--test",
        "it",
        "--target",
        &target,
        "--target-dir",
        &folder,
        "--",
        "--skip",
        "syscalls::",
        "--skip",
        "every_changed_byte",
    ];
    Invocation::new(workspace.root(), "cargo", arguments)
        .with_environment("RUSTC_BOOTSTRAP", "1")
        .with_environment("RUSTFLAGS", "-Zsanitizer=address")
        // The same runtime for both languages: that of LLVM.
        .with_environment("CC", "clang")
        .with_environment("CFLAGS", "-fsanitize=address -fno-omit-frame-pointer")
        .with_environment("ASAN_OPTIONS", "detect_leaks=0")
        .with_environment("OPENHUMAN_KILLS", "10")
        .with_environment("OPENHUMAN_POWER_CUTS", "100")
        .with_environment("OPENHUMAN_STATEMENTS", "5000")
}

/// Type checks of both crates and their tests for Windows and macOS. What is compiled from C is left out, which a check
/// does not need; so this tells nothing about linking.
fn other_systems(workspace: &Workspace) -> Vec<Invocation> {
    const TARGETS: [&str; 2] = ["x86_64-pc-windows-gnu", "aarch64-apple-darwin"];
    let script = workspace
        .root()
        .join("crates/xtask/src/no-compiler.sh")
        .display()
        .to_string();
    let add = ["target", "add"].iter().chain(&TARGETS).copied();
    let mut calls = vec![Invocation::new(workspace.root(), "rustup", add)];
    calls.extend(TARGETS.map(|target| {
        let check = ["check", "--locked", "--tests", "--target", target];
        let packages = ["-p", "openhuman-sqlite", "-p", "openhuman-vault"];
        let features = [
            "--features",
            "openhuman-vault/sqlite-tokens,openhuman-vault/legacy",
        ];
        let arguments = check.into_iter().chain(packages).chain(features);
        Invocation::new(workspace.root(), "cargo", arguments)
            .with_environment("TARGET_CC", script.clone())
            .with_environment("TARGET_AR", script.clone())
            // So that nobody asks Xcode where it is.
            .with_environment("SDKROOT", "/")
    }));
    calls
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::step::listing;

    #[test]
    fn a_rate_is_read_from_what_sqlcipher_prints() {
        let printed = "12720000|20000\nRun Time: real 0.140 user 0.060000 sys 0.020000\n";
        assert_eq!(rate(printed), Some(159.0));
        assert_eq!(rate("Error: file is not a database"), None);
        assert_eq!(rate("1|1\nRun Time: real 0.0 user 0.0 sys 0.0"), None);
    }

    #[test]
    fn every_key_is_listed_once() {
        let keys: std::collections::BTreeSet<&str> = KEYS.into_iter().collect();
        assert_eq!(keys.len(), KEYS.len());
    }

    #[test]
    fn the_long_versions_ask_for_what_is_promised() {
        let text = listing(&torture(&Workspace::at(Path::new("somewhere"))));
        for promised in [
            "OPENHUMAN_KILLS=10000",
            "OPENHUMAN_POWER_CUTS=10000",
            "OPENHUMAN_STATEMENTS=1000000",
            "OPENHUMAN_TEST_TOKENS=10000",
            "-Zsanitizer=address",
            "CC=clang",
            "OPENHUMAN_FLIP_STEP=1",
        ] {
            assert!(text.contains(promised), "{promised}: {text}");
        }
    }
}
