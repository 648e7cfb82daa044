//! The bits of up to 256 chunks as one blob.

use super::bits::Factors;
use crate::error::MemoryError;

const FORMAT: u8 = 1;

/// The bits of some chunks, in the order of their identifiers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Segment {
    pub(super) ids: Vec<i64>,
    pub(super) bits: Vec<u64>,
    pub(super) factors: Vec<Factors>,
}

impl Segment {
    pub(super) fn to_blob(&self, words: usize) -> Vec<u8> {
        let mut blob = Vec::with_capacity(1 + self.ids.len() * (20 + 8 * words));
        blob.push(FORMAT);
        blob.extend(self.ids.iter().flat_map(|id| id.to_le_bytes()));
        blob.extend(self.bits.iter().flat_map(|word| word.to_le_bytes()));
        for factors in &self.factors {
            for number in [factors.scale, factors.ones, factors.base] {
                blob.extend_from_slice(&number.to_le_bytes());
            }
        }
        blob
    }

    pub(super) fn parse(blob: &[u8], words: usize) -> Result<Self, MemoryError> {
        let each = 8 + 8 * words + 12;
        let damaged = || MemoryError::Damaged {
            what: format!("a segment of vectors of {} bytes", blob.len()),
        };
        let (format, rest) = blob.split_first().ok_or_else(damaged)?;
        let count = rest.len() / each;
        if *format != FORMAT || rest.len() != count * each {
            return Err(damaged());
        }
        let (ids, rest) = rest.split_at(8 * count);
        let (bits, factors) = rest.split_at(8 * words * count);
        Ok(Self {
            ids: ids
                .as_chunks()
                .0
                .iter()
                .map(|bytes| i64::from_le_bytes(*bytes))
                .collect(),
            bits: bits
                .as_chunks()
                .0
                .iter()
                .map(|bytes| u64::from_le_bytes(*bytes))
                .collect(),
            factors: factors
                .as_chunks::<12>()
                .0
                .iter()
                .map(|bytes| {
                    let number = |at: usize| {
                        bytes[at..]
                            .first_chunk()
                            .map_or(0.0, |four| f32::from_le_bytes(*four))
                    };
                    Factors {
                        scale: number(0),
                        ones: number(4),
                        base: number(8),
                    }
                })
                .collect(),
        })
    }

    pub(super) fn without(&self, removed: &[i64], words: usize) -> Self {
        let mut kept = Self::default();
        for (at, id) in self.ids.iter().enumerate() {
            if removed.binary_search(id).is_err() {
                kept.ids.push(*id);
                kept.bits
                    .extend_from_slice(&self.bits[at * words..(at + 1) * words]);
                kept.factors.push(self.factors[at]);
            }
        }
        kept
    }
}
