//! Many vectors in memory, and the nearest of them to a query.

use super::bits::{BitQuery, Encoder, Factors};
use super::code::{self, Code, Parts};
use super::raw::{Level, Pages};

/// Slots whose sums are computed together; a multiple of 64.
const BLOCK: usize = 1024;

/// A set of slots.
#[derive(Debug, Default, Clone)]
pub(crate) struct Slots(Vec<u64>);

impl Slots {
    pub(crate) fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub(crate) fn insert(&mut self, slot: usize) {
        if slot / 64 >= self.0.len() {
            self.0.resize(slot / 64 + 1, 0);
        }
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    pub(crate) fn remove(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    pub(crate) fn contains(&self, slot: usize) -> bool {
        self.0
            .get(slot / 64)
            .is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        for (at, word) in self.0.iter_mut().enumerate() {
            *word &= other.0.get(at).copied().unwrap_or(0);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, &word)| {
            let mut word = word;
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some(at * 64 + bit)
            })
        })
    }

    /// Whether any slot from `first` on, of the next `count`, is in the set; both are multiples of 64.
    fn any(&self, first: usize, count: usize) -> bool {
        let words = self.0.iter().skip(first / 64).take(count.div_ceil(64));
        words.copied().any(|word| word != 0)
    }
}

/// One signed byte per dimension: exact enough to be the last word, six times as large as bits and factors.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    /// Zero for a chunk without a vector.
    scales: Pages<f32>,
    values: Pages<i8>,
}

impl Bytes {
    pub(crate) fn push(&mut self, code: Option<(f32, &[i8])>, dimensions: usize) {
        match code.filter(|(_, values)| values.len() == dimensions) {
            Some((scale, values)) => {
                self.scales.push(scale);
                self.values.extend_from_slice(values);
            }
            None => {
                self.scales.push(0.0);
                self.values.extend_from_slice(&vec![0; dimensions]);
            }
        }
    }

    pub(crate) fn row(&self, slot: usize, dimensions: usize) -> (f32, &[i8]) {
        (
            self.scales[slot],
            &self.values[slot * dimensions..(slot + 1) * dimensions],
        )
    }
}

/// One bit per dimension and three factors.
#[derive(Debug)]
pub(crate) struct Bits {
    pub(crate) encoder: Encoder,
    bits: Pages<u64>,
    scales: Pages<f32>,
    ones: Pages<f32>,
    bases: Pages<f32>,
}

impl Bits {
    pub(crate) fn new(mean: Vec<f32>) -> Self {
        Self {
            encoder: Encoder::new(mean),
            bits: Pages::new(),
            scales: Pages::new(),
            ones: Pages::new(),
            bases: Pages::new(),
        }
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        self.bits.reserve(more * self.encoder.words());
        self.scales.reserve(more);
        self.ones.reserve(more);
        self.bases.reserve(more);
    }

    pub(crate) fn push(&mut self, bits: &[u64], factors: Factors) {
        self.bits.extend_from_slice(bits);
        self.scales.push(factors.scale);
        self.ones.push(factors.ones);
        self.bases.push(factors.base);
    }

    pub(crate) fn row(&self, slot: usize) -> (&[u64], Factors) {
        let words = self.encoder.words();
        let factors = Factors {
            scale: self.scales[slot],
            ones: self.ones[slot],
            base: self.bases[slot],
        };
        (&self.bits[slot * words..(slot + 1) * words], factors)
    }
}

/// How the vectors are kept.
#[derive(Debug)]
pub(crate) enum Tier {
    /// The first bytes in memory; every comparison is nearly exact.
    Exact(Bytes),
    /// Bits in memory; the caller compares the best ones by their bytes.
    Coded(Bits),
}

/// The vectors of slots 0, 1, 2 and so on.
#[derive(Debug)]
pub(crate) struct Vectors {
    dimensions: usize,
    pub(crate) tier: Tier,
}

/// A query in the forms that the vectors are compared with.
pub(crate) struct VectorQuery {
    /// Of length one, not rounded.
    numbers: Vec<f32>,
    code: Code,
    bits: Option<BitQuery>,
}

impl Vectors {
    pub(crate) fn exact(dimensions: usize) -> Self {
        Self {
            dimensions,
            tier: Tier::Exact(Bytes::default()),
        }
    }

    pub(crate) fn coded(mean: Vec<f32>) -> Self {
        Self {
            dimensions: mean.len(),
            tier: Tier::Coded(Bits::new(mean)),
        }
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.tier, Tier::Exact(_))
    }

    pub(crate) fn push(&mut self, code: Option<&Code>) {
        match &mut self.tier {
            Tier::Exact(bytes) => {
                bytes.push(
                    code.map(|code| (code.scale, code.values.as_slice())),
                    self.dimensions,
                );
            }
            Tier::Coded(bits) => {
                let mut words = Vec::with_capacity(bits.encoder.words());
                let factors = bits.encoder.encode(code, &mut words);
                bits.push(&words, factors);
            }
        }
    }

    /// Copies a slot of another set of vectors of the same tier.
    pub(crate) fn push_from(&mut self, other: &Self, slot: usize) {
        match (&mut self.tier, &other.tier) {
            (Tier::Exact(to), Tier::Exact(from)) => {
                to.push(Some(from.row(slot, self.dimensions)), self.dimensions);
            }
            (Tier::Coded(to), Tier::Coded(from)) => {
                let (bits, factors) = from.row(slot);
                to.push(bits, factors);
            }
            _ => self.push(None),
        }
    }

    /// Overwrites a vector. It is never near anything again.
    pub(crate) fn wipe(&mut self, slot: usize) {
        match &mut self.tier {
            Tier::Exact(bytes) => {
                bytes.scales[slot] = 0.0;
                bytes.values[slot * self.dimensions..(slot + 1) * self.dimensions].fill(0);
            }
            Tier::Coded(bits) => {
                let words = bits.encoder.words();
                bits.bits[slot * words..(slot + 1) * words].fill(0);
                (bits.scales[slot], bits.ones[slot]) = (Factors::NONE.scale, Factors::NONE.ones);
                bits.bases[slot] = Factors::NONE.base;
            }
        }
    }

    /// `None` for a vector without a direction or of another length.
    pub(crate) fn query(&self, vector: &[f32]) -> Option<VectorQuery> {
        let length = code::length(vector).filter(|_| vector.len() == self.dimensions)? as f32;
        let code = Code::new(vector)?;
        let bits = match &self.tier {
            Tier::Exact(_) => None,
            Tier::Coded(bits) => Some(bits.encoder.query(&code)),
        };
        Some(VectorQuery {
            numbers: vector.iter().map(|number| number / length).collect(),
            code,
            bits,
        })
    }

    /// The cosine of every slot with the query, nearly exact or estimated; minus infinity for slots outside of `allowed`
    /// and for those without a vector.
    pub(crate) fn scan(&self, query: &VectorQuery, allowed: &Slots, count: usize) -> Vec<f32> {
        self.scan_with(Level::best(), query, allowed, count)
    }

    pub(crate) fn scan_with(
        &self,
        level: Level,
        query: &VectorQuery,
        allowed: &Slots,
        count: usize,
    ) -> Vec<f32> {
        let mut cosines = vec![f32::NEG_INFINITY; count];
        match (&self.tier, &query.bits) {
            (Tier::Exact(bytes), _) => {
                for slot in allowed.iter().take_while(|slot| *slot < count) {
                    let (scale, values) = bytes.row(slot, self.dimensions);
                    if scale != 0.0 {
                        let dot = level.dot(&query.code.values, values);
                        cosines[slot] = dot as f32 * query.code.scale * scale;
                    }
                }
            }
            (Tier::Coded(bits), Some(query)) => scan_bits(level, bits, query, allowed, &mut cosines),
            (Tier::Coded(_), None) => {}
        }
        cosines
    }
}

impl VectorQuery {
    /// The exact cosine with a stored code.
    pub(crate) fn rescore(&self, parts: &Parts<'_>) -> f32 {
        parts.dot(&self.numbers)
    }
}

fn scan_bits(level: Level, bits: &Bits, query: &BitQuery, allowed: &Slots, cosines: &mut [f32]) {
    let words = bits.encoder.words();
    let mut sums = [0u32; BLOCK];
    for (block, cosines) in cosines.chunks_mut(BLOCK).enumerate() {
        let first = block * BLOCK;
        if !allowed.any(first, cosines.len()) {
            continue;
        }
        let range = first..first + cosines.len();
        let sums = &mut sums[..cosines.len()];
        level.bit_sums(
            &bits.bits[range.start * words..range.end * words],
            &query.planes,
            words,
            sums,
        );
        let factors = bits.scales[range.clone()]
            .iter()
            .zip(&bits.ones[range.clone()])
            .zip(&bits.bases[range]);
        for ((cosine, sum), ((scale, ones), base)) in cosines.iter_mut().zip(sums.iter()).zip(factors) {
            *cosine = query.estimate(*sum, *scale, *ones, *base);
        }
        for (at, cosines) in cosines.chunks_mut(64).enumerate() {
            let word = allowed.0.get(first / 64 + at).copied().unwrap_or(0);
            if word != u64::MAX {
                for (bit, cosine) in cosines.iter_mut().enumerate() {
                    if word >> bit & 1 == 0 {
                        *cosine = f32::NEG_INFINITY;
                    }
                }
            }
        }
    }
}

/// The slots of the highest scores, best first, equal scores in order; minus infinity is no score.
pub(crate) fn highest(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count == 0 {
        return Vec::new();
    }
    let mut kept: Vec<(usize, f32)> = Vec::with_capacity(4 * count);
    let mut least = f32::NEG_INFINITY;
    for (block, scores) in scores.chunks(64).enumerate() {
        // Most blocks hold nothing good enough; the maximum tells so without a branch for each score.
        if scores
            .iter()
            .fold(f32::NEG_INFINITY, |most, score| most.max(*score))
            <= least
        {
            continue;
        }
        kept.extend(
            scores
                .iter()
                .enumerate()
                .filter(|(_, score)| **score > least)
                .map(|(at, score)| (block * 64 + at, *score)),
        );
        if kept.len() >= 4 * count {
            kept.select_nth_unstable_by(count - 1, order);
            kept.truncate(count);
            least = kept.iter().map(|(_, score)| *score).fold(f32::INFINITY, f32::min);
        }
    }
    if kept.len() > count {
        kept.select_nth_unstable_by(count - 1, order);
        kept.truncate(count);
    }
    kept.sort_unstable_by(order);
    kept
}

#[cfg(test)]
mod tests;
