//! The two ways in which vectors are kept in memory.

use super::bits::{BitQuery, Encoder, Factors};
use super::index::{Best, Slots};
use super::lists::{BLOCK, Lists};
use super::raw::{Level, Pages};
use crate::embed::in_parallel;

/// Codes whose estimates are computed together; a multiple of 64.
const AT_ONCE: usize = 1024;

/// Codes from which on several threads find their lists.
const MANY: usize = 10_000;

/// One signed byte per dimension: exact enough to be the last word, six times as large as bits and factors.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    /// Zero for a chunk without a vector.
    pub(super) scales: Pages<f32>,
    pub(super) values: Pages<i8>,
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

/// One bit per dimension and three factors, slot by slot, or list by list once there are lists.
#[derive(Debug)]
pub(crate) struct Bits {
    pub(crate) encoder: Encoder,
    bits: Pages<u64>,
    scales: Pages<f32>,
    ones: Pages<f32>,
    bases: Pages<f32>,
    pub(super) lists: Option<Box<Lists>>,
}

impl Bits {
    pub(crate) fn new(mean: Vec<f32>) -> Self {
        Self {
            encoder: Encoder::new(mean),
            bits: Pages::new(),
            scales: Pages::new(),
            ones: Pages::new(),
            bases: Pages::new(),
            lists: None,
        }
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        self.bits.reserve(more * self.encoder.words());
        self.scales.reserve(more);
        self.ones.reserve(more);
        self.bases.reserve(more);
    }

    /// How many slots there are.
    pub(super) fn count(&self) -> usize {
        self.lists
            .as_ref()
            .map_or(self.scales.len(), |lists| lists.positions.len())
    }

    pub(crate) fn push(&mut self, bits: &[u64], factors: Factors) {
        let list = self
            .lists
            .as_ref()
            .map(|lists| lists.list_of(Level::best(), bits));
        self.push_into(list, bits, factors);
    }

    fn push_into(&mut self, list: Option<usize>, bits: &[u64], factors: Factors) {
        let Some((lists, list)) = self.lists.as_mut().zip(list) else {
            self.append(bits, factors);
            return;
        };
        let (position, new) = lists.place(list);
        if new {
            let nothing = vec![0; bits.len()];
            (0..BLOCK).for_each(|_| self.append(&nothing, Factors::NONE));
        }
        self.put(position, bits, factors);
    }

    fn append(&mut self, bits: &[u64], factors: Factors) {
        self.bits.extend_from_slice(bits);
        self.scales.push(factors.scale);
        self.ones.push(factors.ones);
        self.bases.push(factors.base);
    }

    fn put(&mut self, position: usize, bits: &[u64], factors: Factors) {
        let words = self.encoder.words();
        self.bits[position * words..(position + 1) * words].copy_from_slice(bits);
        (self.scales[position], self.ones[position]) = (factors.scale, factors.ones);
        self.bases[position] = factors.base;
    }

    fn position(&self, slot: usize) -> usize {
        self.lists
            .as_ref()
            .map_or(slot, |lists| lists.positions[slot] as usize)
    }

    pub(crate) fn row(&self, slot: usize) -> (&[u64], Factors) {
        let (words, at) = (self.encoder.words(), self.position(slot));
        let factors = Factors {
            scale: self.scales[at],
            ones: self.ones[at],
            base: self.bases[at],
        };
        (&self.bits[at * words..(at + 1) * words], factors)
    }

    pub(super) fn wipe(&mut self, slot: usize) {
        let nothing = vec![0; self.encoder.words()];
        self.put(self.position(slot), &nothing, Factors::NONE);
    }

    /// Puts all codes into lists, by centres computed anew.
    pub(super) fn group(&mut self) {
        let count = self.count();
        let lists = Lists::new(Level::best(), count, |slot| self.row(slot).0);
        let slots: Vec<usize> = (0..count).collect();
        let list_of = in_parallel(&slots, MANY, |slot| {
            lists.list_of(Level::best(), self.row(*slot).0)
        });
        let mut grouped = Self::new(self.encoder.mean().to_vec());
        // Half a block more for each list.
        grouped.reserve(count + lists.count() * BLOCK / 2);
        grouped.lists = Some(Box::new(lists));
        for (slot, list) in list_of.into_iter().enumerate() {
            let (bits, factors) = self.row(slot);
            grouped.push_into(Some(list), bits, factors);
        }
        *self = grouped;
    }

    /// Estimates the cosines of the slots that are allowed.
    pub(super) fn scan(&self, level: Level, query: &BitQuery, allowed: &Slots, cosines: &mut [f32]) {
        match &self.lists {
            None => self.scan_all(level, query, allowed, cosines),
            Some(_) => {
                let count = cosines.len();
                for slot in allowed.iter().take_while(|slot| *slot < count) {
                    cosines[slot] = self.estimate(level, query, slot);
                }
            }
        }
    }

    /// The best of the slots that are allowed, by their estimates, from the lists nearest to the query, which hold
    /// `share` of all vectors; `None` without lists.
    pub(super) fn nearest(
        &self,
        level: Level,
        query: &BitQuery,
        allowed: &Slots,
        share: f32,
        count: usize,
    ) -> Option<Vec<(usize, f32)>> {
        let lists = self.lists.as_ref()?;
        let mut best = Best::new(count);
        if allowed.count() as f32 <= share * self.count() as f32 / 2.0 {
            // So few are compared one by one: their lists would hold mostly others.
            for slot in allowed.iter() {
                best.offer(&[self.estimate(level, query, slot)], |_| Some(slot));
            }
            return Some(best.sorted());
        }
        let wanted = (self.count() as f32 * share).ceil() as usize;
        let mut estimates = [0.0; BLOCK];
        for block in lists.probed(level, query.direction.as_ref(), wanted) {
            let first = block * BLOCK;
            self.estimate_range(level, query, first, &mut estimates);
            let slots = &lists.slots[first..first + BLOCK];
            best.offer(&estimates, |at| {
                Some(slots[at] as usize).filter(|slot| allowed.contains(*slot))
            });
        }
        Some(best.sorted())
    }

    fn scan_all(&self, level: Level, query: &BitQuery, allowed: &Slots, cosines: &mut [f32]) {
        let mut estimates = [0.0; AT_ONCE];
        for (block, cosines) in cosines.chunks_mut(AT_ONCE).enumerate() {
            let first = block * AT_ONCE;
            if !allowed.any(first, cosines.len()) {
                continue;
            }
            let estimates = &mut estimates[..cosines.len()];
            self.estimate_range(level, query, first, estimates);
            for (at, (cosines, estimates)) in cosines.chunks_mut(64).zip(estimates.chunks(64)).enumerate() {
                match allowed.word(first / 64 + at) {
                    u64::MAX => cosines.copy_from_slice(&estimates[..cosines.len()]),
                    word => {
                        for (bit, (cosine, estimate)) in cosines.iter_mut().zip(estimates).enumerate() {
                            if word >> bit & 1 == 1 {
                                *cosine = *estimate;
                            }
                        }
                    }
                }
            }
        }
    }

    /// The estimates of codes side by side.
    fn estimate_range(&self, level: Level, query: &BitQuery, first: usize, estimates: &mut [f32]) {
        let words = self.encoder.words();
        let range = first..first + estimates.len();
        let mut sums = [0u32; AT_ONCE];
        let sums = &mut sums[..estimates.len()];
        level.bit_sums(
            &self.bits[range.start * words..range.end * words],
            &query.planes,
            words,
            sums,
        );
        let factors = self.scales[range.clone()]
            .iter()
            .zip(&self.ones[range.clone()])
            .zip(&self.bases[range]);
        for ((estimate, sum), ((scale, ones), base)) in estimates.iter_mut().zip(sums.iter()).zip(factors) {
            *estimate = query.estimate(*sum, *scale, *ones, *base);
        }
    }

    fn estimate(&self, level: Level, query: &BitQuery, slot: usize) -> f32 {
        let mut estimate = [0.0];
        self.estimate_range(level, query, self.position(slot), &mut estimate);
        estimate[0]
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
