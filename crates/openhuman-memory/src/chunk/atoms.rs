//! The places where a text may be cut, with the number of tokens before each.

use unicode_segmentation::UnicodeSegmentation;

use super::tokenizer::{LONGEST_TOKEN, cl100k};

/// A word of the tokenizer with more tokens than this is offered in parts.
const LONG_WORD_TOKENS: usize = 32;

/// The parts of a long word have at most this many bytes, and so at most this many tokens.
const PART_BYTES: usize = 32;

pub(super) fn count(text: &str) -> usize {
    cl100k().count(text)
}

/// Boundary `i` lies at byte `offsets[i]` and has `totals[i]` tokens before it; boundary 0 is the start.
///
/// The tokenizer first splits a text into words and encodes each by itself. That split looks only forward, and only
/// past white space, so the totals of two boundaries differ by exactly the tokens of the text between them. There are
/// two exceptions. The boundaries inside a long word are listed in `inner`. And where white space is followed by a
/// word that does not take its last character in, that character would join the rest of the white space if the text
/// ended after it: no boundary is offered there.
pub(super) struct Atoms {
    offsets: Vec<usize>,
    totals: Vec<usize>,
    inner: Vec<usize>,
}

impl Atoms {
    pub(super) fn new(text: &str) -> Self {
        let tokenizer = cl100k();
        let mut atoms = Self {
            offsets: vec![0],
            totals: vec![0],
            inner: Vec::new(),
        };
        let (mut held_bytes, mut held_tokens) = (0, 0);
        let mut after_space = false;
        for word in tokenizer.split(text) {
            let is_space = word.chars().all(char::is_whitespace);
            if is_space && after_space {
                held_bytes += word.len();
                held_tokens += tokenizer.count_word(word.as_bytes());
                continue;
            }
            after_space = is_space && !word.ends_with(['\r', '\n']);
            // A word of very many bytes has more tokens than that: they need not be counted.
            let countable = word.len() <= LONG_WORD_TOKENS * LONGEST_TOKEN;
            let tokens = countable.then(|| tokenizer.count_word(word.as_bytes()));
            if let Some(tokens) = tokens.filter(|tokens| *tokens <= LONG_WORD_TOKENS) {
                atoms.push(held_bytes + word.len(), held_tokens + tokens);
            } else {
                for part in parts(word) {
                    atoms.push(
                        held_bytes + part.len(),
                        held_tokens + tokenizer.count_word(part.as_bytes()),
                    );
                    atoms.inner.push(atoms.last());
                    (held_bytes, held_tokens) = (0, 0);
                }
                // The end of the word is an ordinary boundary again.
                atoms.inner.pop();
            }
            (held_bytes, held_tokens) = (0, 0);
        }
        if held_bytes > 0 {
            atoms.push(held_bytes, held_tokens);
        }
        atoms
    }

    fn push(&mut self, bytes: usize, tokens: usize) {
        let (offset, total) = (self.offset(self.last()), self.total(self.last()));
        self.offsets.push(offset + bytes);
        self.totals.push(total + tokens);
    }

    /// The boundary at the end of the text.
    pub(super) fn last(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn offset(&self, at: usize) -> usize {
        self.offsets[at]
    }

    pub(super) fn total(&self, at: usize) -> usize {
        self.totals[at]
    }

    /// Whether the difference of the totals of two boundaries is exact: no boundary inside a long word lies
    /// between them, nor is one of them such a boundary.
    pub(super) fn is_exact(&self, from: usize, to: usize) -> bool {
        let next = self.inner.partition_point(|&inner| inner < from);
        self.inner.get(next).is_none_or(|&inner| inner > to)
    }

    /// The last boundary at or before a byte offset.
    pub(super) fn at_or_before(&self, offset: usize) -> usize {
        self.offsets.partition_point(|&start| start <= offset) - 1
    }

    /// The furthest boundary that is at most `tokens` after `from`.
    pub(super) fn reach(&self, from: usize, tokens: usize) -> usize {
        let most = self.total(from) + tokens;
        self.totals.partition_point(|&total| total <= most) - 1
    }

    /// The earliest boundary that is at most `tokens` before `to`.
    pub(super) fn reach_back(&self, to: usize, tokens: usize) -> usize {
        let least = self.total(to).saturating_sub(tokens);
        self.totals.partition_point(|&total| total < least)
    }
}

/// Cuts a long word between grapheme clusters; a cluster that is itself too long, between characters.
fn parts(word: &str) -> Vec<&str> {
    let mut parts = Vec::with_capacity(word.len() / PART_BYTES + 1);
    let (mut start, mut end) = (0, 0);
    for cluster in word.graphemes(true) {
        let pieces: Vec<usize> = if cluster.len() > PART_BYTES {
            cluster.chars().map(char::len_utf8).collect()
        } else {
            vec![cluster.len()]
        };
        for bytes in pieces {
            if end - start + bytes > PART_BYTES {
                parts.push(&word[start..end]);
                start = end;
            }
            end += bytes;
        }
    }
    parts.push(&word[start..]);
    parts
}
