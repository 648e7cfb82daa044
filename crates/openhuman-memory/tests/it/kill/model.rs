//! What must be in a memory after a kill, from what its process said before.

use std::collections::BTreeMap;
use std::fmt;

use openhuman_memory::{Memory, SessionRecord};

use super::writer::{Random, SESSION, lines, word};

/// A line of the writing process.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Ready,
    /// Documents, all or none, and their version.
    Store(Vec<String>, u64),
    Forget(String),
    /// A message of the session.
    Say(u64),
    /// The session is compacted.
    Compact,
    /// The step before has ended.
    End,
}

impl Step {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ready => "opening",
            Self::Store(keys, _) => match keys[0].as_bytes()[0] {
                b'l' => "a long document",
                b'c' => "a conversation",
                b'b' => "twenty documents at once",
                _ => "a short document",
            },
            Self::Forget(_) => "a deletion",
            Self::Say(_) => "a message of a session",
            Self::Compact => "a compaction",
            Self::End => "nothing",
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match name {
            "READY" => Self::Ready,
            "END" => Self::End,
            "FORGET" => Self::Forget(rest.to_owned()),
            "SAY" => Self::Say(rest.parse().ok()?),
            "COMPACT" => Self::Compact,
            "STORE" => {
                let (keys, round) = rest.split_once(' ')?;
                Self::Store(keys.split(',').map(str::to_owned).collect(), round.parse().ok()?)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("READY"),
            Self::End => f.write_str("END"),
            Self::Forget(key) => write!(f, "FORGET {key}"),
            Self::Say(number) => write!(f, "SAY {number}"),
            Self::Compact => f.write_str("COMPACT"),
            Self::Store(keys, round) => write!(f, "STORE {} {round}", keys.join(",")),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Model {
    /// Keys and versions.
    documents: BTreeMap<String, u64>,
    said: u64,
    under_way: Option<Step>,
    last: Option<Step>,
    acknowledged: usize,
}

impl Model {
    /// Takes a line in; `None` for one of the test harness.
    pub(super) fn read(&mut self, line: &str) -> Option<Step> {
        let step = Step::parse(line)?;
        match &step {
            Step::Ready => {}
            Step::End => {
                self.acknowledged += 1;
                self.last = self.under_way.take();
                if let Some(step) = self.last.clone() {
                    self.apply(&step);
                }
            }
            step => self.under_way = Some(step.clone()),
        }
        Some(step)
    }

    pub(super) fn under_way(&self) -> Option<&Step> {
        self.under_way.as_ref()
    }

    /// The step that ended last.
    pub(super) fn last(&self) -> Option<&Step> {
        self.last.as_ref()
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Store(keys, round) => {
                let stored = keys.iter().map(|key| (key.clone(), *round));
                self.documents.extend(stored);
            }
            Step::Forget(key) => drop(self.documents.remove(key)),
            Step::Say(number) => self.said = number + 1,
            Step::Ready | Step::Compact | Step::End => {}
        }
    }

    /// Compares with a memory. Whether the step under way is in it decides the memory; it must be one of the two.
    pub(super) fn settle(&mut self, memory: &Memory) -> Result<bool, String> {
        let without = self.differs(memory);
        let step = self.under_way.take();
        // A compaction changes nothing that is known here, so it counts as not done.
        let Some(before) = without else { return Ok(false) };
        let Some(step) = step else { return Err(before) };
        self.apply(&step);
        match self.differs(memory) {
            None => Ok(true),
            Some(after) => Err(format!("neither without it ({before}) nor with it ({after})")),
        }
    }

    /// What of the memory is not as it should be.
    fn differs(&self, memory: &Memory) -> Option<String> {
        let found = memory.documents(Some("default")).unwrap();
        let keys: BTreeMap<&str, &str> = found
            .iter()
            .map(|document| (document.key.as_str(), document.source.as_str()))
            .collect();
        if keys.len() != self.documents.len() {
            return Some(format!("{} documents, not {}", keys.len(), self.documents.len()));
        }
        for document in &found {
            let round = self.documents.get(&document.key);
            let Some(round) = round.filter(|round| round.to_string() == document.source) else {
                return Some(format!(
                    "{} of version {}, not {round:?}",
                    document.key, document.source
                ));
            };
            let text = memory.text(&document.id).unwrap().unwrap_or_default();
            let expected = lines(&document.key, *round);
            let plain = !document.key.starts_with('c');
            if !text.lines().eq(expected.iter().map(String::as_str)) || (plain && text.ends_with('\n')) {
                return Some(format!("another text in {}", document.key));
            }
        }
        let records = memory.session(SESSION).unwrap().read().unwrap();
        let said: Vec<i64> = records
            .iter()
            .filter_map(|record| match record {
                SessionRecord::Message { timestamp, .. } => Some(*timestamp),
                _ => None,
            })
            .collect();
        let expected = (0..self.said as i64).eq(said.iter().copied());
        (!expected).then(|| format!("messages {said:?}, not {}", self.said))
    }

    /// A document that must be found, and the word that only it has.
    pub(super) fn any(&self, random: &mut Random) -> Option<(String, String)> {
        let place = random.below(self.documents.len().max(1) as u64) as usize;
        let (key, round) = self.documents.iter().nth(place)?;
        Some((key.clone(), word(key, *round)))
    }
}
