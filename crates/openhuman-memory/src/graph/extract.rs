//! From text to entities and facts: the port, and an extractor that needs no model.

mod dates;
mod phrases;
mod rules;
mod sentences;

use std::error::Error;

use super::model::{Assertion, Change, Object, Provenance};

/// A text to look for entities and facts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage<'a> {
    /// The text.
    pub text: &'a str,
    /// Who says `I` in it; `None` leaves out what it says about its author.
    pub speaker: Option<&'a str>,
    /// When it was written, in milliseconds since the Unix epoch. Facts without a date of their own begin then.
    pub at_ms: i64,
}

/// Finds entities and facts in a text.
///
/// Called on whichever thread ingests, possibly from several at once. A model behind a network does its own retries.
pub trait Extractor: Send + Sync {
    /// What the text speaks of and says.
    ///
    /// # Errors
    ///
    /// [`ExtractError`]; nothing of the text is then put into the graph.
    fn extract(&self, passage: &Passage<'_>) -> Result<Extraction, ExtractError>;
}

/// Why a text could not be read.
#[derive(Debug, thiserror::Error)]
#[error("facts could not be extracted: {reason}")]
pub struct ExtractError {
    /// What the extractor said, and what to do about it.
    pub reason: String,
    /// The failure underneath.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a text speaks of and says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extraction {
    /// What it speaks of, each once.
    pub mentions: Vec<Mention>,
    /// What it says.
    pub statements: Vec<Statement>,
}

/// Something a text speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mention {
    /// Its name as written.
    pub name: String,
}

/// Something a text says.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Whom or what it is about.
    pub subject: String,
    /// The relation.
    pub predicate: String,
    /// The other end.
    pub object: Object,
    /// Whether there is one such object at a time.
    pub single: bool,
    /// Says that it is not so any more, from `valid_from` on.
    pub ended: bool,
    /// From when on.
    pub valid_from: i64,
    /// Until when.
    pub valid_until: Option<i64>,
    /// The sentence.
    pub text: String,
    /// How sure it is, above 0 and up to 1.
    pub confidence: f32,
}

impl Extraction {
    /// The changes to a graph, all from this source.
    pub fn changes(self, source: &Provenance) -> Vec<Change> {
        let mention = |mention: Mention| Change::Mention {
            entity: mention.name,
            source: source.clone(),
        };
        let state = |statement: Statement| {
            if statement.ended {
                return Change::Close {
                    subject: statement.subject,
                    predicate: statement.predicate,
                    object: statement.object,
                    until: statement.valid_from,
                };
            }
            Change::Assert(Assertion {
                subject: statement.subject,
                predicate: statement.predicate,
                object: statement.object,
                single: statement.single,
                valid_from: statement.valid_from,
                valid_until: statement.valid_until,
                text: statement.text,
                confidence: statement.confidence,
                source: source.clone(),
            })
        };
        let statements = self.statements.into_iter().map(state);
        self.mentions.into_iter().map(mention).chain(statements).collect()
    }
}

/// Reads English sentences with rules: names by their capital letters, and phrases such as `I live in`, `works at`,
/// `my sister Anna`, `no longer likes`. It misses much and invents little. No model, no network, microseconds a
/// sentence.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleExtractor;

impl Extractor for RuleExtractor {
    fn extract(&self, passage: &Passage<'_>) -> Result<Extraction, ExtractError> {
        Ok(rules::extract(passage))
    }
}
