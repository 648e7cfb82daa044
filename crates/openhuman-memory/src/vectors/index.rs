//! Many vectors in memory, and the nearest of them to a query.

use super::bits::BitQuery;
use super::code::{self, Code, Parts};
use super::raw::Level;
pub(crate) use super::tiers::Tier;
use super::tiers::{Bits, Bytes};

/// From so many vectors on, bits are kept in lists, and a query looks at some of them.
pub(crate) const LISTS_FROM: usize = 300_000;

/// The share of all vectors whose lists a query looks at: 99 of 100 of the ten nearest are among them.
pub(crate) const PROBED: f32 = 0.5;

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

    /// Slots `64 * at` to `64 * at + 63`, one bit each.
    pub(super) fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Whether any slot from `first` on, of the next `count`, is in the set; both are multiples of 64.
    pub(super) fn any(&self, first: usize, count: usize) -> bool {
        let words = self.0.iter().skip(first / 64).take(count.div_ceil(64));
        words.copied().any(|word| word != 0)
    }
}

/// The vectors of slots 0, 1, 2 and so on.
#[derive(Debug)]
pub(crate) struct Vectors {
    dimensions: usize,
    pub(crate) tier: Tier,
    lists_from: usize,
    probed: f32,
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
            lists_from: LISTS_FROM,
            probed: PROBED,
        }
    }

    pub(crate) fn coded(mean: Vec<f32>) -> Self {
        Self {
            dimensions: mean.len(),
            tier: Tier::Coded(Bits::new(mean)),
            lists_from: LISTS_FROM,
            probed: PROBED,
        }
    }

    /// No vectors, kept in the same way.
    pub(crate) fn emptied(&self) -> Self {
        let empty = match &self.tier {
            Tier::Exact(_) => Self::exact(self.dimensions),
            Tier::Coded(bits) => Self::coded(bits.encoder.mean().to_vec()),
        };
        Self {
            lists_from: self.lists_from,
            probed: self.probed,
            ..empty
        }
    }

    /// From how many vectors on there are lists, and the share of all vectors whose lists a query looks at.
    pub(crate) fn set_lists(&mut self, from: usize, probed: f32) {
        (self.lists_from, self.probed) = (from, probed);
    }

    /// Makes lists when there are many vectors, and makes them anew when there are twice as many as then: some seconds
    /// for a million vectors of 1536 dimensions.
    pub(crate) fn group_if_large(&mut self) {
        if let Tier::Coded(bits) = &mut self.tier {
            let count = bits.count();
            let known = bits.lists.as_ref().map(|lists| lists.built_for);
            if count >= self.lists_from && known.is_none_or(|known| count >= 2 * known) {
                bits.group();
            }
        }
    }

    /// The number of lists; 0 when every query looks at every vector.
    pub(crate) fn lists(&self) -> usize {
        match &self.tier {
            Tier::Coded(bits) => bits.lists.as_ref().map_or(0, |lists| lists.count()),
            Tier::Exact(_) => 0,
        }
    }

    /// Adds the estimates of some slots, in ascending order, to those of a scan that looked at some lists only.
    pub(crate) fn estimate(
        &self,
        query: &VectorQuery,
        slots: impl Iterator<Item = usize>,
        cosines: &mut [f32],
    ) {
        if let (Tier::Coded(bits), Some(query)) = (&self.tier, &query.bits) {
            bits.estimate(Level::best(), query, slots, cosines);
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
            Tier::Coded(bits) => bits.wipe(slot),
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

    /// The cosine of every slot with the query, nearly exact or estimated; minus infinity for slots outside of `allowed`,
    /// for those without a vector, and for those in lists far from the query.
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
            (Tier::Coded(bits), Some(query)) => bits.scan(level, query, allowed, self.probed, &mut cosines),
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
