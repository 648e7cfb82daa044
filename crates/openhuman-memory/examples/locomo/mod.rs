//! Conversations in the LoCoMo format, their questions, and the measures of what a search found.
//!
//! R@k is the share of a question's evidence turns among the first k hits, hit@10 whether any of them is there, MRR
//! the mean reciprocal rank of the first one within 50, and nDCG@10 the discounted gain. Questions without resolvable
//! evidence are skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use openhuman_memory::{Conversation, Embedder, Key, Memory, MemoryOptions, Query, Turn};
use serde_json::Value;

/// Hits asked for.
pub(crate) const DEPTH: usize = 50;

/// One conversation of several sessions.
pub(crate) struct Talk {
    /// Sessions as memory takes them; the key is the session's number.
    pub(crate) sessions: Vec<Conversation>,
    /// The identifier of each turn, by session key and ordinal.
    pub(crate) turns: BTreeMap<(String, usize), String>,
    /// Questions with evidence.
    pub(crate) questions: Vec<Question>,
}

/// A question and the turns that answer it.
pub(crate) struct Question {
    /// The text.
    pub(crate) text: String,
    /// Identifiers of turns.
    pub(crate) evidence: BTreeSet<String>,
    /// What kind of question it is.
    pub(crate) category: &'static str,
}

/// Reads a file: a JSON list of conversations.
pub(crate) fn read(path: &Path) -> Result<Vec<Talk>, Box<dyn Error>> {
    let list: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    Ok(list.iter().map(talk).collect())
}

/// A memory of one conversation, one document a session.
pub(crate) fn remember(talk: &Talk, dir: &Path) -> Result<Memory, Box<dyn Error>> {
    remember_with(talk, dir, MemoryOptions::default().embedder)
}

/// The same with another embedder.
pub(crate) fn remember_with(
    talk: &Talk,
    dir: &Path,
    embedder: Arc<dyn Embedder>,
) -> Result<Memory, Box<dyn Error>> {
    let options = MemoryOptions {
        embedder,
        ..MemoryOptions::default()
    };
    let memory = Memory::open(dir, &Key::from_bytes([1; 32]), options)?;
    for session in &talk.sessions {
        let report = memory.ingest_conversation(session)?;
        assert_eq!(
            report.chunks,
            session.turns.len(),
            "no turn is long enough to be cut"
        );
    }
    Ok(memory)
}

/// The ranks, from 1, at which evidence was found.
pub(crate) fn ranks(
    memory: &Memory,
    talk: &Talk,
    question: &Question,
    change: &dyn Fn(&mut Query),
) -> Result<Vec<usize>, Box<dyn Error>> {
    let mut query = Query::new(&question.text);
    query.limit = DEPTH;
    change(&mut query);
    let hits = memory.search(&query)?;
    Ok(hits
        .into_iter()
        .zip(1..)
        .filter(|(hit, _)| {
            let turn = talk.turns.get(&(hit.key.clone(), hit.ordinal));
            turn.is_some_and(|turn| question.evidence.contains(turn))
        })
        .map(|(_, rank)| rank)
        .collect())
}

fn talk(item: &Value) -> Talk {
    let conversation = &item["conversation"];
    let mut sessions = Vec::new();
    let mut turns = BTreeMap::new();
    let numbered = conversation
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            let number: u32 = key.strip_prefix("session_")?.parse().ok()?;
            Some((number, value.as_array()?))
        });
    let numbered: BTreeMap<u32, &Vec<Value>> = numbered.collect();
    for (number, list) in numbered {
        let mut session = Conversation::new(number.to_string(), Vec::new());
        session.created_ms = conversation[format!("session_{number}_date_time")]
            .as_str()
            .and_then(time);
        for turn in list {
            let field = |name: &str| turn[name].as_str().unwrap_or_default();
            let image = match field("blip_caption") {
                "" => String::new(),
                caption => format!(" [image: {caption}]"),
            };
            turns.insert(
                (session.key.clone(), session.turns.len()),
                field("dia_id").to_owned(),
            );
            session
                .turns
                .push(Turn::new(field("speaker"), format!("{}{image}", field("text"))));
        }
        sessions.push(session);
    }
    let known: BTreeSet<&String> = turns.values().collect();
    let questions = item["qa"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|question| {
            let evidence: BTreeSet<String> = evidence(question).filter(|id| known.contains(id)).collect();
            Some(Question {
                text: question["question"]
                    .as_str()
                    .filter(|_| !evidence.is_empty())?
                    .to_owned(),
                evidence,
                category: category(question),
            })
        });
    let questions = questions.collect();
    Talk {
        sessions,
        turns,
        questions,
    }
}

/// The identifiers `D1:2` in the evidence strings; one string can hold several, with leading zeros.
fn evidence(question: &Value) -> impl Iterator<Item = String> {
    let strings = question["evidence"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    strings.flat_map(|string| {
        string.split('D').filter_map(|part| {
            let (session, turn) = part.split_once(':')?;
            let turn: String = turn.chars().take_while(char::is_ascii_digit).collect();
            Some(format!(
                "D{}:{}",
                session.parse::<u32>().ok()?,
                turn.parse::<u32>().ok()?
            ))
        })
    })
}

fn category(question: &Value) -> &'static str {
    match question["category"].as_u64() {
        Some(1) => "multi-hop",
        Some(2) => "temporal",
        Some(3) => "open-domain",
        Some(4) => "single-hop",
        Some(5) => "adversarial",
        _ => "other",
    }
}

/// `1:56 pm on 8 May, 2023` in milliseconds since the Unix epoch.
fn time(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let lower = text.to_lowercase();
    let (clock, date) = lower.split_once(" on ")?;
    let (hour, rest) = clock.split_once(':')?;
    let (minute, half) = rest.split_once(' ')?;
    let hour = hour.trim().parse::<i64>().ok()? % 12 + if half.trim() == "pm" { 12 } else { 0 };
    let words: Vec<&str> = date.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [day, month, year] = words.as_slice() else {
        return None;
    };
    let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok()?);
    let month = MONTHS.iter().position(|name| month.starts_with(name))? as i64 + 1;
    // Days from the civil calendar (Howard Hinnant's algorithm).
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute.parse::<i64>().ok()?) * 60_000)
}

/// Means over questions.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures {
    pub(crate) questions: usize,
    recall_1: f64,
    recall_10: f64,
    hit_10: f64,
    reciprocal: f64,
    gain_10: f64,
}

impl Figures {
    pub(crate) fn add(&mut self, ranks: &[usize], evidence: usize) {
        let recall = |k: usize| ranks.iter().filter(|rank| **rank <= k).count() as f64 / evidence as f64;
        let discount = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
        let gain: f64 = ranks
            .iter()
            .filter(|rank| **rank <= 10)
            .map(|rank| discount(*rank))
            .sum();
        let ideal: f64 = (1..=evidence.min(10)).map(discount).sum();
        self.questions += 1;
        self.recall_1 += recall(1);
        self.recall_10 += recall(10);
        self.hit_10 += f64::from(recall(10) > 0.0);
        self.reciprocal += ranks.first().map_or(0.0, |rank| 1.0 / *rank as f64);
        self.gain_10 += gain / ideal;
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.questions.max(1) as f64
    }

    pub(crate) fn r1(&self) -> f64 {
        self.mean(self.recall_1)
    }

    pub(crate) fn r10(&self) -> f64 {
        self.mean(self.recall_10)
    }

    pub(crate) fn hit10(&self) -> f64 {
        self.mean(self.hit_10)
    }

    pub(crate) fn mrr(&self) -> f64 {
        self.mean(self.reciprocal)
    }

    pub(crate) fn ndcg10(&self) -> f64 {
        self.mean(self.gain_10)
    }
}
