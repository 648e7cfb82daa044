//! Chooses the sentences that answer a question, and writes them with markers and sources.
//!
//! The cost is linear in the texts: a question has at most 64 words, a sentence is the set of those it contains, and
//! only the best few are kept.

mod shortlist;
mod writing;

use std::collections::HashMap;

use super::NO_MODEL;
use super::passage::Passage;
use super::words::{Word, content_words, words};
use crate::message::Recalled;
use shortlist::{Candidate, Shortlist, central};
use writing::{one_line, write};

/// How many sentences are quoted.
const MAX_QUOTES: usize = 5;
/// How many of them come from a text that was sent with the question, when memory has as much to say.
const OWN_QUOTES: usize = 3;
/// A text sent with the question is longer than this, in characters.
const OWN_TEXT_CHARS: usize = 400;
/// How many of the best sentences are compared with each other.
const SHORTLIST: usize = 32;
/// What a word of the question is worth in a sentence.
const WORD: u32 = 12;
/// What a number or a symbol is worth more.
const SYMBOL: u32 = 12;
/// What each halving of the sentences that have the word is worth.
const RARITY: u32 = 2;
/// The most halvings that count.
const MOST_RARE: u32 = 4;
/// The longest title and place in the list of sources, in characters.
const SOURCE_CHARS: usize = 300;
/// The name of the text that came with the question.
const OWN_TITLE: &str = "your text";
/// When no sentence has a word in common with the question.
const NOTHING: &str = "Nothing in memory fits this question.";

/// A prompt in two parts: the question, and the long text after the first blank line, when there is one.
pub(super) fn split_prompt(prompt: &str) -> (&str, Option<&str>) {
    let mut at = prompt.len() - prompt.trim_start().len();
    for line in prompt.get(at..).unwrap_or_default().split_inclusive('\n') {
        if line.trim().is_empty() {
            let (question, text) = prompt.split_at(at);
            let text = text.trim();
            if text.chars().nth(OWN_TEXT_CHARS).is_some() {
                return (question.trim(), Some(text));
            }
            break;
        }
        at += line.len();
    }
    (prompt, None)
}

/// The answer in quotes.
pub(super) fn quote(question: &str, own_text: Option<&str>, context: &[Recalled]) -> String {
    let content = content_words(question, own_text.is_some());
    let asks_for_number = asks_for_number(question);
    let memory: Vec<Source<'_>> = context.iter().map(Source::recalled).collect();
    let own: Vec<Source<'_>> = own_text.iter().map(|text| Source::own(text)).collect();
    let mut terms = Terms::new(&content);
    let counted: Vec<Vec<Counted>> = memory
        .iter()
        .chain(&own)
        .map(|source| terms.count(source))
        .collect();
    let mut from_memory = rank(&memory, 0, &counted, &terms, asks_for_number);
    let mut from_own = rank(&own, memory.len(), &counted, &terms, asks_for_number);
    let own_fits = !from_own.is_empty();
    if let (Some(source), false) = (own.first(), own_fits) {
        from_own = central(source, memory.len());
    }
    if own_fits {
        // What is far less to the point than the best is left out, wherever it stands.
        let best = from_memory
            .iter()
            .chain(&from_own)
            .map(|candidate| candidate.score)
            .max();
        let best = best.unwrap_or_default();
        from_memory.retain(|candidate| candidate.score * 2 >= best);
    }
    let own_share = if from_memory.is_empty() {
        MAX_QUOTES
    } else {
        OWN_QUOTES
    };
    from_own.truncate(own_share.max(MAX_QUOTES.saturating_sub(from_memory.len())));
    from_memory.truncate(MAX_QUOTES - from_own.len());

    let lead = match (from_memory.is_empty(), from_own.is_empty()) {
        (true, true) => return format!("{NOTHING}\n\n{NO_MODEL}"),
        (false, true) => match terms.only_one(&from_memory) {
            Some(word) => format!("From memory, where only “{word}” fits the question:"),
            None => "From memory:".to_owned(),
        },
        (true, false) if own_fits || content.is_empty() => "From your text:".to_owned(),
        (true, false) => format!("{NOTHING} What your text says most about:"),
        (false, false) => "From memory and from your text:".to_owned(),
    };
    let mut chosen = from_own;
    chosen.extend(from_memory);
    let sources: Vec<&Source<'_>> = memory.iter().chain(&own).collect();
    write(&lead, chosen, &sources)
}

/// The best sentences of some sources, of which the first has the index `first` among all.
fn rank<'s>(
    sources: &'s [Source<'_>],
    first: usize,
    counted: &[Vec<Counted>],
    terms: &Terms,
    asks_for_number: bool,
) -> Vec<Candidate<'s>> {
    let mut best = Shortlist::default();
    for (index, source) in sources.iter().enumerate() {
        let counted = counted.get(first + index).map_or(&[][..], Vec::as_slice);
        for (position, (unit, found)) in source.passage.units.iter().zip(counted).enumerate() {
            let mut score = terms.score(found);
            if score > 0 && asks_for_number && unit.text.contains(|c: char| c.is_ascii_digit()) {
                score += WORD / 4;
            }
            best.offer(Candidate {
                score,
                source: first + index,
                position,
                unit,
                words: found.all(),
            });
        }
    }
    best.finish(if terms.plain.len() > 1 { (3, 5) } else { (1, 2) })
}

/// Something that can be quoted.
struct Source<'a> {
    title: String,
    place: String,
    /// The title, when it says something about the text.
    subject: &'a str,
    passage: Passage,
}

impl<'a> Source<'a> {
    fn recalled(snippet: &'a Recalled) -> Source<'a> {
        let title = one_line(&snippet.title);
        Source {
            title: if title.is_empty() {
                "untitled".to_owned()
            } else {
                title
            },
            place: one_line(&snippet.source),
            subject: &snippet.title,
            passage: Passage::read(&snippet.text),
        }
    }

    fn own(text: &str) -> Source<'a> {
        Source {
            title: OWN_TITLE.to_owned(),
            place: String::new(),
            subject: "",
            passage: Passage::read(text),
        }
    }
}

/// Which words of the question a sentence has, as sets of bits: in itself, in its nearest heading, in the headings
/// above, in the title.
#[derive(Clone, Copy, Default)]
struct Counted {
    here: u64,
    near: u64,
    far: u64,
    title: u64,
}

impl Counted {
    fn all(&self) -> u64 {
        self.here | self.near | self.far | self.title
    }
}

/// The words of the question, at most 64.
struct Terms {
    index: HashMap<String, usize>,
    plain: Vec<String>,
    /// Those that are numbers, or written in capitals here or there.
    symbols: u64,
    /// How many sentences have each word in them.
    sentences_with: [u32; 64],
    sentences: u32,
}

impl Terms {
    fn new(content: &[Word]) -> Terms {
        let mut terms = Terms {
            index: HashMap::new(),
            plain: Vec::new(),
            symbols: 0,
            sentences_with: [0; 64],
            sentences: 0,
        };
        // A question all in capitals has no symbols.
        let shouted = content.len() > 1 && content.iter().all(|word| word.capitals || word.number);
        for word in content {
            let next = terms.plain.len();
            let at = *terms.index.entry(word.stem()).or_insert(next);
            if at >= 64 {
                break;
            }
            if at == next {
                terms.plain.push(word.plain.clone());
            }
            if word.number || (word.capitals && !shouted) {
                terms.symbols |= 1 << at;
            }
        }
        terms
    }

    /// The words of the question in a text, and those of them that the text has in capitals.
    fn bits(&self, text: &str) -> (u64, u64) {
        let (mut all, mut capitals) = (0, 0);
        for word in words(text) {
            if let Some(at) = self.index.get(&word.stem()).filter(|at| **at < 64) {
                all |= 1 << at;
                capitals |= u64::from(word.capitals) << at;
            }
        }
        (all, capitals)
    }

    /// Finds the words in all sentences of a source, and counts how rare they are.
    fn count(&mut self, source: &Source<'_>) -> Vec<Counted> {
        if self.index.is_empty() {
            return vec![Counted::default(); source.passage.units.len()];
        }
        let (title, _) = self.bits(source.subject);
        let headings: Vec<(u64, u64)> = source
            .passage
            .headings
            .iter()
            .map(|headings| (self.bits(&headings.near).0, self.bits(&headings.far).0))
            .collect();
        let mut counted = Vec::with_capacity(source.passage.units.len());
        for unit in &source.passage.units {
            let (near, far) = headings.get(unit.heading).copied().unwrap_or_default();
            let (here, capitals) = self.bits(&unit.text);
            if unit.text.contains(char::is_lowercase) {
                self.symbols |= capitals;
            }
            self.sentences += 1;
            for (at, count) in self.sentences_with.iter_mut().enumerate() {
                *count += u32::from(here >> at & 1 == 1);
            }
            counted.push(Counted {
                here,
                near,
                far,
                title,
            });
        }
        counted
    }

    fn score(&self, found: &Counted) -> u32 {
        let worth = |bits: u64, share: u32| {
            (0..self.plain.len().min(64))
                .filter(|at| bits >> at & 1 == 1)
                .map(|at| {
                    let with = self.sentences_with.get(at).copied().unwrap_or_default().max(1);
                    let rarity = (self.sentences / with).max(1).ilog2().min(MOST_RARE) * RARITY;
                    let symbol = if self.symbols >> at & 1 == 1 { SYMBOL } else { 0 };
                    (WORD + rarity + symbol) * share / 12
                })
                .sum::<u32>()
        };
        worth(found.here, 12)
            + worth(found.near & !found.here, 6)
            + worth(found.far & !(found.here | found.near), 4)
            + worth(found.title & !(found.here | found.near | found.far), 3)
    }

    /// The single plain word that the quotes have in common with a question of three words or more.
    fn only_one(&self, chosen: &[Candidate<'_>]) -> Option<&str> {
        let all = chosen.iter().fold(0, |bits, candidate| bits | candidate.words);
        let lone = all.count_ones() == 1 && self.plain.len() >= 3 && all & self.symbols == 0;
        lone.then(|| self.plain.get(all.trailing_zeros() as usize).map(String::as_str))?
    }
}

/// Whether the answer is probably a number.
fn asks_for_number(question: &str) -> bool {
    let start: Vec<String> = words(question)
        .into_iter()
        .take(2)
        .map(|word| word.plain)
        .collect();
    match start.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["how", measure] => ["much", "many", "long", "often", "far", "old", "big", "large"].contains(measure),
        ["when", ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
