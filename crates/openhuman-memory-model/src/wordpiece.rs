//! BERT's uncased tokenizer: clean, split, then cut words into the longest known pieces.

use unicode_normalization::char::decompose_canonical;

use crate::table::{Hash, Table};
use crate::unicode::{ACCENTS, PUNCTUATION, REMOVED};

/// The token of a word that the vocabulary cannot spell.
pub(crate) const UNKNOWN: u32 = 100;

/// Longer words are unknown by definition, which also bounds the work per word.
const LONGEST_WORD: usize = 100;

/// What comes before a piece that continues a word.
const CONTINUATION: &[u8] = b"##";

/// Calls `emit` with each token of `text`, in order.
pub(crate) fn for_each_token(table: &Table, text: &str, emit: impl FnMut(u32)) {
    let mut splitter = Splitter {
        table,
        word: Word::default(),
        pieces: Vec::new(),
        emit,
    };
    for character in text.chars() {
        splitter.push(character);
    }
    splitter.end_word();
}

/// A word under construction: lower case, without accents.
#[derive(Default)]
struct Word {
    text: String,
    characters: usize,
}

impl Word {
    fn push(&mut self, character: char) {
        self.characters += 1;
        if self.characters <= LONGEST_WORD {
            self.text.push(character);
        }
    }
}

struct Splitter<'a, F> {
    table: &'a Table,
    word: Word,
    pieces: Vec<u32>,
    emit: F,
}

impl<F: FnMut(u32)> Splitter<'_, F> {
    fn push(&mut self, character: char) {
        if character.is_ascii() {
            match character {
                ' ' | '\t' | '\n' | '\r' => self.end_word(),
                _ if character.is_ascii_control() => {}
                _ => self.push_visible(character),
            }
        } else if is_removed(character) {
        } else if character.is_whitespace() {
            self.end_word();
        } else if is_ideograph(character) {
            self.end_word();
            self.push_decomposed(character);
            self.end_word();
        } else {
            self.push_decomposed(character);
        }
    }

    fn push_decomposed(&mut self, character: char) {
        decompose_canonical(character, |part| {
            if !contains(ACCENTS, part) {
                self.push_visible(part);
            }
        });
    }

    fn push_visible(&mut self, character: char) {
        if is_punctuation(character) {
            self.end_word();
            self.word.push(character);
            self.end_word();
        } else if character.is_ascii() {
            self.word.push(character.to_ascii_lowercase());
        } else {
            for lower in character.to_lowercase() {
                self.word.push(lower);
            }
        }
    }

    fn end_word(&mut self) {
        if self.word.characters == 0 {
            return;
        }
        self.pieces.clear();
        if self.word.characters <= LONGEST_WORD && cut(self.table, &self.word.text, &mut self.pieces) {
            self.pieces.iter().copied().for_each(&mut self.emit);
        } else {
            (self.emit)(UNKNOWN);
        }
        self.word.text.clear();
        self.word.characters = 0;
    }
}

/// Cuts a word into its longest known pieces, from left to right. False when some part is not known.
fn cut(table: &Table, word: &str, pieces: &mut Vec<u32>) -> bool {
    let mut rest = word;
    while !rest.is_empty() {
        let prefix = if rest.len() == word.len() {
            &b""[..]
        } else {
            CONTINUATION
        };
        let Some((piece, length)) = longest_piece(table, prefix, rest) else {
            return false;
        };
        pieces.push(piece);
        rest = &rest[length..];
    }
    true
}

/// The longest piece that `word` starts with, and its length in bytes without `prefix`.
fn longest_piece(table: &Table, prefix: &[u8], word: &str) -> Option<(u32, usize)> {
    // One forward pass hashes every candidate, then the longest is tried first.
    let mut candidates = [(0, Hash::EMPTY); LONGEST_WORD];
    let mut count = 0;
    let mut hash = Hash::EMPTY.extend(prefix);
    for (start, character) in word.char_indices() {
        let end = start + character.len_utf8();
        if prefix.len() + end > table.longest_piece() || count == LONGEST_WORD {
            break;
        }
        hash = hash.extend(&word.as_bytes()[start..end]);
        candidates[count] = (end, hash);
        count += 1;
    }
    candidates[..count]
        .iter()
        .rev()
        .find_map(|(end, hash)| Some((table.find(*hash, prefix, &word.as_bytes()[..*end])?, *end)))
}

fn is_removed(character: char) -> bool {
    character == char::REPLACEMENT_CHARACTER || contains(REMOVED, character)
}

fn is_punctuation(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_punctuation()
    } else {
        contains(PUNCTUATION, character)
    }
}

/// Characters that are words of their own: the blocks that BERT lists as Chinese.
fn is_ideograph(character: char) -> bool {
    matches!(
        u32::from(character),
        0x3400..=0x4DBF
            | 0x4E00..=0x9FFF
            | 0xF900..=0xFAFF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B81F
            | 0x2B820..=0x2CEAF
            | 0x2F800..=0x2FA1F
    )
}

fn contains(ranges: &[(u32, u32)], character: char) -> bool {
    let code = u32::from(character);
    let after = ranges.partition_point(|(first, _)| *first <= code);
    after.checked_sub(1).is_some_and(|at| code <= ranges[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inclusive() {
        let ranges = &[(0x80, 0x82), (0x90, 0x90)];
        let inside: Vec<u32> = (0x7F..0x92)
            .filter(|code| contains(ranges, char::from_u32(*code).unwrap()))
            .collect();
        assert_eq!(inside, [0x80, 0x81, 0x82, 0x90]);
    }

    #[test]
    fn classes_are_sorted() {
        for ranges in [REMOVED, ACCENTS, PUNCTUATION] {
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
