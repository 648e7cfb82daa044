//! What the process used: time, memory, threads.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// The processor time of all threads so far.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// The resident memory. The roll-up counts pages; the status file's counter lags behind by some of them.
pub(crate) fn resident_kb() -> f64 {
    let exact = field("/proc/self/smaps_rollup", "Rss:");
    exact
        .or_else(|| field("/proc/self/status", "VmRSS:"))
        .unwrap_or(0.0)
}

pub(crate) fn threads() -> u64 {
    field("/proc/self/status", "Threads:").unwrap_or(0.0) as u64
}

fn field(file: &str, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which `part` (0 to 1) of the values lie; 0 for none.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part) as usize;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// Three decimals are below the noise of every figure here.
pub(crate) fn number(value: f64) -> Value {
    json!((value * 1e3).round() / 1e3)
}
