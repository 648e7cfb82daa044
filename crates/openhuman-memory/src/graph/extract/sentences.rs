//! Sentences and words with their places.

/// A word of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// As written, without punctuation around it.
    pub(super) text: &'a str,
    pub(super) lower: String,
    /// Whether a comma, a colon or a bracket follows.
    pub(super) pause: bool,
}

impl Word<'_> {
    pub(super) fn is_capital(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }
}

/// Sentences end at a full stop, exclamation or question mark before a blank, and at line ends.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let mut parts = Vec::new();
        let mut start = 0;
        for (at, letter) in line.char_indices() {
            let after = &line[at + letter.len_utf8()..];
            if ".!?".contains(letter) && (after.is_empty() || after.starts_with(char::is_whitespace)) {
                parts.push(line[start..at + letter.len_utf8()].trim());
                start = at + letter.len_utf8();
            }
        }
        parts.push(line[start..].trim());
        parts.into_iter().filter(|part| !part.is_empty())
    })
}

/// The words of a sentence. A possessive is a word of its own: `Anna's dog` is `Anna`, `'s`, `dog`.
pub(super) fn words(sentence: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    for piece in sentence.split_whitespace() {
        let is_mark = |letter: char| !letter.is_alphanumeric() && !"+#&%€$£".contains(letter);
        if piece.starts_with(['(', '"', '\u{201c}', '[']) {
            pause(&mut words);
        }
        let word = piece.trim_matches(is_mark);
        if word.is_empty() {
            pause(&mut words);
            continue;
        }
        let ends = piece.ends_with([',', ';', ':', ')', '"', '\u{201d}', ']', '.', '!', '?']);
        let (stem, owner) = match word.strip_suffix("'s").or_else(|| word.strip_suffix("\u{2019}s")) {
            Some(stem) if !stem.is_empty() => (stem, true),
            _ => (word, false),
        };
        words.push(Word {
            text: stem,
            lower: lower(stem),
            pause: ends && !owner,
        });
        if owner {
            words.push(Word {
                text: "'s",
                lower: "'s".to_owned(),
                pause: ends,
            });
        }
    }
    words
}

fn lower(word: &str) -> String {
    word.to_lowercase().replace('\u{2019}', "'")
}

fn pause(words: &mut [Word<'_>]) {
    if let Some(last) = words.last_mut() {
        last.pause = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_keep_numbers_whole() {
        let found: Vec<&str> = sentences("It costs 3.50 today. Really?! Yes\nand no").collect();
        assert_eq!(found, ["It costs 3.50 today.", "Really?!", "Yes", "and no"]);
    }

    #[test]
    fn words_know_pauses_and_owners() {
        let found = words("Anna's dog, Rex (a poodle) barks.");
        let texts: Vec<&str> = found.iter().map(|word| word.text).collect();
        assert_eq!(texts, ["Anna", "'s", "dog", "Rex", "a", "poodle", "barks"]);
        let pauses: Vec<&str> = found
            .iter()
            .filter(|word| word.pause)
            .map(|word| word.text)
            .collect();
        assert_eq!(pauses, ["dog", "Rex", "poodle", "barks"]);
    }
}
