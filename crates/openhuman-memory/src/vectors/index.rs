//! Many vectors in memory, and the nearest of them to a query.

use super::bits::BitQuery;
use super::code::{self, Code, Parts};
use super::raw::Level;
pub(crate) use super::tiers::Tier;
use super::tiers::{Bits, Bytes};

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
            lists_from: usize::MAX,
            probed: 1.0,
        }
    }

    pub(crate) fn coded(mean: Vec<f32>) -> Self {
        Self {
            dimensions: mean.len(),
            lists_from: usize::MAX,
            tier: Tier::Coded(Bits::new(mean)),
            probed: 1.0,
        }
    }

    /// From how many vectors on there are lists, and the share of all vectors whose lists a query looks at. At first there
    /// are none.
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

    /// The slots with the highest cosines, best first: of all that are allowed, or of those in the nearest lists.
    pub(crate) fn nearest(
        &self,
        query: &VectorQuery,
        allowed: &Slots,
        slots: usize,
        count: usize,
    ) -> Vec<(usize, f32)> {
        if let (Tier::Coded(bits), Some(query)) = (&self.tier, &query.bits)
            && let Some(nearest) = bits.nearest(Level::best(), query, allowed, self.probed, count)
        {
            return nearest;
        }
        highest(&self.scan(query, allowed, slots), count)
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
            (Tier::Coded(bits), Some(query)) => bits.scan(level, query, allowed, &mut cosines),
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
    let mut best = Best::new(count);
    for (block, scores) in scores.chunks(64).enumerate() {
        best.offer(scores, |at| Some(block * 64 + at));
    }
    best.sorted()
}

/// The best of many scores.
pub(super) struct Best {
    count: usize,
    kept: Vec<(usize, f32)>,
    least: f32,
}

impl Best {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            kept: Vec::with_capacity(4 * count),
            least: f32::NEG_INFINITY,
        }
    }

    /// Takes the scores of a block in, under the slots that `slot` names.
    pub(super) fn offer(&mut self, scores: &[f32], slot: impl Fn(usize) -> Option<usize>) {
        // Most blocks hold nothing good enough; the maximum tells so without a branch for each score.
        let most = scores
            .iter()
            .fold(f32::NEG_INFINITY, |most, score| most.max(*score));
        if most <= self.least || self.count == 0 {
            return;
        }
        let good = scores
            .iter()
            .enumerate()
            .filter(|(_, score)| **score > self.least);
        self.kept
            .extend(good.filter_map(|(at, score)| Some((slot(at)?, *score))));
        if self.kept.len() >= 4 * self.count {
            self.prune();
            let least = self.kept.iter().map(|(_, score)| *score);
            self.least = least.fold(f32::INFINITY, f32::min);
        }
    }

    fn prune(&mut self) {
        if self.kept.len() > self.count {
            self.kept.select_nth_unstable_by(self.count - 1, Self::order);
            self.kept.truncate(self.count);
        }
    }

    pub(super) fn sorted(mut self) -> Vec<(usize, f32)> {
        self.prune();
        self.kept.sort_unstable_by(Self::order);
        self.kept
    }

    fn order(a: &(usize, f32), b: &(usize, f32)) -> std::cmp::Ordering {
        b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
    }
}

#[cfg(test)]
mod tests;
