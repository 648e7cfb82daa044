//! `cargo xtask bench demo`: what the demo, the core and the command line cost on this machine.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::Failure;
use crate::process::Invocation;
use crate::workspace::Workspace;

const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

const DEMO_RUNS: usize = 5;
const CORE_RUNS: usize = 3;
const VERSION_RUNS: usize = 20;

/// What `openhuman dev bench-core --json` must report.
const CORE_KEYS: [&str; 4] = [
    "core_ready_ms",
    "core_ready_cpu_ms",
    "tool_call_p50_us",
    "idle_rss_mb",
];

/// How the figures are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Text,
    Json,
}

/// Builds the command line program in release mode and measures it. Figures are medians.
pub(crate) fn demo(workspace: &Workspace, output: Output) -> Result<(), Failure> {
    eprintln!("building the release program");
    let build = Invocation::new(
        workspace.root(),
        "cargo",
        ["build", "--release", "--locked", "-p", "openhuman-cli"],
    );
    build.run(BUILD_LIMIT)?;
    let path = workspace.program("release", "openhuman");
    let program = path.display().to_string();
    let call =
        |arguments: &[&str]| Invocation::new(workspace.root(), program.clone(), arguments.iter().copied());

    let machine = machine(workspace);
    eprintln!("{VERSION_RUNS} x openhuman --version");
    let version = timed(VERSION_RUNS, &call(&["--version"]), |_| Ok(()))?;
    eprintln!("{DEMO_RUNS} x openhuman demo --json");
    let demo = timed(DEMO_RUNS, &call(&["demo", "--json"]), demo_succeeded)?;
    eprintln!("{CORE_RUNS} x openhuman dev bench-core --json");
    let core = core_figures(&call(&["dev", "bench-core", "--json"]))?;
    let bytes = fs::metadata(&path)
        .map_err(|error| Failure::new(format!("cannot read {program}: {error}")))?
        .len();

    let mut figures = Map::new();
    figures.insert("demo_wall_ms".into(), number(demo.wall_ms));
    figures.insert("demo_cpu_ms".into(), optional(demo.cpu_ms));
    figures.extend(core);
    figures.insert("cli_version_ms".into(), number(version.wall_ms));
    figures.insert("cli_version_cpu_ms".into(), optional(version.cpu_ms));
    figures.insert("cli_binary_mb".into(), number(bytes as f64 / 1e6));
    figures.insert("machine".into(), machine);
    print(&figures, output);
    Ok(())
}

pub(crate) fn print(figures: &Map<String, Value>, output: Output) {
    match output {
        Output::Json => println!("{}", Value::Object(figures.clone())),
        Output::Text => figures
            .iter()
            .for_each(|(name, value)| println!("{name:34} {value}")),
    }
}

/// Medians of several runs of one program.
#[derive(Debug, PartialEq)]
struct Times {
    wall_ms: f64,
    /// Mean processor time per run; the system counts it in steps of 10 ms over all runs. Linux only.
    cpu_ms: Option<f64>,
}

fn timed(runs: usize, call: &Invocation, check: fn(&str) -> Result<(), Failure>) -> Result<Times, Failure> {
    let mut walls = Vec::with_capacity(runs);
    let cpu_before = children_cpu_ms();
    for _ in 0..runs {
        let started = Instant::now();
        let printed = call.read(RUN_LIMIT)?;
        walls.push(started.elapsed().as_secs_f64() * 1e3);
        check(&printed)?;
    }
    let cpu_ms = cpu_before
        .zip(children_cpu_ms())
        .map(|(before, after)| (after - before) / runs as f64);
    Ok(Times {
        wall_ms: median(&mut walls),
        cpu_ms,
    })
}

/// The demo prints JSON lines; the last one says whether all of its checks passed.
fn demo_succeeded(printed: &str) -> Result<(), Failure> {
    let last = printed.lines().last().unwrap_or_default();
    match serde_json::from_str::<Value>(last) {
        Ok(line) if line["ok"] == true => Ok(()),
        _ => Err(Failure::new(format!(
            "the demo did not end with \"ok\":true but with: {last}"
        ))),
    }
}

fn core_figures(call: &Invocation) -> Result<Map<String, Value>, Failure> {
    let mut runs = Vec::with_capacity(CORE_RUNS);
    for _ in 0..CORE_RUNS {
        runs.push(parse_core(&call.read(RUN_LIMIT)?)?);
    }
    Ok(medians(&runs))
}

fn parse_core(printed: &str) -> Result<Value, Failure> {
    let line = printed.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(line)
        .map_err(|error| Failure::new(format!("`dev bench-core --json` printed no JSON object: {error}")))?;
    match CORE_KEYS.iter().find(|key| !value[**key].is_number()) {
        Some(key) => Err(Failure::new(format!(
            "`dev bench-core --json` printed no number for {key}"
        ))),
        None => Ok(value),
    }
}

/// The median of each of the core's figures over several runs; those beyond [`CORE_KEYS`] too.
fn medians(runs: &[Value]) -> Map<String, Value> {
    let figure = |key: &String| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run[key].as_f64()).collect();
        (values.len() == runs.len()).then(|| (key.clone(), number(median(&mut values))))
    };
    let keys = runs
        .first()
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys);
    keys.filter_map(figure).collect()
}

/// The middle value, or the mean of the two in the middle; 0 for no values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values {
        [] => 0.0,
        values if values.len() % 2 == 1 => values[middle],
        values => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// Two decimals are below the noise of every figure here.
pub(crate) fn number(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}

fn optional(value: Option<f64>) -> Value {
    value.map_or(Value::Null, number)
}

/// User and system time of all ended child processes, from the process table.
fn children_cpu_ms() -> Option<f64> {
    parse_children_cpu_ms(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 16 and 17 of a stat line, in ticks of 10 ms. The second field may contain spaces and parentheses.
fn parse_children_cpu_ms(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(13);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) * 10.0)
}

pub(crate) fn machine(workspace: &Workspace) -> Value {
    let git = |arguments: &[&str]| {
        Invocation::new(workspace.root(), "git", arguments.iter().copied())
            .read(RUN_LIMIT)
            .map(|text| text.trim().to_string())
    };
    json!({
        "cpu": fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| cpu_model(&text)),
        "cores": std::thread::available_parallelism().ok().map(usize::from),
        "load_1_min": fs::read_to_string("/proc/loadavg").ok().and_then(|text| load(&text)),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "git": git(&["rev-parse", "--short=12", "HEAD"]).ok(),
        "git_clean": git(&["status", "--porcelain"]).ok().map(|changes| changes.is_empty()),
    })
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn load(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 200.0]), 3.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 100.0]), 3.0);
    }

    #[test]
    fn a_demo_without_success_is_a_failure() {
        assert_eq!(
            demo_succeeded("{\"step\":1}\n{\"ok\":true,\"steps\":[]}\n"),
            Ok(())
        );
        for printed in ["", "{\"ok\":false}", "{\"ok\":true}\ngarbage", "{\"okay\":true}"] {
            assert!(demo_succeeded(printed).is_err(), "{printed}");
        }
    }

    #[test]
    fn core_figures_are_medians_of_each_key() {
        let run = |ready: f64| {
            let line = json!({"core_ready_ms": ready, "core_ready_cpu_ms": 1, "tool_call_p50_us": 700, "idle_rss_mb": 30, "extra": 5, "name": "x"});
            parse_core(&line.to_string()).unwrap()
        };
        let figures = medians(&[run(90.0), run(10.0), run(20.123)]);
        assert_eq!(
            Value::Object(figures),
            json!({"core_ready_ms": 20.12, "core_ready_cpu_ms": 1.0, "tool_call_p50_us": 700.0, "idle_rss_mb": 30.0, "extra": 5.0})
        );
    }

    #[test]
    fn a_missing_core_figure_is_named() {
        let failure = parse_core("{\"core_ready_ms\":1,\"core_ready_cpu_ms\":1}").unwrap_err();
        assert!(
            failure.0.ends_with("printed no number for tool_call_p50_us"),
            "{failure}"
        );
        assert!(parse_core("").is_err());
    }

    #[test]
    fn a_stat_line_with_a_strange_name_is_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 200 0 0 11 12 130 14 20 0 1 0 5 6 7";
        assert_eq!(parse_children_cpu_ms(stat), Some(1440.0));
        assert_eq!(parse_children_cpu_ms("7 (a) S 1"), None);
    }

    #[test]
    fn the_machine_is_described_by_model_and_load() {
        assert_eq!(
            cpu_model("processor : 0\nmodel name\t: Fast CPU 9\n").as_deref(),
            Some("Fast CPU 9")
        );
        assert_eq!(load("0.52 0.58 0.59 1/467 12345\n"), Some(0.52));
    }
}
