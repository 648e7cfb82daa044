use std::collections::{BTreeSet, HashMap};

use crate::SkillId;

/// The clock may waver by this much without being taken as set back.
const WAVER_MS: i64 = 1_000;

/// Which skills have to be looked at when: a look costs what is due, not what exists.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    queue: BTreeSet<(i64, SkillId)>,
    times: HashMap<SkillId, i64>,
    latest_ms: Option<i64>,
}

impl Agenda {
    /// Says when a skill has to be looked at; `None` takes it off.
    pub(crate) fn set(&mut self, skill: &SkillId, at_ms: Option<i64>) {
        let old = match at_ms {
            Some(at) => self.times.insert(skill.clone(), at),
            None => self.times.remove(skill),
        };
        if old == at_ms {
            return;
        }
        if let Some(old) = old {
            self.queue.remove(&(old, skill.clone()));
        }
        if let Some(at) = at_ms {
            self.queue.insert((at, skill.clone()));
        }
    }

    /// The skills to look at now: those whose time has come, or all of them when the clock was set back. They
    /// stay on until [`Agenda::set`] says otherwise.
    pub(crate) fn due(&mut self, now_ms: i64) -> Vec<SkillId> {
        let set_back = self
            .latest_ms
            .is_some_and(|latest| now_ms < latest.saturating_sub(WAVER_MS));
        self.latest_ms = Some(now_ms);
        let due = self.queue.iter().take_while(|(at, _)| set_back || *at <= now_ms);
        due.map(|(_, skill)| skill.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_due_is_looked_at_until_the_clock_is_set_back() {
        let mut agenda = Agenda::default();
        let [a, b, c] = ["a", "b", "c"].map(|id| SkillId::new(id).unwrap());
        agenda.set(&a, Some(10_000));
        agenda.set(&b, Some(20_000));
        agenda.set(&c, Some(5_000));
        agenda.set(&c, None);
        assert_eq!(agenda.due(9_999), Vec::new());
        assert_eq!(agenda.due(10_000), std::slice::from_ref(&a));
        agenda.set(&a, Some(30_000));
        assert_eq!(agenda.due(20_000), std::slice::from_ref(&b));
        agenda.set(&b, Some(25_000));
        assert_eq!(agenda.due(19_500), [], "half a second is no jump");
        assert_eq!(agenda.due(15_000), [b, a], "an hour would have to pass otherwise");
        assert_eq!(agenda.due(15_000), []);
    }
}
