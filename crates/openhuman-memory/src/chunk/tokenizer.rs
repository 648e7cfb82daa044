//! Counting `cl100k_base` tokens, from the bare vocabulary of the encoding.
//!
//! The ready-made tokenizer of `bpe-openai` brings search tables of 15 MB into every program that uses it, and the
//! vocabulary that they are computed from has 0.7 MB; computing them takes half a second. Counting needs neither: most
//! words are one token, found in a hash map that is built in milliseconds, and the others are merged as the encoding
//! defines it. The tests hold the result against `bpe-openai`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use bpe_openai::byte_pair_encoding::BytePairEncoding;

/// The number of tokens of the encoding, without the special ones.
const TOKENS: usize = 100_256;

/// The longest token, in bytes.
pub(super) const LONGEST_TOKEN: usize = 128;

/// Words of at most so many bytes are counted without any memory of their own.
const SHORT_WORD: usize = 32;

/// Written by `build.rs`: the length of each token, then the tokens, in the order of their ranks.
static VOCABULARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cl100k.tokens"));

/// The published pattern of the encoding. Its negative look-ahead `\s+(?!\S)` is written as one character of look-ahead
/// and the end of the text, which the regular expressions here can express.
const PATTERNS: [(&str, bool); 3] = [
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+$",
        false,
    ),
    (r"\s+\s", true),
    (r"\s+", false),
];

static CL100K: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::new);

/// The tokenizer. The first call reads the vocabulary.
pub(super) fn cl100k() -> &'static Tokenizer {
    &CL100K
}

/// Splits text into words and counts the tokens of each.
pub(super) struct Tokenizer {
    words: bpe_openai::Tokenizer,
    ranks: HashMap<&'static [u8], u32, BuildHasherDefault<WordHasher>>,
}

/// Words are looked up in a table that never changes, so nobody can fill it with words of one hash, and a simple hash
/// does. The standard one takes half of the time of counting.
#[derive(Default)]
struct WordHasher(u64);

impl WordHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        // The upper bits are the well mixed ones, and the table takes the lower ones.
        self.0 ^ (self.0 >> 32)
    }
}

impl Tokenizer {
    fn new() -> Self {
        let (lengths, mut rest) = VOCABULARY.split_at(TOKENS);
        let mut ranks = HashMap::with_capacity_and_hasher(TOKENS, BuildHasherDefault::default());
        for (rank, length) in (0..).zip(lengths) {
            let (token, others) = rest.split_at(usize::from(*length));
            rest = others;
            ranks.insert(token, rank);
        }
        // The library's splitter comes only together with an encoding; that of the single bytes costs nothing.
        let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
        let words = bpe_openai::Tokenizer::new_lookahead(
            BytePairEncoding::from_dictionary(bytes, None),
            &PATTERNS,
            false,
        )
        .expect("the patterns are constants, and every test builds them");
        Self { words, ranks }
    }

    /// The words that are encoded each by itself. Together they are the text.
    pub(super) fn split<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.split(text)
    }

    /// The tokens of a text, exactly.
    pub(super) fn count(&self, text: &str) -> usize {
        self.split(text)
            .map(|word| self.count_word(word.as_bytes()))
            .sum()
    }

    /// The tokens of one word. Time grows with n log n, memory with about 30 bytes for each byte of the word.
    pub(super) fn count_word(&self, word: &[u8]) -> usize {
        if word.len() <= LONGEST_TOKEN && self.ranks.contains_key(word) {
            return 1;
        }
        if word.len() <= SHORT_WORD {
            return self.count_short(word);
        }
        let mut parts = Parts::of(word);
        let mut pairs: BinaryHeap<_> = (0..parts.end)
            .filter_map(|start| self.pair(word, &parts, start))
            .collect();
        // Always the pair of the lowest rank next, the leftmost of equals.
        while let Some(Reverse((_, start, end))) = pairs.pop() {
            if parts.merge(start, end) {
                pairs.extend(self.pair(word, &parts, start));
                pairs.extend(
                    parts
                        .before(start)
                        .and_then(|before| self.pair(word, &parts, before)),
                );
            }
        }
        parts.count
    }

    /// As below, for words where looking at every pair costs less than keeping them in order.
    fn count_short(&self, word: &[u8]) -> usize {
        const NONE: u32 = u32::MAX;
        let mut starts = [0u8; SHORT_WORD + 1];
        let mut ranks = [NONE; SHORT_WORD + 1];
        let mut count = word.len();
        for (at, start) in starts.iter_mut().enumerate().take(count + 1) {
            *start = at as u8;
        }
        let rank = |starts: &[u8], at: usize| {
            let end = starts.get(at + 2).map(|end| usize::from(*end));
            let pair = end.and_then(|end| word.get(usize::from(starts[at])..end));
            pair.and_then(|pair| self.ranks.get(pair))
                .copied()
                .unwrap_or(NONE)
        };
        for (at, known) in ranks.iter_mut().enumerate().take(count) {
            *known = rank(&starts[..=count], at);
        }
        loop {
            let lowest = ranks[..count].iter().enumerate().min_by_key(|(_, rank)| **rank);
            let Some((at, _)) = lowest.filter(|(_, rank)| **rank != NONE) else {
                return count;
            };
            starts.copy_within(at + 2..=count, at + 1);
            ranks.copy_within(at + 2..=count, at + 1);
            count -= 1;
            ranks[at] = rank(&starts[..=count], at);
            if at > 0 {
                ranks[at - 1] = rank(&starts[..=count], at - 1);
            }
        }
    }

    /// The part at `start` with the one behind it, if they make a token.
    fn pair(&self, word: &[u8], parts: &Parts, start: u32) -> Option<Reverse<(u32, u32, u32)>> {
        let end = parts.end_of_pair(start)?;
        let rank = self.ranks.get(word.get(start as usize..end as usize)?)?;
        Some(Reverse((*rank, start, end)))
    }
}

/// A word cut into parts; at first each byte is one.
struct Parts {
    /// Where the part that starts here ends; 0 when no part starts here any more.
    ends: Vec<u32>,
    /// Where the part before the one that starts here starts.
    starts_before: Vec<u32>,
    end: u32,
    count: usize,
}

impl Parts {
    fn of(word: &[u8]) -> Self {
        // The memory refuses documents long before a word reaches 4 GiB.
        let end = u32::try_from(word.len()).unwrap_or(u32::MAX);
        Self {
            ends: (1..=end).collect(),
            starts_before: (0..end).map(|start| start.saturating_sub(1)).collect(),
            end,
            count: end as usize,
        }
    }

    fn end_of(&self, start: u32) -> Option<u32> {
        self.ends.get(start as usize).copied().filter(|end| *end != 0)
    }

    fn end_of_pair(&self, start: u32) -> Option<u32> {
        self.end_of(self.end_of(start)?)
    }

    fn before(&self, start: u32) -> Option<u32> {
        self.starts_before
            .get(start as usize)
            .copied()
            .filter(|_| start > 0)
    }

    /// Joins the two parts between `start` and `end`, if they still are two parts.
    fn merge(&mut self, start: u32, end: u32) -> bool {
        let Some(middle) = self.end_of(start) else {
            return false;
        };
        if self.end_of(middle) != Some(end) {
            return false;
        }
        self.ends[start as usize] = end;
        self.ends[middle as usize] = 0;
        if let Some(before) = self.starts_before.get_mut(end as usize) {
            *before = start;
        }
        self.count -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vocabulary_is_the_library_s() {
        let library = &bpe_openai::cl100k_base().bpe;
        assert_eq!((library.num_tokens(), cl100k().ranks.len()), (TOKENS, TOKENS));
        for rank in 0..u32::try_from(TOKENS).unwrap() {
            let token = library.token_bytes(rank);
            assert_eq!(cl100k().ranks.get(token), Some(&rank));
            assert_eq!(cl100k().count_word(token), 1);
            assert!(token.len() <= LONGEST_TOKEN);
        }
    }

    #[test]
    fn long_words_are_counted_as_the_library_does() {
        for word in [
            "a".repeat(5000),
            "abracadabra".repeat(700),
            "ß漢😀".repeat(400),
            "=-".repeat(3000),
            " ".repeat(700),
        ] {
            assert_eq!(
                cl100k().count(&word),
                bpe_openai::cl100k_base().count(word.as_str()),
                "{}",
                &word[..12]
            );
        }
        assert_eq!(cl100k().count(""), 0);
    }

    proptest! {
        #[test]
        fn any_text_is_split_and_counted_as_the_library_does(
            text in "(?s)[a-zA-Z0-9 '\\r\\n\\tÀ-žа-я一-三😀.,;:!?/-]{0,300}|.{0,200}"
        ) {
            let library = bpe_openai::cl100k_base();
            prop_assert_eq!(cl100k().split(&text).collect::<Vec<_>>(), library.split(&text).collect::<Vec<_>>());
            prop_assert_eq!(cl100k().count(&text), library.count(text.as_str()));
        }
    }
}
