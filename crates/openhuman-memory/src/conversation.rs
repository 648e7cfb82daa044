//! Conversations: searched by turn, with what was said around it.

use crate::chunk::{self, Chunk};
use crate::context::without_recalled;
use crate::document::{DEFAULT_NAMESPACE, Document, MAX_LABEL_BYTES, at_most};
use crate::error::MemoryError;

/// What one side said at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who said it; may be empty.
    pub speaker: String,
    /// What was said.
    pub text: String,
}

impl Turn {
    /// A turn.
    pub fn new(speaker: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            speaker: speaker.into(),
            text: text.into(),
        }
    }
}

/// A conversation to remember, at most 16 MiB. It is stored as a document whose chunks are its turns, one line
/// `Speaker: text` each, so that a search finds turns and looks at those before and after them. Only a turn above 512
/// tokens is cut. Ingesting a longer version of the same conversation embeds the new turns only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Which part of the memory it belongs to, 1 to 128 bytes.
    pub namespace: String,
    /// Its name inside the namespace, 1 to 1024 bytes.
    pub key: String,
    /// What people call it; may be empty. Searched together with the turns.
    pub title: String,
    /// Where it came from; may be empty.
    pub source: String,
    /// When it took place, in milliseconds since the Unix epoch. The day is searched together with the turns. `None`
    /// keeps the time of the first ingest.
    pub created_ms: Option<i64>,
    /// The turns, oldest first. [`Hit::ordinal`](crate::Hit::ordinal) counts them from 0, as long as none is cut.
    pub turns: Vec<Turn>,
}

impl Conversation {
    /// A conversation in the namespace `default`, without title, source and time.
    pub fn new(key: impl Into<String>, turns: Vec<Turn>) -> Self {
        Self {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            key: key.into(),
            title: String::new(),
            source: String::new(),
            created_ms: None,
            turns,
        }
    }

    /// The document and its chunks.
    pub(crate) fn document(&self) -> Result<(Document, Vec<Chunk>), MemoryError> {
        let mut text = String::new();
        let mut chunks = Vec::with_capacity(self.turns.len());
        for turn in &self.turns {
            at_most("speaker", &turn.speaker, MAX_LABEL_BYTES)?;
            let start = text.len();
            if !turn.speaker.is_empty() {
                text.push_str(&turn.speaker);
                text.push_str(": ");
            }
            text.push_str(without_recalled(&turn.text).trim_end());
            text.push('\n');
            chunks.extend(chunk::split(&text[start..]).into_iter().map(|mut chunk| {
                chunk.range = start + chunk.range.start..start + chunk.range.end;
                // A line that starts with a number sign is something somebody said, no heading.
                chunk.heading.clear();
                chunk
            }));
        }
        let document = Document {
            namespace: self.namespace.clone(),
            key: self.key.clone(),
            title: self.title.clone(),
            text,
            source: self.source.clone(),
            created_ms: self.created_ms,
        };
        Ok((document, chunks))
    }
}

/// The words of a day, as people write it: `8 May 2023`.
pub(crate) fn day(ms: i64) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    // Days since 1 March of the year 0, in eras of 400 years (Howard Hinnant's algorithm).
    let days = ms.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400 + i64::from(month >= 10);
    let name = MONTHS[(month as usize + 2) % 12];
    format!("{day} {name} {year}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names() {
        assert_eq!(day(0), "1 January 1970");
        assert_eq!(day(1_683_554_160_000), "8 May 2023");
        assert_eq!(day(951_782_400_000), "29 February 2000");
        assert_eq!(day(-1), "31 December 1969");
    }

    #[test]
    fn every_turn_is_a_chunk_and_together_they_are_the_text() {
        let long = "A very long story about the river. ".repeat(200);
        let conversation = Conversation::new(
            "c",
            vec![
                Turn::new("Ann", "# Hi Bob!\n"),
                Turn::new("", "ring"),
                Turn::new("Bob", long.as_str()),
                Turn::new("Ann", ""),
            ],
        );
        let (document, chunks) = conversation.document().unwrap();
        assert!(document.text.starts_with("Ann: # Hi Bob!\nring\nBob: A very"));
        let rebuilt: String = chunks.iter().map(|chunk| &document.text[chunk.fresh()]).collect();
        assert_eq!(rebuilt, document.text);
        assert_eq!(&document.text[chunks[0].range.clone()], "Ann: # Hi Bob!\n");
        assert!(chunks[0].heading.is_empty() && chunks[0].overlap == 0);
        assert!(chunks.len() > 4 && chunks.iter().all(|chunk| chunk.tokens <= chunk::MAX_TOKENS));
    }
}
