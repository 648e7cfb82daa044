//! Splitting a document into chunks that an embedding model can take in one piece.
//!
//! A chunk holds at most [`MAX_TOKENS`] tokens of the `cl100k_base` encoding, counted with the real tokenizer, and
//! starts with at most [`OVERLAP_TOKENS`] tokens that repeat the end of the chunk before it. Where the text has to
//! be cut, the best boundary wins: heading, then paragraph, then sentence, then word, then token. A fenced code
//! block or a table that fits into one chunk is never cut.
//!
//! The text is tokenized once and every window is segmented a bounded number of times, so the cost is linear in
//! the length of the text.
//!
//! ```
//! use openhuman_memory::chunk;
//!
//! let text = "# Plans\n\nBuy oat milk. Call the plumber on Friday.\n";
//! let chunks = chunk::split(text);
//! assert_eq!(chunks.len(), 1);
//! assert_eq!(chunks[0].heading, ["Plans"]);
//! assert_eq!(chunks[0].tokens, chunk::count_tokens(text));
//! ```

mod atoms;
mod blocks;
mod tokenizer;

use std::ops::Range;

use sha2::{Digest, Sha256};
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use self::atoms::Atoms;
use self::blocks::{BlockKind, Outline};

/// The most tokens one chunk may hold, its overlap included.
pub const MAX_TOKENS: usize = 512;

/// The most tokens a chunk may repeat from the end of the chunk before it.
pub const OVERLAP_TOKENS: usize = 64;

/// Changes whenever the same text would be split differently, so that stored documents are indexed again.
pub(crate) const VERSION: u8 = 1;

/// A heading closes a chunk that is fuller than this share; the other boundaries are taken only beyond it.
const MIN_FILL_PERCENT: usize = 30;

/// How many boundaries are tried before a cut inside a very long grapheme cluster is accepted.
const GRAPHEME_TRIES: usize = 64;

/// One piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunk {
    /// The bytes of the document this chunk covers, the overlap included.
    pub range: Range<usize>,
    /// How many bytes at the start of the chunk repeat the end of the chunk before it.
    pub overlap: usize,
    /// The headings above the first new byte of the chunk, outermost first.
    pub heading: Vec<String>,
    /// The exact number of `cl100k_base` tokens of the chunk's text.
    pub tokens: usize,
    /// SHA-256 of the chunk's text: equal text has an equal hash wherever it stands.
    pub hash: [u8; 32],
}

impl Chunk {
    /// The bytes that no earlier chunk covers. Taken together these ranges are the whole document, in order.
    pub fn fresh(&self) -> Range<usize> {
        self.range.start + self.overlap..self.range.end
    }
}

/// Sizes other than the default 512 and 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSizes {
    /// The most tokens in a chunk. Raised to 64 when smaller.
    pub max_tokens: usize,
    /// The most tokens of overlap. Lowered to a quarter of `max_tokens` when larger.
    pub overlap_tokens: usize,
}

impl Default for ChunkSizes {
    fn default() -> Self {
        Self {
            max_tokens: MAX_TOKENS,
            overlap_tokens: OVERLAP_TOKENS,
        }
    }
}

/// Counts the `cl100k_base` tokens of a text, exactly.
pub fn count_tokens(text: &str) -> usize {
    atoms::count(text)
}

/// The beginning of a text, at most so many tokens of it.
#[cfg(feature = "openai")]
pub(crate) fn prefix(text: &str, tokens: usize) -> &str {
    // No token is shorter than a byte.
    if text.len() <= tokens {
        return text;
    }
    let atoms = Atoms::new(text);
    &text[..atoms.offset(atoms.reach(0, tokens))]
}

/// Splits a text into chunks of the default sizes. An empty text has no chunks.
pub fn split(text: &str) -> Vec<Chunk> {
    split_with(text, ChunkSizes::default())
}

/// Splits a text into chunks of the given sizes. An empty text has no chunks.
pub fn split_with(text: &str, sizes: ChunkSizes) -> Vec<Chunk> {
    let max = sizes.max_tokens.max(64);
    let overlap = sizes.overlap_tokens.min(max / 4);
    Splitter::new(text, max, overlap).split()
}

/// Positions are indices of token boundaries: `Atoms` knows the byte offset and the token total of each.
struct Splitter<'a> {
    text: &'a str,
    atoms: Atoms,
    outline: Outline,
    /// The atom boundary at which each block of the outline starts.
    block_at: Vec<usize>,
    max: usize,
    overlap: usize,
}

impl<'a> Splitter<'a> {
    fn new(text: &'a str, max: usize, overlap: usize) -> Self {
        let atoms = Atoms::new(text);
        let outline = Outline::new(text);
        let block_at = outline
            .blocks
            .iter()
            .map(|block| atoms.at_or_before(block.start))
            .collect();
        Self {
            text,
            atoms,
            outline,
            block_at,
            max,
            overlap,
        }
    }

    fn split(&self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let (mut previous, mut core) = (0, 0);
        while core < self.atoms.last() {
            let mut start = self.overlap_start(previous, core);
            let mut end = self.cut(start, core);
            let mut tokens = self.tokens(start, end);
            // The totals are estimates around a word that the tokenizer takes as a whole and that is offered in
            // parts. Such a chunk is counted again and, if need be, shortened.
            if !self.atoms.is_exact(start, end) {
                tokens = count_tokens(self.slice(start, end));
                while tokens > self.max && (start < core || end > core + 1) {
                    if start < core {
                        start = core;
                    } else {
                        end -= 1;
                    }
                    tokens = count_tokens(self.slice(start, end));
                }
            }
            let (first, fresh) = (self.atoms.offset(start), self.atoms.offset(core));
            let range = first..self.atoms.offset(end);
            chunks.push(Chunk {
                hash: Sha256::digest(&self.text.as_bytes()[range.clone()]).into(),
                heading: self.outline.heading_at(fresh).to_vec(),
                overlap: fresh - first,
                tokens,
                range,
            });
            (previous, core) = (core, end);
        }
        chunks
    }

    /// Where a chunk that starts at `start` and adds the text from `core` on should end.
    fn cut(&self, start: usize, core: usize) -> usize {
        let limit = self.atoms.reach(start, self.max).max(core + 1);
        let least = self
            .atoms
            .reach(start, self.max * MIN_FILL_PERCENT / 100)
            .max(core)
            + 1;
        let blocks = self.blocks_between(core, limit);
        let heading = blocks.clone().find(|&index| {
            self.outline.blocks[index].kind == BlockKind::Heading && self.block_at[index] >= least
        });
        if let Some(index) = heading {
            return self.block_at[index];
        }
        if limit == self.atoms.last() {
            return limit;
        }
        let block = self.block_index(limit);
        if self.is_kept_whole(block) && self.block_at[block] < limit && self.block_at[block] > core {
            return self.block_at[block];
        }
        if let Some(index) = blocks.rev().find(|&index| self.block_at[index] >= least) {
            return self.block_at[index];
        }
        let from = self.block_at[block].max(start);
        let fine = |at: &usize| *at >= least && *at <= limit && self.is_grapheme_boundary(start, *at);
        let mut inner = self.boundaries_within(block, from, limit);
        inner.retain(fine);
        if let Some(&at) = inner.last() {
            return at;
        }
        if let Some(at) = (least..=limit)
            .rev()
            .take(GRAPHEME_TRIES * 2)
            .find(|at| self.is_word_boundary(*at) && fine(at))
        {
            return at;
        }
        (least..=limit)
            .rev()
            .take(GRAPHEME_TRIES)
            .find(fine)
            .unwrap_or(limit)
    }

    /// Where the overlap of a chunk begins whose new text starts at `core`; `core` itself when there is none.
    fn overlap_start(&self, previous: usize, core: usize) -> usize {
        let block = self.block_index(core);
        let at_block_start = self.block_at[block] == core;
        if core == 0 || (at_block_start && self.outline.blocks[block].kind == BlockKind::Heading) {
            return core;
        }
        let mut budget = self.overlap;
        if at_block_start && self.is_kept_whole(block) {
            budget = budget.min(self.max - self.block_tokens(block));
        }
        let mut low = self.atoms.reach_back(core, budget).max(previous);
        let mut from = self.block_index(low);
        if self.is_kept_whole(from) && self.block_at[from] < low {
            low = self.block_end(from);
            if low >= core {
                return core;
            }
            from = self.block_index(low);
        }
        let fine = |at: usize| at >= low && at < core && self.is_grapheme_boundary(previous, at);
        let block_start = self
            .block_at
            .get(from..)
            .unwrap_or_default()
            .iter()
            .copied()
            .find(|&at| at >= low);
        let begin = match block_start.filter(|&at| fine(at)) {
            Some(at) if at == low => Some(at),
            other => {
                let sentence = self
                    .boundaries_within(from, low, core)
                    .into_iter()
                    .find(|&at| at > low && fine(at));
                [other, sentence].into_iter().flatten().min()
            }
        };
        let begin = begin
            .or_else(|| {
                (low..core)
                    .take(GRAPHEME_TRIES)
                    .find(|&at| self.is_word_boundary(at) && fine(at))
            })
            .unwrap_or(core);
        let repeated = self.slice(begin, core);
        let uncertain = !self.atoms.is_exact(begin, core);
        if repeated.trim().is_empty() || (uncertain && count_tokens(repeated) > budget) {
            return core;
        }
        begin
    }

    /// The sentence starts of a block between two boundaries; line starts for code and tables.
    fn boundaries_within(&self, block: usize, from: usize, to: usize) -> Vec<usize> {
        let begin = self.atoms.offset(from);
        // A little text beyond the limit, so that its last sentence is not closed by the cut itself.
        let slice = self.slice(from, (to + 32).min(self.atoms.last()));
        let snap = |offset: usize| self.snap(begin + offset);
        if self.outline.blocks[block].kind == BlockKind::Atomic {
            slice
                .match_indices('\n')
                .filter_map(|(at, _)| snap(at + 1))
                .collect()
        } else {
            slice
                .split_sentence_bound_indices()
                .skip(1)
                .filter_map(|(at, _)| snap(at))
                .collect()
        }
    }

    /// The atom boundary at a byte offset. White space between the two goes to the following chunk.
    fn snap(&self, offset: usize) -> Option<usize> {
        let at = self.atoms.at_or_before(offset);
        self.text[self.atoms.offset(at)..offset]
            .trim()
            .is_empty()
            .then_some(at)
    }

    fn is_word_boundary(&self, at: usize) -> bool {
        let (before, after) = self.text.split_at(self.atoms.offset(at));
        before.ends_with(char::is_whitespace) || after.starts_with(char::is_whitespace)
    }

    /// Grapheme clusters are judged from `from` on, which is a boundary itself: that bounds the look back.
    fn is_grapheme_boundary(&self, from: usize, at: usize) -> bool {
        let slice = self.slice(from, self.atoms.last());
        let offset = self.atoms.offset(at) - self.atoms.offset(from);
        GraphemeCursor::new(offset, slice.len(), true)
            .is_boundary(slice, 0)
            .unwrap_or(true)
    }

    fn is_kept_whole(&self, block: usize) -> bool {
        self.outline.blocks[block].kind == BlockKind::Atomic && self.block_tokens(block) <= self.max
    }

    fn block_tokens(&self, block: usize) -> usize {
        self.tokens(self.block_at[block], self.block_end(block))
    }

    fn block_end(&self, block: usize) -> usize {
        self.block_at.get(block + 1).copied().unwrap_or(self.atoms.last())
    }

    /// The block that holds the text right after a boundary.
    fn block_index(&self, at: usize) -> usize {
        self.block_at
            .partition_point(|&start| start <= at)
            .saturating_sub(1)
    }

    /// The blocks that start after `from` and not after `to`.
    fn blocks_between(&self, from: usize, to: usize) -> Range<usize> {
        let first = self.block_at.partition_point(|&start| start <= from);
        first..self.block_at.partition_point(|&start| start <= to).max(first)
    }

    fn tokens(&self, from: usize, to: usize) -> usize {
        self.atoms.total(to) - self.atoms.total(from)
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        &self.text[self.atoms.offset(from)..self.atoms.offset(to)]
    }
}

#[cfg(test)]
mod tests;
