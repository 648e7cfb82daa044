//! What a backend counts, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) connections: Counter,
    pub(crate) refused: Counter,
    pub(crate) turns: Counter,
    pub(crate) turns_failed: Counter,
    pub(crate) tool_calls: Counter,
    pub(crate) webhooks: Counter,
    pub(crate) webhooks_failed: Counter,
    pub(crate) logins: Counter,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What there is at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) desktops: usize,
    pub(crate) users: usize,
    pub(crate) turns: usize,
    pub(crate) waiting: usize,
    pub(crate) uptime_ms: i64,
    pub(crate) draining: bool,
}

impl Metrics {
    /// The text that `/metrics` answers with.
    pub(crate) fn text(&self, now: Gauges) -> String {
        let mut out = String::new();
        let mut line = |name: &str, kind: &str, help: &str, value: f64| {
            // Writing into a string cannot fail.
            let _ = writeln!(
                out,
                "# HELP openhuman_{name} {help}\n# TYPE openhuman_{name} {kind}\nopenhuman_{name} {value}"
            );
        };
        let count = |counter: &Counter| counter.0.load(Ordering::Relaxed) as f64;
        line("desktops", "gauge", "Connected desktops.", now.desktops as f64);
        line(
            "users",
            "gauge",
            "Users with a connected desktop.",
            now.users as f64,
        );
        line(
            "turns_running",
            "gauge",
            "Turns that are running.",
            now.turns as f64,
        );
        line(
            "calls_waiting",
            "gauge",
            "Requests to desktops without an answer yet.",
            now.waiting as f64,
        );
        line(
            "uptime_seconds",
            "gauge",
            "Time since the start.",
            now.uptime_ms as f64 / 1000.0,
        );
        line(
            "draining",
            "gauge",
            "1 while nothing new is taken.",
            f64::from(u8::from(now.draining)),
        );
        line(
            "connections_total",
            "counter",
            "Desktops that connected.",
            count(&self.connections),
        );
        line(
            "connections_refused_total",
            "counter",
            "Desktops that were turned away.",
            count(&self.refused),
        );
        line(
            "logins_total",
            "counter",
            "Login tokens that were redeemed.",
            count(&self.logins),
        );
        line(
            "turns_total",
            "counter",
            "Turns that were started.",
            count(&self.turns),
        );
        line(
            "turns_failed_total",
            "counter",
            "Turns without an answer.",
            count(&self.turns_failed),
        );
        line(
            "tool_calls_total",
            "counter",
            "Tool calls that went to desktops.",
            count(&self.tool_calls),
        );
        line(
            "webhooks_total",
            "counter",
            "Webhook requests that came in.",
            count(&self.webhooks),
        );
        line(
            "webhooks_failed_total",
            "counter",
            "Webhook requests that no desktop answered.",
            count(&self.webhooks_failed),
        );
        out
    }
}
