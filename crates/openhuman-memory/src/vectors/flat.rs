//! The index by itself, for programs that have vectors and nothing else.

use super::code::{self, Code};
use super::index::{Slots, Tier, Vectors};
use super::raw::{Level, Pages};

/// Vectors in memory and the nearest of them to a query: one bit per dimension is compared for all of them, one byte
/// per dimension for the best. The memory is left out of core dumps and overwritten before it is given back.
///
/// ```
/// use openhuman_memory::VectorIndex;
///
/// let mut index = VectorIndex::new(vec![0.0; 3]);
/// index.add(10, &[1.0, 0.0, 0.0]);
/// index.add(11, &[0.0, 1.0, 0.0]);
/// assert_eq!(index.nearest(&[0.9, 0.1, 0.0], 1, 150)[0].0, 10);
/// index.remove(10);
/// assert_eq!(index.nearest(&[0.9, 0.1, 0.0], 1, 150)[0].0, 11);
/// ```
#[derive(Debug)]
pub struct VectorIndex {
    ids: Vec<i64>,
    live: Slots,
    bits: Vectors,
    /// Stored codes, one after the other.
    blobs: Pages<u8>,
    blob: usize,
}

impl VectorIndex {
    /// An empty index. `mean` is the mean of the vectors that will come, or of a sample of them, or zeros; its length
    /// is their number of dimensions. The better the mean, the better the estimates.
    pub fn new(mean: Vec<f32>) -> Self {
        Self {
            ids: Vec::new(),
            live: Slots::default(),
            bits: Vectors::coded(mean),
            blobs: Pages::new(),
            blob: 0,
        }
    }

    /// Adds a vector, whose length does not matter, under an identifier above all earlier ones. The cost does not
    /// depend on how many there are, but for the making of lists, see [`set_lists`](Self::set_lists). Returns `false` and adds nothing for an identifier out of order, another number
    /// of dimensions, or a vector without a direction.
    pub fn add(&mut self, id: i64, vector: &[f32]) -> bool {
        let dimensions = self.bits.dimensions();
        if vector.len() != dimensions || self.ids.last().is_some_and(|last| *last >= id) {
            return false;
        }
        let Some(code) = Code::new(vector) else {
            return false;
        };
        self.live.insert(self.ids.len());
        self.ids.push(id);
        let blob = Code::to_blob(Some(&code));
        self.blob = blob.len();
        self.blobs.extend_from_slice(&blob);
        self.bits.push(Some(&code));
        self.bits.group_if_large();
        true
    }

    /// Removes a vector. Returns whether it was there.
    pub fn remove(&mut self, id: i64) -> bool {
        match self.ids.binary_search(&id) {
            Ok(slot) if self.live.contains(slot) => {
                self.live.remove(slot);
                self.bits.wipe(slot);
                self.blobs[slot * self.blob..(slot + 1) * self.blob].fill(0);
                true
            }
            _ => false,
        }
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.live.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The nearest vectors with their cosines, the nearest first. All are estimated, and the best `candidates` of
    /// them compared exactly.
    pub fn nearest(&self, query: &[f32], count: usize, candidates: usize) -> Vec<(i64, f32)> {
        let Some(query) = self.bits.query(query) else {
            return Vec::new();
        };
        let mut nearest: Vec<(i64, f32)> = self
            .bits
            .nearest(&query, &self.live, self.ids.len(), candidates.max(count))
            .into_iter()
            .filter_map(|(slot, _)| {
                let blob = &self.blobs[slot * self.blob..(slot + 1) * self.blob];
                let parts = code::parts(blob, self.bits.dimensions()).ok()??;
                Some((self.ids[slot], query.rescore(&parts)))
            })
            .collect();
        nearest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        nearest.truncate(count);
        nearest
    }

    /// Keeps bits in lists of vectors near each other once there are `from` vectors, and lets a query look at the nearest
    /// lists only, until they hold the share `probed` of all vectors. By default there are no lists, and nothing is missed.
    ///
    /// Measure it on vectors of yours: those of single lines of text lose 2 of 100 with 0.4 and 11 with 0.125, and a million
    /// of 1536 dimensions take 19 milliseconds with 0.5, more than the 12 without lists, because memory is not read in one
    /// go. Lists are made when there are enough vectors, and anew when their number has doubled: nine seconds for that
    /// million.
    pub fn set_lists(&mut self, from: usize, probed: f32) {
        self.bits.set_lists(from, probed);
        self.bits.group_if_large();
    }

    /// The number of lists; 0 when every query looks at every vector.
    pub fn lists(&self) -> usize {
        self.bits.lists()
    }

    /// The instructions that the comparison uses on this processor.
    pub fn instructions() -> String {
        Level::best().to_string()
    }

    /// Bytes of memory per vector that every query reads.
    pub fn scanned_bytes(&self) -> usize {
        match &self.bits.tier {
            Tier::Coded(bits) => 8 * bits.encoder.words() + 12,
            Tier::Exact(_) => self.bits.dimensions() + 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a few blobs, so that the nearest ones are near.
    fn vector(seed: u64) -> Vec<f32> {
        around(seed, 2.0)
    }

    /// The same, closer to the middle of its blob for a higher `weight`.
    fn around(seed: u64, weight: f32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut number = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let noise: Vec<f32> = (0..128).map(|_| number()).collect();
        let blob = seed % 40;
        (0..128)
            .map(|at| noise[at] + weight * (((at as u64 * 7 + blob * 13) % 17) as f32 / 17.0 - 0.5))
            .collect()
    }

    /// The same index, with and without lists.
    #[test]
    fn lists_lose_next_to_nothing() {
        let (mut all, mut listed) = (VectorIndex::new(vec![0.0; 128]), VectorIndex::new(vec![0.0; 128]));
        listed.set_lists(3000, 0.5);
        for id in 0..8000 {
            assert!(all.add(id, &around(id as u64, 4.0)) && listed.add(id, &around(id as u64, 4.0)));
            // Made at 3,000, and anew at 6,000.
            assert_eq!(listed.lists() > 0, id >= 2999, "{id}");
        }
        assert!(
            (100..400).contains(&listed.lists()) && all.lists() == 0,
            "{}",
            listed.lists()
        );
        for id in (0..8000).step_by(5) {
            assert!(all.remove(id) && listed.remove(id));
        }
        let (mut found, mut few) = (0, 0);
        let ids = |near: Vec<(i64, f32)>| near.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        for query in 0..100 {
            let target = around(10_000 + query, 4.0);
            let expected = ids(all.nearest(&target, 10, 150));
            let near = ids(listed.nearest(&target, 10, 150));
            assert!(near.iter().all(|id| id % 5 != 0), "what was removed is not found");
            found += near.iter().filter(|id| expected.contains(id)).count();
            // Hardly any lists are not enough: the comparison can fail.
            listed.set_lists(3000, 0.005);
            few += ids(listed.nearest(&target, 10, 150))
                .iter()
                .filter(|id| expected.contains(id))
                .count();
            listed.set_lists(3000, 1.0);
            assert_eq!(listed.nearest(&target, 10, 150), all.nearest(&target, 10, 150));
            listed.set_lists(3000, 0.5);
        }
        assert!(found >= 990 && few < 990, "{found} and {few} of 1000");
    }

    #[test]
    fn the_nearest_are_found() {
        let mut index = VectorIndex::new(vec![0.0; 128]);
        for id in 0..2000 {
            assert!(index.add(id, &vector(id as u64)));
        }
        assert!(!index.add(1999, &vector(1)) && !index.add(3000, &[0.0; 128]) && !index.add(3000, &[1.0]));
        let mut found = 0;
        for query in 0..50 {
            let target = vector(10_000 + query);
            let exact: Vec<i64> = index
                .nearest(&target, 10, 2000)
                .into_iter()
                .map(|(id, _)| id)
                .collect();
            let near = index.nearest(&target, 10, 150);
            found += near.iter().filter(|(id, _)| exact.contains(id)).count();
        }
        assert!(found >= 485, "{found} of 500");
        assert!(index.remove(7) && !index.remove(7) && !index.remove(-1));
        assert_eq!(index.len(), 1999);
        assert!(index.nearest(&vector(7), 5, 150).iter().all(|(id, _)| *id != 7));
        assert!(index.nearest(&[1.0], 5, 150).is_empty());
    }
}
