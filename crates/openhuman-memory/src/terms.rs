//! From any text a user may type to a full-text expression that is always valid.

use std::collections::HashSet;

/// More words than this add cost and no precision.
const MAX_TERMS: usize = 64;

/// Words that say nothing about what is looked for.
const STOP_WORDS: &[&str] = &[
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "being", "but", "by", "can", "could",
    "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "his", "how", "i", "if", "in",
    "into", "is", "it", "its", "me", "my", "of", "on", "or", "our", "she", "should", "so", "some", "than",
    "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "us", "was",
    "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would",
    "you", "your",
];

/// The distinct words of a text that are worth looking for, in order, at most 64. A text of stop words only keeps
/// them, so that a band called "The Who" can be found. An apostrophe inside a word stays: the index splits there,
/// and the two halves are looked for side by side.
pub(crate) fn terms(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace('\u{2019}', "'");
    let words = lower
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .map(|word| word.trim_matches('\''))
        .map(|word| word.strip_suffix("'s").unwrap_or(word).to_owned())
        .filter(|word| !word.is_empty());
    let mut seen = HashSet::new();
    let mut words: Vec<String> = words.filter(|word| seen.insert(word.clone())).collect();
    if words.iter().any(|word| !is_stop_word(word)) {
        words.retain(|word| !is_stop_word(word));
    }
    words.truncate(MAX_TERMS);
    words
}

/// An FTS5 expression that matches rows with any of the terms.
pub(crate) fn any_of(terms: &[String]) -> String {
    terms
        .iter()
        .map(|term| quoted(term))
        .collect::<Vec<_>>()
        .join(" OR ")
}

/// An FTS5 string. Terms hold letters, digits and apostrophes only; quotes are doubled all the same.
pub(crate) fn quoted(term: &str) -> String {
    format!("\"{}\"", term.replace('"', "\"\""))
}

fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
        assert!((70..=80).contains(&STOP_WORDS.len()), "{}", STOP_WORDS.len());
    }

    #[test]
    fn questions_become_words() {
        assert_eq!(terms("What's my sister\u{2019}s NAME?"), ["sister", "name"]);
        assert_eq!(terms("re: project deadline?"), ["re", "project", "deadline"]);
        assert_eq!(terms("C++ notes"), ["c", "notes"]);
        assert_eq!(
            terms("a/b \"c\" NEAR(d) -e *f* g:h"),
            ["b", "c", "near", "d", "e", "f", "g", "h"]
        );
        assert_eq!(terms("Gr\u{fc}\u{df}e, gr\u{fc}\u{df}e"), ["gr\u{fc}\u{df}e"]);
        assert_eq!(terms("don't panic"), ["don't", "panic"]);
    }

    #[test]
    fn only_stop_words_are_kept_and_nothing_stays_nothing() {
        assert_eq!(terms("The Who"), ["the", "who"]);
        assert!(terms("?!' '' \0").is_empty());
        assert_eq!(
            terms(&(0..200).map(|n| format!("w{n} ")).collect::<String>()).len(),
            MAX_TERMS
        );
    }

    #[test]
    fn expressions_are_quoted() {
        assert_eq!(any_of(&terms("and OR not")), "\"not\"");
        assert_eq!(any_of(&terms("red or blue")), "\"red\" OR \"blue\"");
    }
}
