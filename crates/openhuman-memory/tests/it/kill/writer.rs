//! What is killed: a program that writes, replaces, deletes and compacts at random, and says before and after each step
//! what it does.

use std::path::Path;

use openhuman_memory::{
    Budget, Conversation, Document, ExtractiveSummarizer, Memory, Query, SessionRecord, SessionRole, Turn,
};

use super::model::Step;
use crate::{key, open};

/// Chunks from which on the memory keeps bits and segments here, so that these are written too.
const EXACT_LIMIT: usize = 200;

pub(super) const SESSION: &str = "talk";

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// From 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        self.below(1 << 20) as f64 / (1 << 20) as f64
    }
}

/// The lines of a document: its kind is the first letter of its key, its length and words follow from key and round.
pub(super) fn lines(key: &str, round: u64) -> Vec<String> {
    let seed = key
        .bytes()
        .fold(round, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    let mut random = Random::new(seed);
    let count = match key.as_bytes()[0] {
        b'l' => 200 + random.below(1500),
        b'c' => 1 + random.below(150),
        _ => 1 + random.below(4),
    };
    let mut lines = vec![format!("Ann: This is {} of {key}.", word(key, round))];
    lines.extend((1..count).map(|n| format!("Ann: Line {n} is about topic{}.", random.below(50))));
    lines
}

/// A word that no other document has.
pub(super) fn word(key: &str, round: u64) -> String {
    format!("{key}version{round}")
}

pub(super) fn write_until_killed(dir: &Path, seed: u64) {
    let memory = open(dir, &key()).unwrap();
    memory.keep_bits_above(EXACT_LIMIT);
    // From here on every change is applied to the vectors in memory too.
    memory.search(&Query::new("anything")).unwrap();
    let mut random = Random::new(seed);
    let mut said = memory.session(SESSION).unwrap().view().unwrap().messages.len() as u64;
    said = said.max(spoken(&memory));
    // A line of its own, whatever the test harness has printed.
    println!();
    tell(&Step::Ready);
    loop {
        let round = random.below(1 << 32);
        let step = match random.below(100) {
            0..25 => Step::Store(vec![format!("s{}", random.below(40))], round),
            25..37 => Step::Store(vec![format!("l{}", random.below(6))], round),
            37..49 => Step::Store((0..20).map(|n| format!("b{n}")).collect(), round),
            49..59 => Step::Store(vec![format!("c{}", random.below(3))], round),
            59..84 => match existing(&memory, &mut random) {
                Some(key) => Step::Forget(key),
                None => continue,
            },
            84..95 => Step::Say(said),
            _ => Step::Compact,
        };
        tell(&step);
        take(&memory, &step);
        said += u64::from(matches!(step, Step::Say(_)));
        tell(&Step::End);
    }
}

fn tell(step: &Step) {
    println!("{step}");
}

fn existing(memory: &Memory, random: &mut Random) -> Option<String> {
    let documents = memory.documents(Some("default")).unwrap();
    let place = random.below(documents.len().max(1) as u64) as usize;
    documents.into_iter().nth(place).map(|document| document.key)
}

/// How many messages the session has, compacted ones included.
pub(super) fn spoken(memory: &Memory) -> u64 {
    let records = memory.session(SESSION).unwrap().read().unwrap();
    let messages = records
        .iter()
        .filter(|record| matches!(record, SessionRecord::Message { .. }));
    messages.count() as u64
}

fn take(memory: &Memory, step: &Step) {
    match step {
        Step::Store(keys, round) => match keys.as_slice() {
            [key] if key.starts_with('c') => {
                let turns = lines(key, *round)
                    .iter()
                    .map(|line| Turn::new("Ann", line.trim_start_matches("Ann: ")))
                    .collect();
                let mut conversation = Conversation::new(key.as_str(), turns);
                conversation.source = round.to_string();
                memory.ingest_conversation(&conversation).unwrap();
            }
            keys => {
                let documents: Vec<Document> = keys
                    .iter()
                    .map(|key| Document {
                        source: round.to_string(),
                        ..Document::new(key.as_str(), "", lines(key, *round).join("\n"))
                    })
                    .collect();
                memory.ingest_all(&documents).unwrap();
            }
        },
        Step::Forget(key) => {
            let documents = memory.documents(Some("default")).unwrap();
            let document = documents
                .into_iter()
                .find(|document| document.key == *key)
                .unwrap();
            assert!(memory.forget(&document.id).unwrap());
        }
        Step::Say(number) => {
            let text = format!("Message {number}: the number of this day is {}.", number * 7);
            let record = SessionRecord::text(*number as i64, SessionRole::User, text);
            memory.session(SESSION).unwrap().append(&record).unwrap();
        }
        Step::Compact => {
            memory
                .compact_session(SESSION, &Budget::of_window(400), &ExtractiveSummarizer)
                .unwrap();
        }
        Step::Ready | Step::End => {}
    }
}
