use std::collections::BTreeMap;

use super::entry::Entry;

/// The schedules of one skill while it runs.
#[derive(Debug, Default)]
pub(crate) struct Timetable {
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Which load of the skill this is: what a hook of an earlier one reports is not about these entries.
    pub(crate) generation: u64,
    /// Whether somebody starts what is owed, one after the other.
    pub(crate) attended: bool,
}

impl Timetable {
    /// Replaces everything, as a skill starts.
    pub(crate) fn load(&mut self, entries: BTreeMap<String, Entry>) {
        self.entries = entries;
        self.generation += 1;
        self.attended = false;
    }

    /// Moves every schedule to `now_ms`; whether a firing can start.
    pub(crate) fn advance(&mut self, now_ms: i64) -> bool {
        // Not `any`: each entry has to move.
        self.entries
            .values_mut()
            .fold(false, |ready, entry| entry.advance(now_ms) | ready)
    }

    /// Takes one owed firing, of the schedule that has waited longest.
    pub(crate) fn start_one(&mut self) -> Option<String> {
        let ready = self.entries.iter_mut().filter(|(_, entry)| entry.is_ready());
        let (id, entry) = ready.min_by_key(|(_, entry)| entry.last_ms)?;
        entry.owed -= 1;
        entry.running = true;
        Some(id.clone())
    }

    /// When somebody has to look.
    pub(crate) fn look_at_ms(&self) -> Option<i64> {
        self.entries.values().filter_map(Entry::look_at_ms).min()
    }
}
