//! What all clients are measured with: the message, clocks, and figures. Shared with the crate in `bench`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Events in one burst of sending.
pub(crate) const BURST: usize = 64;

/// An event's argument, about a kilobyte of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) author: Author,
    pub(crate) text: String,
    pub(crate) tags: Vec<String>,
    pub(crate) score: f64,
    pub(crate) unread: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Author {
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Message {
    /// One that is 1,024 bytes long in JSON.
    pub(crate) fn kilobyte() -> Self {
        let mut message = Self {
            id: 4_217_331,
            author: Author {
                name: "Ada Lovelace".to_owned(),
                address: "ada@example.org".to_owned(),
            },
            text: String::new(),
            tags: ["inbox", "project", "\"quoted\"", "later"]
                .map(str::to_owned)
                .to_vec(),
            score: 0.8125,
            unread: true,
        };
        let words = "a line of text with \"quotes\",\nbreaks and \u{e4}\u{f6}\u{fc} in it; ";
        while message.json().len() + words.len() + 16 < 1024 {
            message.text.push_str(words);
        }
        let rest = 1024 - message.json().len();
        message.text.push_str(&"x".repeat(rest));
        message
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The processor time of this process.
pub(crate) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Processor time in microseconds for each of `count`.
pub(crate) struct Cpu(Duration);

impl Cpu {
    pub(crate) fn start() -> Self {
        Self(cpu())
    }

    pub(crate) fn per(&self, count: usize) -> f64 {
        (cpu() - self.0).as_secs_f64() * 1e6 / count as f64
    }
}

/// Wall times of single operations.
#[derive(Default)]
pub(crate) struct Walls(Vec<f64>);

impl Walls {
    pub(crate) fn add(&mut self, started: Instant) {
        self.0.push(started.elapsed().as_secs_f64() * 1e6);
    }

    /// The middle one, in microseconds.
    pub(crate) fn p50(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0[self.0.len() / 2]
    }
}

/// Resident memory of this process in KiB.
pub(crate) fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

/// Prints the figures as one JSON object.
pub(crate) fn report(figures: &[(&str, f64)]) {
    let figures: BTreeMap<&str, f64> = figures.iter().copied().collect();
    println!("{}", serde_json::to_string(&figures).unwrap_or_default());
}
