//! Gathering events until a hook fires.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::{Value, json};

use super::HookError;
use super::event::{HookEvent, at};

const MAX_COUNT: u64 = 1_000;
/// A week.
const MAX_WINDOW_MS: u64 = 7 * 24 * 3_600_000;
const MAX_GROUPS: usize = 256;
/// What one hook may keep, in events and in bytes of JSON. Beyond it the oldest events are forgotten.
const MAX_KEPT: (usize, usize) = (1_000, 1024 * 1024);
const MAX_GROUP_KEY: usize = 256;

/// When a hook fires, if not at every event.
///
/// With `count` it fires when that many events have come (within the window, if there is one). When `window_ms` is
/// over, counted from the first event, it fires if at least `min_count` events have come (default: `count`, or 1
/// without it), and forgets them either way. Without `reset_on_fire` the events stay after a firing by count, and
/// each further event fires again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accumulate {
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    window_ms: Option<u64>,
    #[serde(default)]
    group_by: Option<String>,
    #[serde(default)]
    min_count: Option<u64>,
    #[serde(default)]
    reset_on_fire: Option<bool>,
}

impl Accumulate {
    pub(super) fn check(&self) -> Result<(), HookError> {
        let wrong = |field: &str, reason: String| Err(HookError::new(format!("accumulate.{field}"), reason));
        if self.count.is_none() && self.window_ms.is_none() {
            return wrong("count", "needs `count` or `window_ms`".to_owned());
        }
        for (field, value, most) in [
            ("count", self.count, MAX_COUNT),
            ("min_count", self.min_count, MAX_COUNT),
            ("window_ms", self.window_ms, MAX_WINDOW_MS),
        ] {
            if value.is_some_and(|value| value == 0 || value > most) {
                return wrong(field, format!("needs 1 to {most}"));
            }
        }
        if self
            .group_by
            .as_ref()
            .is_some_and(|path| path.is_empty() || path.len() > 512)
        {
            return wrong("group_by", "needs a path of 1 to 512 bytes".to_owned());
        }
        Ok(())
    }

    fn min_count(&self) -> u64 {
        self.min_count.or(self.count).unwrap_or(1)
    }
}

/// The events of one firing.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) group: Option<String>,
    pub(super) events: Vec<HookEvent>,
    pub(super) first_at: i64,
}

/// What a hook has gathered, by group. Without `group_by` there is one group with an empty name.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    groups: BTreeMap<String, Group>,
    kept: usize,
    bytes: usize,
    arrivals: u64,
}

#[derive(Debug)]
struct Group {
    events: VecDeque<HookEvent>,
    /// The clock's time at the first event.
    since: i64,
    /// Which of all the hook's events came last here.
    arrival: u64,
    /// Events since the last firing.
    fresh: u64,
}

impl Buffer {
    /// Takes an event; the batch it completes, if it does.
    pub(super) fn push(&mut self, rule: &Accumulate, event: &HookEvent, now: i64) -> Option<Batch> {
        let key = rule.group_by.as_deref().map(|path| group_key(event, path));
        let name = key.clone().unwrap_or_default();
        if !self.groups.contains_key(&name) && self.groups.len() >= MAX_GROUPS {
            self.forget_quietest();
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        let group = self.groups.entry(name.clone()).or_insert_with(|| Group {
            events: VecDeque::new(),
            since: now,
            arrival,
            fresh: 0,
        });
        group.arrival = arrival;
        group.fresh += 1;
        group.events.push_back(event.clone());
        self.kept += 1;
        self.bytes += event.size;
        let full = rule.count.is_some_and(|count| group.events.len() as u64 >= count);
        let batch = full
            .then(|| self.fire(&name, key, rule.reset_on_fire.unwrap_or(true)))
            .flatten();
        self.trim();
        batch
    }

    /// Ends the windows that are over; the batches that are large enough.
    pub(super) fn expire(&mut self, rule: &Accumulate, now: i64) -> Vec<Batch> {
        let Some(window) = rule.window_ms.and_then(|ms| i64::try_from(ms).ok()) else {
            return Vec::new();
        };
        let mut over = Vec::new();
        for (name, group) in &mut self.groups {
            // A clock that was set back must not keep a window open for longer than it lasts.
            group.since = group.since.min(now);
            if now - group.since >= window {
                over.push(name.clone());
            }
        }
        let mut batches = Vec::new();
        for name in over {
            let enough = self
                .groups
                .get(&name)
                .is_some_and(|group| group.fresh > 0 && group.events.len() as u64 >= rule.min_count());
            if enough {
                let key = rule.group_by.as_ref().map(|_| name.clone());
                batches.extend(self.fire(&name, key, true));
            } else {
                self.forget(&name);
            }
        }
        batches
    }

    /// When the next window is over.
    pub(super) fn deadline(&self, rule: &Accumulate) -> Option<i64> {
        let window = i64::try_from(rule.window_ms?).ok()?;
        self.groups
            .values()
            .map(|group| group.since.saturating_add(window))
            .min()
    }

    /// `{bufferedCount, eventTimestamps, groups}`.
    pub(super) fn state(&self, grouped: bool) -> Value {
        let mut timestamps: Vec<i64> = self
            .groups
            .values()
            .flat_map(|group| group.events.iter().map(|event| event.timestamp))
            .collect();
        timestamps.sort_unstable();
        let groups: BTreeMap<&String, usize> = self
            .groups
            .iter()
            .filter(|_| grouped)
            .map(|(name, group)| (name, group.events.len()))
            .collect();
        json!({"bufferedCount": self.kept, "eventTimestamps": timestamps, "groups": groups})
    }

    fn fire(&mut self, name: &str, group: Option<String>, reset: bool) -> Option<Batch> {
        let found = self.groups.get_mut(name)?;
        let first_at = found.since;
        found.fresh = 0;
        let events = found.events.iter().cloned().collect();
        if reset {
            self.forget(name);
        }
        Some(Batch {
            group,
            events,
            first_at,
        })
    }

    fn forget(&mut self, name: &str) {
        if let Some(group) = self.groups.remove(name) {
            self.kept -= group.events.len();
            self.bytes -= group.events.iter().map(|event| event.size).sum::<usize>();
        }
    }

    fn forget_quietest(&mut self) {
        let quietest = self.groups.iter().min_by_key(|(_, group)| group.arrival);
        if let Some(name) = quietest.map(|(name, _)| name.clone()) {
            self.forget(&name);
        }
    }

    /// Keeps to the limits by forgetting the oldest events of the largest group.
    fn trim(&mut self) {
        while self.kept > MAX_KEPT.0 || self.bytes > MAX_KEPT.1 {
            let largest = self.groups.values_mut().max_by_key(|group| group.events.len());
            let Some(oldest) = largest.and_then(|group| group.events.pop_front()) else {
                return;
            };
            self.kept -= 1;
            self.bytes -= oldest.size;
        }
        self.groups.retain(|_, group| !group.events.is_empty());
    }
}

fn group_key(event: &HookEvent, path: &str) -> String {
    let mut key = match at(event.json(), path) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    if key.len() > MAX_GROUP_KEY {
        let end = (0..=MAX_GROUP_KEY).rev().find(|end| key.is_char_boundary(*end));
        key.truncate(end.unwrap_or(0));
    }
    key
}
