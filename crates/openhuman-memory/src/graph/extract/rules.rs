//! Names by their capital letters, facts by the verb after a name.

use std::collections::HashSet;

use super::dates::date;
use super::phrases::{BREAKS, ENDINGS, End, NOT_NAMES, RELATIONS, RELATIVES, Relation};
use super::sentences::{Word, sentences, words};
use super::{Extraction, Mention, Passage, Statement};
use crate::graph::model::Object;
use crate::graph::names::canonical;

/// Longest object that is not a name, in words.
const LONGEST_VALUE: usize = 6;

pub(super) fn extract(passage: &Passage<'_>) -> Extraction {
    let mut extraction = Extraction::default();
    let mut seen = HashSet::new();
    for sentence in sentences(passage.text) {
        let words = expanded(words(sentence));
        for (first, length) in names(&words) {
            let name = joined(&words[first..first + length]);
            if seen.insert(canonical(&name)) {
                extraction.mentions.push(Mention { name });
            }
        }
        extraction
            .statements
            .extend(statements(passage, sentence, &words));
    }
    extraction
}

/// `I'm` is `I am`.
fn expanded(words: Vec<Word<'_>>) -> Vec<Word<'_>> {
    let mut expanded = Vec::with_capacity(words.len());
    for word in words {
        if word.lower == "i'm" {
            expanded.push(Word {
                text: "I",
                lower: "i".to_owned(),
                pause: false,
            });
            expanded.push(Word {
                text: "am",
                lower: "am".to_owned(),
                pause: word.pause,
            });
        } else {
            expanded.push(word);
        }
    }
    expanded
}

/// Runs of words with capital letters, as their first word and their length. A capital letter at the beginning of a
/// sentence says nothing about a word that is common.
fn names(words: &[Word<'_>]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let length = name_at(words, at);
        let common = length == 1 && at == 0 && is_common(&words[0], words.get(1));
        if length == 0 || common {
            at += 1;
        } else {
            found.push((at, length));
            at += length;
        }
    }
    found
}

/// How many words the name that begins here has; 0 when none does.
fn name_at(words: &[Word<'_>], first: usize) -> usize {
    let is_part = |word: &Word<'_>| {
        word.is_capital()
            && word.text != "I"
            && !NOT_NAMES.contains(&word.lower.as_str())
            && !is_function_word(word)
    };
    let mut length = 0;
    while let Some(word) = words.get(first + length) {
        let joins = length > 0
            && matches!(word.lower.as_str(), "of" | "de" | "van" | "von" | "la" | "&")
            && !word.pause
            && words.get(first + length + 1).is_some_and(is_part);
        if !is_part(word) && !joins {
            break;
        }
        length += 1;
        if word.pause {
            break;
        }
    }
    length
}

fn is_function_word(word: &Word<'_>) -> bool {
    crate::terms::is_stop_word(&word.lower)
}

/// Whether a capitalised first word is likely an ordinary one: it is followed by a small word that does not make it a
/// subject or an owner.
fn is_common(word: &Word<'_>, next: Option<&Word<'_>>) -> bool {
    let Some(next) = next else { return true };
    let subject = next.lower == "'s"
        || word.pause
        || RELATIONS
            .iter()
            .any(|relation| relation.0.split(' ').next() == Some(next.lower.as_str()))
        || ["is", "was", "has", "had", "will", "said", "and"].contains(&next.lower.as_str());
    !subject || ["what", "that", "there", "it", "this", "everyone", "nobody"].contains(&word.lower.as_str())
}

fn statements(passage: &Passage<'_>, sentence: &str, words: &[Word<'_>]) -> Vec<Statement> {
    let mut found = Vec::new();
    if sentence.ends_with('?') {
        return found;
    }
    let mut subject: Option<String> = None;
    let mut read = 0;
    for at in 0..words.len() {
        let rest = &words[at..];
        if at < read {
            continue;
        }
        if rest[0].lower == "i" || (rest[0].lower == "we" && subject.is_none()) {
            subject = passage.speaker.map(str::to_owned);
        } else if rest[0].lower == "my" {
            found.extend(relative(passage, sentence, rest));
            subject = None;
        } else {
            let length = name_at(words, at);
            let owner = words.get(at + length).is_some_and(|next| next.lower == "'s");
            let inside = at > 0 && name_at(words, at - 1) > length;
            if length > 0 && !owner && !inside {
                subject = Some(joined(&rest[..length]));
            }
        }
        if let Some(subject) = &subject
            && let Some((statement, taken)) = relation(passage, sentence, subject, rest)
        {
            found.push(statement);
            read = at + taken;
        }
    }
    found
}

/// `my sister Anna`, `my sister's name is Anna`, `my name is Ada`.
fn relative(passage: &Passage<'_>, sentence: &str, words: &[Word<'_>]) -> Option<Statement> {
    let speaker = passage.speaker?;
    let lower = |place: usize| words.get(place).map_or("", |word| word.lower.as_str());
    let (predicate, object) = if lower(1) == "name" && lower(2) == "is" {
        ("NAMED".to_owned(), 3)
    } else if RELATIVES.contains(&lower(1)) {
        let object = match (lower(2), lower(3), lower(4)) {
            ("'s", "name", "is") => 5,
            ("is", "called" | "named", _) => 4,
            ("is", _, _) => 3,
            _ => 2,
        };
        if words[1].pause && object == 2 {
            return None;
        }
        (lower(1).to_uppercase(), object)
    } else {
        return None;
    };
    let length = name_at(words, object);
    if length == 0 {
        return None;
    }
    let name = joined(&words[object..object + length]);
    let single = predicate == "NAMED";
    let object = if single {
        Object::Value(name)
    } else {
        Object::Entity(name)
    };
    Some(Statement {
        subject: speaker.to_owned(),
        predicate,
        object,
        single,
        ended: false,
        valid_from: passage.at_ms,
        valid_until: None,
        text: sentence.to_owned(),
        confidence: 0.9,
    })
}

/// The statement whose verb the words begin with, and how many words the verb takes.
fn relation(
    passage: &Passage<'_>,
    sentence: &str,
    subject: &str,
    words: &[Word<'_>],
) -> Option<(Statement, usize)> {
    for (phrase, predicate) in ENDINGS {
        let Some(taken) = starts_with(words, phrase) else {
            continue;
        };
        let rest = &words[taken..];
        let (relation, skipped) = if predicate.is_empty() {
            longest_relation(rest)?
        } else {
            (RELATIONS.iter().find(|relation| relation.1 == *predicate)?, 0)
        };
        let statement = statement(passage, sentence, subject, relation, &rest[skipped..], true)?;
        return Some((statement, taken + skipped));
    }
    let (relation, taken) = longest_relation(words)?;
    let after = words.iter().skip(taken).take(LONGEST_VALUE + 2);
    let over = after.clone().any(|word| word.lower == "anymore");
    // `I don't like it anymore` says that it was liked.
    let ended = over && relation.1 == "DISLIKES";
    let relation = if ended {
        RELATIONS.iter().find(|relation| relation.1 == "LIKES")?
    } else {
        relation
    };
    Some((
        statement(passage, sentence, subject, relation, &words[taken..], ended)?,
        taken,
    ))
}

fn longest_relation(words: &[Word<'_>]) -> Option<(&'static Relation, usize)> {
    let matching = RELATIONS
        .iter()
        .filter_map(|relation| Some((relation, starts_with(words, relation.0)?)));
    matching.max_by_key(|(_, taken)| *taken)
}

/// How many words the phrase takes, when the words begin with it and do not pause inside.
fn starts_with(words: &[Word<'_>], phrase: &str) -> Option<usize> {
    let mut taken = 0;
    for part in phrase.split(' ') {
        let word = words.get(taken)?;
        if word.lower != part {
            return None;
        }
        taken += 1;
    }
    words[..taken].iter().all(|word| !word.pause).then_some(taken)
}

fn statement(
    passage: &Passage<'_>,
    sentence: &str,
    subject: &str,
    relation: &Relation,
    words: &[Word<'_>],
    ended: bool,
) -> Option<Statement> {
    let Relation(_, predicate, single, end, confidence) = relation;
    let (object, taken) = object(words, *end)?;
    if canonical(object.name()) == canonical(subject) {
        return None;
    }
    let (from, until) = period(&words[taken..], passage.at_ms);
    let valid_from = from.unwrap_or(passage.at_ms);
    Some(Statement {
        subject: subject.to_owned(),
        predicate: (*predicate).to_owned(),
        object,
        single: *single,
        ended,
        valid_from,
        valid_until: until.filter(|until| *until > valid_from),
        text: sentence.to_owned(),
        confidence: *confidence,
    })
}

fn object(words: &[Word<'_>], end: End) -> Option<(Object, usize)> {
    let articles = words
        .iter()
        .take_while(|word| ["the", "a", "an", "my"].contains(&word.lower.as_str()))
        .count();
    let length = name_at(words, articles.min(words.len()));
    if length > 0 {
        let name = joined(&words[articles..articles + length]);
        return Some((Object::Entity(name), articles + length));
    }
    if end == End::Name {
        return None;
    }
    let mut length = 0;
    for word in words.iter().take(LONGEST_VALUE) {
        if BREAKS.contains(&word.lower.as_str()) || date(&words[length..], 0).is_some() {
            break;
        }
        length += 1;
        if word.pause {
            break;
        }
    }
    let value = joined(&words[..length]);
    (!canonical(&value).is_empty() && length > articles).then_some((Object::Value(value), length))
}

/// `since 2019`, `in May 2023`, `until last year`, `from 2010 to 2015`.
fn period(words: &[Word<'_>], now_ms: i64) -> (Option<i64>, Option<i64>) {
    let (mut from, mut until) = (None, None);
    for (at, word) in words.iter().enumerate() {
        let Some((time, _)) = date(&words[at + 1..], now_ms) else {
            if let "yesterday" | "today" | "last" = word.lower.as_str()
                && let Some((time, _)) = date(&words[at..], now_ms)
            {
                from = from.or(Some(time));
            }
            continue;
        };
        match word.lower.as_str() {
            "since" | "from" | "in" | "on" => from = from.or(Some(time)),
            "until" | "till" | "to" => until = until.or(Some(time)),
            _ => {}
        }
    }
    (from, until)
}

fn joined(words: &[Word<'_>]) -> String {
    words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "rules/tests.rs"]
mod tests;
