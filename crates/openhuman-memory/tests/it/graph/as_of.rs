//! "As of" queries against a model that replays everything for each question.

use openhuman_memory::graph::{Assertion, Change, FactQuery, GraphStore, Object};
use openhuman_memory::{HashingEmbedder, Memory, MemoryOptions};

use crate::key;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn time(&mut self) -> i64 {
        self.below(20) as i64
    }
}

#[derive(Debug, Clone)]
struct Told {
    at: i64,
    subject: u64,
    single: bool,
    object: u64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Holds { from: i64, until: Option<i64> },
    Ended { until: i64 },
}

fn history(random: &mut Random) -> Vec<Told> {
    let mut told = Vec::new();
    let mut at = 0;
    for _ in 0..3 {
        at += 1 + random.below(3) as i64;
        for _ in 0..1 + random.below(5) {
            let from = random.time();
            let what = match random.below(5) {
                0 => What::Ended { until: from },
                1 => What::Holds {
                    from,
                    until: Some(from + 1 + random.below(8) as i64),
                },
                _ => What::Holds { from, until: None },
            };
            told.push(Told {
                at,
                subject: random.below(2),
                single: random.below(3) > 0,
                object: random.below(4),
                what,
            });
        }
    }
    told
}

/// Objects of a subject that hold at `valid`, from what was told up to `known`: of each timeline the last statement
/// that began by then, unless it ended.
fn expected(told: &[Told], subject: u64, valid: i64, known: i64) -> Vec<(bool, u64)> {
    let mut holding = Vec::new();
    for (single, object) in [
        (true, None),
        (false, Some(0)),
        (false, Some(1)),
        (false, Some(2)),
        (false, Some(3)),
    ] {
        let mut statements: Vec<(i64, u64, Option<i64>)> = Vec::new();
        let last = |statements: &[(i64, u64, Option<i64>)], time: i64| {
            let mut place: Option<usize> = None;
            for (index, statement) in statements.iter().enumerate() {
                if statement.0 <= time && place.is_none_or(|place| statements[place].0 <= statement.0) {
                    place = Some(index);
                }
            }
            place.filter(|place| statements[*place].2.is_none_or(|until| time < until))
        };
        let mine = told.iter().filter(|told| {
            told.at <= known
                && told.subject == subject
                && told.single == single
                && object.is_none_or(|object| object == told.object)
        });
        for told in mine {
            match told.what {
                What::Holds { from, until } => {
                    let now = last(&statements, from);
                    let known =
                        until.is_none() && now.is_some_and(|place| statements[place].1 == told.object);
                    if !known {
                        statements.push((from, told.object, until));
                    }
                }
                What::Ended { until } => {
                    if let Some(place) = last(&statements, until)
                        && statements[place].1 == told.object
                    {
                        statements[place].2 = Some(until);
                    }
                }
            }
        }
        holding.extend(last(&statements, valid).map(|place| (single, statements[place].1)));
    }
    holding.sort_unstable();
    holding
}

fn change(history: u64, told: &Told) -> Change {
    let (subject, object) = (
        format!("h{history} s{}", told.subject),
        Object::entity(format!("o{}", told.object)),
    );
    let predicate = if told.single { "is at" } else { "knows" };
    match told.what {
        What::Ended { until } => Change::Close {
            subject,
            predicate: predicate.to_owned(),
            object,
            until,
        },
        What::Holds { from, until } => Change::Assert(Assertion {
            single: told.single,
            valid_until: until,
            ..Assertion::one(subject, predicate, object, from)
        }),
    }
}

fn found(
    graph: &impl GraphStore,
    history: u64,
    subject: u64,
    valid_at: i64,
    known_at: Option<i64>,
) -> Vec<(bool, u64)> {
    let query = FactQuery {
        valid_at: Some(valid_at),
        known_at,
        ..FactQuery::about("histories", format!("h{history} s{subject}"))
    };
    let facts = graph.facts(&query).unwrap();
    let mut found: Vec<(bool, u64)> = facts
        .iter()
        .map(|fact| (fact.single, fact.object.name()[1..].parse().unwrap()))
        .collect();
    found.sort_unstable();
    found
}

/// Histories that share their transactions, and differ in their subjects.
const GROUP: u64 = 100;

/// The last time at which anything is told.
const LAST: i64 = 9;

/// 10,000 histories, or as many as `HISTORIES` says.
#[test]
fn as_of_queries_agree_with_a_naive_model_on_random_histories() {
    let histories: u64 = std::env::var("HISTORIES").map_or(10_000, |count| count.parse().unwrap());
    // What is written here need not outlive the machine's memory.
    let dir = match tempfile::tempdir_in("/dev/shm") {
        Ok(dir) => dir,
        Err(_) => tempfile::tempdir().unwrap(),
    };
    let options = MemoryOptions::new(HashingEmbedder::new(1));
    let memory = Memory::open(dir.path(), &key(), options).unwrap();
    let graph = memory.graph();
    let mut answered = 0;
    for first in (0..histories).step_by(GROUP as usize) {
        let mut group: Vec<(u64, Random, Vec<Told>)> = (first..histories.min(first + GROUP))
            .map(|number| {
                let mut random = Random(number);
                let told = history(&mut random);
                (number, random, told)
            })
            .collect();
        for at in 0..=LAST {
            let told = group
                .iter()
                .flat_map(|(number, _, told)| told.iter().map(move |told| (*number, told)));
            let changes: Vec<Change> = told
                .filter(|(_, told)| told.at == at)
                .map(|(number, told)| change(number, told))
                .collect();
            graph.apply("histories", &changes, at).unwrap();
        }
        for (number, random, told) in &mut group {
            for _ in 0..8 {
                let (subject, valid) = (random.below(2), random.below(24) as i64 - 1);
                let known = random.below(LAST as u64 + 2) as i64;
                let expected = expected(told, subject, valid, known);
                answered += expected.len();
                assert_eq!(
                    found(&graph, *number, subject, valid, Some(known)),
                    expected,
                    "history {number}: s{subject} at {valid} as known at {known}\n{told:#?}"
                );
            }
            let now = found(&graph, *number, 0, 30, None);
            assert_eq!(
                now,
                expected(told, 0, 30, LAST),
                "history {number}: what was told last is believed"
            );
        }
    }
    assert!(
        answered as u64 > histories * 2,
        "most questions must have an answer: {answered}"
    );
}
