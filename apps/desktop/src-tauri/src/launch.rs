//! Measures the time from the start of the process to the first frame on the screen.

use std::time::{Duration, Instant};

use serde_json::json;
use tauri::AppHandle;

/// When set, the app prints one line of JSON at its first frame and ends; a benchmark starts it so.
const EXIT_VARIABLE: &str = "OPENHUMAN_EXIT_ON_PAINT";

/// The clock of this launch.
pub(crate) struct Launch {
    main: Instant,
}

impl Launch {
    /// Starts the clock; the first thing that `main` does.
    pub(crate) fn begin() -> Self {
        Self { main: Instant::now() }
    }

    /// Reports the first frame.
    pub(crate) fn painted(&self, app: &AppHandle) {
        let since_main = self.main.elapsed();
        let since_exec = since_exec();
        tracing::info!(?since_main, ?since_exec, "first frame");
        if std::env::var_os(EXIT_VARIABLE).is_some() {
            println!(
                "{}",
                json!({ "since_main_ms": millis(since_main), "since_exec_ms": since_exec.map(millis) })
            );
            app.exit(0);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The age of this process, to 10 ms, where the system tells it.
fn since_exec() -> Option<Duration> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    age(&stat, &uptime)
}

/// The age of a process from its `stat` line and the system's uptime.
fn age(stat: &str, uptime: &str) -> Option<Duration> {
    /// Clock ticks per second in the kernel's interface: 100 on every architecture.
    const TICKS: f64 = 100.0;
    // The name in parentheses may hold spaces; the start time is field 22, the 20th after the name.
    let (_, fields) = stat.rsplit_once(") ")?;
    let started: f64 = fields.split(' ').nth(19)?.parse().ok()?;
    let now: f64 = uptime.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64(now - started / TICKS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_uptime_minus_start() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 1 0 0 0 5 2 0 0 20 0 9 0 12345 1 2 3";
        let age = age(stat, "124.95 200.10\n").unwrap();
        assert_eq!(age.as_millis(), 1500);
    }

    #[test]
    fn a_line_of_another_shape_has_no_age() {
        assert_eq!(age("42 nothing", "1.0 1.0"), None);
        assert_eq!(age("42 (x) S 1", "1.0 1.0"), None);
        assert_eq!(
            age(
                "42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 999999",
                "1.0 1.0"
            ),
            None
        );
    }
}
