//! From text to the words that are indexed and looked for: lower case, without accents, reduced to the English stem.
//!
//! The same code runs when a text is indexed and when it is looked for. Languages written without spaces have no
//! words that a program could cut out without a dictionary: their runs of characters are indexed as single
//! characters and as pairs, and looked for as pairs.

mod stem;

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// More words than this add cost and no precision.
const MAX_TERMS: usize = 64;

/// Longer words are cut: nobody types them, and an index of them is large.
const MAX_WORD_BYTES: usize = 64;

/// Words that say nothing about what is looked for.
const STOP_WORDS: &[&str] = &[
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "being", "but", "by", "can", "could",
    "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "his", "how", "i", "if", "in",
    "into", "is", "it", "its", "me", "my", "of", "on", "or", "our", "she", "should", "so", "some", "than",
    "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "us", "was",
    "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would",
    "you", "your",
];

/// A word of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    /// What the index holds.
    pub(crate) stem: String,
    /// The word before it was reduced to its stem.
    pub(crate) word: String,
}

/// The words of a text as the index holds them, separated by blanks. Together with FTS5's tokenizer `ascii`, which
/// takes every byte above 127 for a letter, each of them is one token.
pub(crate) fn indexed(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut stemmed = Vec::new();
    for_each(text, |word| match word {
        Word::Plain(word) => {
            stemmed.clear();
            stemmed.extend_from_slice(word.as_bytes());
            stem::stem(&mut stemmed);
            push(&mut words, std::str::from_utf8(&stemmed).unwrap_or(word));
        }
        Word::Run(run) => {
            let mut before: Option<char> = None;
            for letter in run.chars() {
                push(&mut words, letter.encode_utf8(&mut [0; 4]));
                if let Some(before) = before {
                    push(&mut words, &pair(before, letter));
                }
                before = Some(letter);
            }
        }
    });
    words
}

/// The distinct words of a text that are worth looking for, in order, at most 64. A text of stop words only keeps
/// them, so that a band called "The Who" can be found.
pub(crate) fn terms(text: &str) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    let mut seen = HashSet::new();
    let mut put = |stem: String, word: &str| {
        if seen.insert(stem.clone()) {
            terms.push(Term {
                stem,
                word: word.to_owned(),
            });
        }
    };
    for_each(text, |word| match word {
        Word::Plain(word) => put(stemmed(word), word),
        Word::Run(run) => {
            let letters: Vec<char> = run.chars().collect();
            if let [letter] = letters.as_slice() {
                put(letter.to_string(), run);
            }
            for letters in letters.windows(2) {
                let pair = pair(letters[0], letters[1]);
                put(pair.clone(), &pair);
            }
        }
    });
    if terms.iter().any(|term| !is_stop_word(&term.word)) {
        terms.retain(|term| !is_stop_word(&term.word));
    }
    terms.truncate(MAX_TERMS);
    terms
}

/// The stem of one word in lower case.
pub(crate) fn stemmed(word: &str) -> String {
    let mut bytes = word.as_bytes().to_vec();
    stem::stem(&mut bytes);
    String::from_utf8(bytes).unwrap_or_else(|_| word.to_owned())
}

pub(crate) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

enum Word<'a> {
    Plain(&'a str),
    /// Characters of a language written without spaces.
    Run(&'a str),
}

fn push(words: &mut String, word: &str) {
    if !words.is_empty() {
        words.push(' ');
    }
    words.push_str(word);
}

fn pair(first: char, second: char) -> String {
    [first, second].into_iter().collect()
}

/// Calls `found` with every word. An apostrophe inside a word vanishes, and with it a final `'s`.
fn for_each(text: &str, mut found: impl FnMut(Word<'_>)) {
    let mut word = String::new();
    let mut run = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii() {
            if letter.is_ascii_alphanumeric() {
                end_run(&mut run, &mut found);
                word.push(letter.to_ascii_lowercase());
                continue;
            }
        } else if is_unspaced(letter) {
            end_word(&mut word, &mut found);
            run.extend(letter.nfkc());
            continue;
        } else if letter.is_alphanumeric() || is_combining_mark(letter) {
            end_run(&mut run, &mut found);
            let folded = std::iter::once(letter)
                .nfkd()
                .filter(|part| !is_combining_mark(*part));
            word.extend(
                folded
                    .flat_map(char::to_lowercase)
                    .filter(|part| part.is_alphanumeric()),
            );
            continue;
        }
        if matches!(letter, '\'' | '\u{2019}') && !word.is_empty() {
            let possessive = letters.next_if(|next| matches!(next, 's' | 'S')).is_some();
            let more = letters.peek().is_some_and(|next| next.is_alphanumeric());
            match (possessive, more) {
                (true, true) => word.push('s'),
                (false, true) => {}
                _ => end_word(&mut word, &mut found),
            }
            continue;
        }
        end_word(&mut word, &mut found);
        end_run(&mut run, &mut found);
    }
    end_word(&mut word, &mut found);
    end_run(&mut run, &mut found);
}

fn end_word(word: &mut String, found: &mut impl FnMut(Word<'_>)) {
    if !word.is_empty() {
        word.truncate(word.floor_char_boundary(MAX_WORD_BYTES));
        found(Word::Plain(word));
        word.clear();
    }
}

fn end_run(run: &mut String, found: &mut impl FnMut(Word<'_>)) {
    // A compatibility form can unfold into something that is no letter at all.
    run.retain(|letter| !letter.is_ascii() && !letter.is_whitespace());
    if !run.is_empty() {
        found(Word::Run(run));
        run.clear();
    }
}

/// Letters of scripts that put no space between words, and of Korean, whose particles are glued to their noun.
fn is_unspaced(letter: char) -> bool {
    matches!(
        u32::from(letter),
        0x0E01..=0x0E4E          // Thai
            | 0x0E81..=0x0EDF    // Lao
            | 0x1000..=0x103F    // Myanmar
            | 0x1100..=0x11FF    // Hangul, single letters
            | 0x1780..=0x17D3    // Khmer
            | 0x3005..=0x3007
            | 0x3041..=0x3096    // Hiragana
            | 0x3099..=0x309A
            | 0x30A1..=0x30FF    // Katakana
            | 0x3105..=0x312F    // Bopomofo
            | 0x31F0..=0x31FF
            | 0x3400..=0x4DBF    // Chinese characters
            | 0x4E00..=0x9FFF
            | 0xAC00..=0xD7A3    // Hangul
            | 0xF900..=0xFAFF
            | 0xFF66..=0xFF9F    // half-width Katakana
            | 0x20000..=0x323AF
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stems(text: &str) -> Vec<String> {
        terms(text).into_iter().map(|term| term.stem).collect()
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
        assert!((70..=80).contains(&STOP_WORDS.len()), "{}", STOP_WORDS.len());
    }

    #[test]
    fn questions_become_words() {
        assert_eq!(stems("What's my sister\u{2019}s NAME?"), ["sister", "name"]);
        assert_eq!(stems("re: project deadlines?"), ["re", "project", "deadlin"]);
        assert_eq!(stems("C++ notes"), ["c", "note"]);
        assert_eq!(
            stems("a/b \"c\" NEAR(d) -e *f* g:h"),
            ["b", "c", "near", "d", "e", "f", "g", "h"]
        );
        assert_eq!(stems("Gr\u{fc}\u{df}e, GR\u{dc}\u{df}E"), ["gru\u{df}e"]);
        assert_eq!(stems("don't panic"), ["dont", "panic"]);
        assert_eq!(stems("O\u{2019}Brien's"), ["obrien"]);
        assert_eq!(stems("cafe\u{301} caf\u{e9}"), ["cafe"]);
    }

    #[test]
    fn only_stop_words_are_kept_and_nothing_stays_nothing() {
        assert_eq!(stems("The Who"), ["the", "who"]);
        assert!(stems("?!' '' \0").is_empty());
        let many: String = (0..200).map(|n| format!("w{n} ")).collect();
        assert_eq!(stems(&many).len(), MAX_TERMS);
    }

    #[test]
    fn languages_without_spaces_are_pairs() {
        assert_eq!(
            stems("\u{6771}\u{4eac}\u{90fd}"),
            ["\u{6771}\u{4eac}", "\u{4eac}\u{90fd}"]
        );
        assert_eq!(stems("\u{96e8}?"), ["\u{96e8}"]);
        let words = indexed("\u{6771}\u{4eac}\u{90fd} tower");
        assert_eq!(
            words,
            "\u{6771} \u{4eac} \u{6771}\u{4eac} \u{90fd} \u{4eac}\u{90fd} tower"
        );
    }

    proptest! {
        /// What is looked for is what is indexed, and the index takes each word for one.
        #[test]
        fn every_term_of_a_text_is_among_its_indexed_words(text in "\\PC{0,80}|[a-zA-Z' \u{2019}.\u{6771}\u{4eac}]{0,60}") {
            let words = indexed(&text);
            let known: HashSet<&str> = words.split(' ').collect();
            for term in terms(&text) {
                prop_assert!(known.contains(term.stem.as_str()), "{:?} not in {:?}", term, words);
            }
            for word in words.split(' ').filter(|word| !word.is_empty()) {
                prop_assert!(
                    word.bytes().all(|byte| byte >= 128 || byte.is_ascii_lowercase() || byte.is_ascii_digit()),
                    "{:?}", word
                );
            }
        }
    }
}
