//! `openhuman dev`: for developing OpenHuman itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openhuman::Credential;
use openhuman::agent::extractive::ExtractiveModel;
use openhuman::agent::mock::{MockServer, Script};
use openhuman::skills::SystemClock;
use openhuman::vault::{Password, VaultOptions};
use openhuman_backend::{Backend, SqliteTokenStore};
use serde_json::{Value, json};

use crate::args::{Dev, Global};
use crate::demo::{Skilled, synced_tools};
use crate::exit::{Code, Failure, stop_signal};
use crate::output;

/// Tool calls that warm up, and those that are measured.
const WARM_UP: usize = 200;
const CALLS: usize = 2000;

/// How often the core is built.
const BUILDS: usize = 7;

pub(crate) async fn run(_global: &Global, command: Dev) -> Result<(), Failure> {
    match command {
        Dev::Llm { script } => llm(script).await,
        Dev::BenchCore => bench_core().await,
    }
}

async fn llm(script: Option<PathBuf>) -> Result<(), Failure> {
    let script = match script {
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Failure::new(Code::NotFound, format!("cannot read {}: {error}", path.display()))
            })?;
            serde_json::from_str::<Script>(&text).map_err(|error| {
                Failure::new(
                    Code::Usage,
                    format!("{} is not a script: {error}", path.display()),
                )
            })?
        }
        None => Script::demo(),
    };
    let stop = stop_signal()?;
    let server = MockServer::try_start(script)
        .await
        .map_err(|error| Failure::new(Code::Unavailable, error.to_string()))?;
    output::json(&json!({ "base_url": server.base_url() }))?;
    stop.await;
    server.shutdown().await;
    Ok(())
}

/// Prints one JSON object. The vault is opened before the clock starts: Argon2id is slow on purpose.
async fn bench_core() -> Result<(), Failure> {
    let skilled = Skilled::prepare(None).await?;
    let home = skilled.home();
    let password = || Password::from("bench password".to_owned());
    home.create_vault(&password(), &VaultOptions::fast_for_tests())?;

    let (mut ready, mut ready_cpu) = (Vec::new(), Vec::new());
    for _ in 0..BUILDS {
        let vault = home.open_vault(&password())?;
        let (wall, cpu) = (Instant::now(), cpu_time());
        let core = skilled.core(vault, Arc::new(SystemClock)).await?;
        ready.push(wall.elapsed());
        ready_cpu.push(cpu_time().saturating_sub(cpu));
        core.close().await;
    }

    let core = skilled
        .core(home.open_vault(&password())?, Arc::new(SystemClock))
        .await?;
    let idle_rss_mb = resident_mb();
    let failed = |error: &dyn std::fmt::Display| Failure::new(Code::Failed, error.to_string());
    let tokens = SqliteTokenStore::in_memory().map_err(|error| failed(&error))?;
    let model = Arc::new(ExtractiveModel::new());
    let backend = Backend::builder()
        .model(model)
        .token_store(tokens)
        .start("127.0.0.1:0")
        .await?;
    let token = backend
        .issue_login_token("bench")
        .map_err(|error| failed(&error))?;
    core.connect(&backend.url(), &Credential::LoginToken(token.expose().to_owned()))
        .await?;
    while synced_tools(&backend, "bench").is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let mut calls = Vec::with_capacity(CALLS);
    let mut cpu = cpu_time();
    for round in 0..WARM_UP + CALLS {
        if round == WARM_UP {
            cpu = cpu_time();
        }
        let started = Instant::now();
        let result = backend
            .call_tool("bench", "notes__find_notes", &json!({ "query": "nothing" }))
            .await
            .map_err(|error| failed(&error))?;
        if result.is_error {
            return Err(failed(&result.text));
        }
        if round >= WARM_UP {
            calls.push(started.elapsed());
        }
    }
    let cpu = cpu_time().saturating_sub(cpu);
    let per_call = cpu.as_secs_f64() * 1e6 / CALLS as f64;
    let report: Value = json!({
        "core_ready_ms": milliseconds(median(&mut ready)),
        "core_ready_cpu_ms": milliseconds(median(&mut ready_cpu)),
        "tool_call_p50_us": median(&mut calls).as_secs_f64() * 1e6,
        "tool_call_p99_us": percentile(&mut calls, 99).as_secs_f64() * 1e6,
        "tool_call_cpu_us": per_call,
        "idle_rss_mb": idle_rss_mb,
    });
    core.close().await;
    backend.shutdown().await;
    output::json(&report)
}

fn median(times: &mut [Duration]) -> Duration {
    percentile(times, 50)
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times
        .get((times.len() * percent / 100).min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// CPU time of this process, user and system, in ticks of 10 ms where Linux tells it; else zero.
fn cpu_time() -> Duration {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return Duration::ZERO;
    };
    // The second field is the program's name in parentheses and may hold spaces: count from behind it.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory in MiB where Linux tells it.
fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_values() {
        let mut times: Vec<Duration> = [5, 1, 3].map(Duration::from_millis).to_vec();
        assert_eq!(median(&mut times), Duration::from_millis(3));
        assert_eq!(percentile(&mut times, 99), Duration::from_millis(5));
        assert_eq!(median(&mut []), Duration::ZERO);
    }
}
