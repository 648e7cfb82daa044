//! Vectors as one bit per dimension, after RaBitQ (Gao and Long, 2024): enough to find the nearest few hundred, which
//! are then compared by their bytes.
//!
//! The mean of the vectors is subtracted and the rest is rotated at random, so that no dimension matters more than
//! another; the code is the sign of each number. A query keeps four bits per dimension. From the bits that the two
//! share follows an estimate of the cosine without bias.

use super::code::Code;

/// Rounds of sign changes and transforms. Part of the format of stored codes, as is the seed.
const ROUNDS: usize = 4;
const SEED: u64 = 0x6F70_656E_6875_6D61;

const WORD: usize = 64;

/// A random rotation that costs n log n.
#[derive(Debug)]
struct Rotation {
    /// A multiple of 64, at least the number of dimensions.
    padded: usize,
    /// For each round and dimension the bit that changes its sign, as the sign bit of an f32.
    signs: Vec<u32>,
}

impl Rotation {
    fn new(dimensions: usize) -> Self {
        let padded = dimensions.next_multiple_of(WORD);
        let mut state = SEED;
        let signs = (0..ROUNDS * padded / WORD).flat_map(|_| {
            let word = split_mix(&mut state);
            (0..WORD).map(move |bit| ((word >> bit & 1) as u32) << 31)
        });
        Self {
            padded,
            signs: signs.collect(),
        }
    }

    /// Rotates in place; `vector` has the padded length.
    fn apply(&self, vector: &mut [f32]) {
        let block = 1 << self.padded.ilog2();
        for (round, signs) in self.signs.chunks_exact(self.padded).enumerate() {
            for (number, sign) in vector.iter_mut().zip(signs) {
                *number = f32::from_bits(number.to_bits() ^ sign);
            }
            // The block of a power of two covers the front and the back in turns.
            let start = if round % 2 == 0 { 0 } else { self.padded - block };
            hadamard(&mut vector[start..start + block]);
            if block != self.padded {
                let (front, back) = vector.split_at_mut(self.padded / 2);
                for (a, b) in front.iter_mut().zip(back) {
                    (*a, *b) = (
                        (*a + *b) * std::f32::consts::FRAC_1_SQRT_2,
                        (*a - *b) * std::f32::consts::FRAC_1_SQRT_2,
                    );
                }
            }
        }
    }
}

/// The Walsh-Hadamard transform of a power of two of numbers, scaled to keep lengths.
fn hadamard(vector: &mut [f32]) {
    let mut width = 1;
    while width < vector.len() {
        for pair in vector.chunks_exact_mut(2 * width) {
            let (front, back) = pair.split_at_mut(width);
            for (a, b) in front.iter_mut().zip(back) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        width *= 2;
    }
    let scale = 1.0 / (vector.len() as f32).sqrt();
    vector.iter_mut().for_each(|number| *number *= scale);
}

pub(super) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// What an estimate needs besides the bits of a vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factors {
    /// Turns the sum over the bits into a part of the cosine.
    pub(crate) scale: f32,
    /// The number of set bits.
    pub(crate) ones: f32,
    /// The inner product with the mean. Minus infinity for a chunk without a vector.
    pub(crate) base: f32,
}

impl Factors {
    /// Of a chunk without a vector: it is never among the nearest.
    pub(crate) const NONE: Self = Self {
        scale: 0.0,
        ones: 0.0,
        base: f32::NEG_INFINITY,
    };
}

/// Makes codes of vectors and of queries, around one mean.
#[derive(Debug)]
pub(crate) struct Encoder {
    rotation: Rotation,
    mean: Vec<f32>,
}

impl Encoder {
    pub(crate) fn new(mean: Vec<f32>) -> Self {
        Self {
            rotation: Rotation::new(mean.len()),
            mean,
        }
    }

    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Words of 64 bits per code.
    pub(crate) fn words(&self) -> usize {
        self.rotation.padded / WORD
    }

    /// Appends the bits of a vector to `bits` and returns its factors.
    pub(crate) fn encode(&self, code: Option<&Code>, bits: &mut Vec<u64>) -> Factors {
        let Some(code) = code.filter(|code| code.values.len() == self.mean.len()) else {
            bits.resize(bits.len() + self.words(), 0);
            return Factors::NONE;
        };
        let rest = self.rotated(code.numbers());
        let (mut squares, mut absolutes, mut ones) = (0.0f32, 0.0f32, 0);
        for numbers in rest.chunks_exact(WORD) {
            let mut word = 0;
            for (bit, number) in numbers.iter().enumerate() {
                squares += number * number;
                absolutes += number.abs();
                word |= u64::from(*number >= 0.0) << bit;
            }
            ones += word.count_ones();
            bits.push(word);
        }
        let base = code.numbers().zip(&self.mean).map(|(a, b)| a * b).sum();
        Factors {
            scale: if absolutes > 0.0 { squares / absolutes } else { 0.0 },
            ones: ones as f32,
            base,
        }
    }

    /// The code of a query.
    pub(crate) fn query(&self, code: &Code) -> BitQuery {
        let rotated = self.rotated(code.numbers());
        let (low, high) = rotated
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &number| {
                (low.min(number), high.max(number))
            });
        let step = ((high - low) / 15.0).max(f32::MIN_POSITIVE);
        let words = self.words();
        let mut planes = vec![0u64; 4 * words];
        let mut total = 0u32;
        for (at, number) in rotated.iter().enumerate() {
            let level = (((number - low) / step).round() as u32).min(15);
            total += level;
            for plane in 0..4 {
                planes[plane * words + at / WORD] |= u64::from(level >> plane & 1) << (at % WORD);
            }
        }
        let dot = |a: &mut dyn Iterator<Item = f32>| a.zip(&self.mean).map(|(a, b)| a * b).sum::<f32>();
        BitQuery {
            planes,
            low,
            step,
            sum: low * self.rotation.padded as f32 + step * total as f32,
            base: dot(&mut code.numbers()) - dot(&mut self.mean.iter().copied()),
            direction: Code::new(&rotated),
        }
    }

    fn rotated(&self, numbers: impl Iterator<Item = f32>) -> Vec<f32> {
        let mut rest: Vec<f32> = numbers
            .zip(&self.mean)
            .map(|(number, mean)| number - mean)
            .collect();
        rest.resize(self.rotation.padded, 0.0);
        self.rotation.apply(&mut rest);
        rest
    }
}

/// A query with four bits per dimension.
#[derive(Debug)]
pub(crate) struct BitQuery {
    /// Four planes of bits, the lowest first.
    pub(crate) planes: Vec<u64>,
    low: f32,
    step: f32,
    sum: f32,
    base: f32,
    /// Where the query lies from the mean, rotated; `None` when it is the mean.
    pub(crate) direction: Option<Code>,
}

impl BitQuery {
    /// The estimated cosine for a sum over shared bits, see `Level::bit_sums`.
    #[inline]
    pub(crate) fn estimate(&self, shared: u32, scale: f32, ones: f32, base: f32) -> f32 {
        scale * (2.0 * (self.low * ones + self.step * shared as f32) - self.sum) + base + self.base
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::raw::Level;
    use super::*;

    fn random(dimensions: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut uniform = || (split_mix(&mut state) >> 40) as f32 / (1 << 24) as f32;
        (0..dimensions)
            .map(|_| (0..6).map(|_| uniform()).sum::<f32>() - 3.0)
            .collect()
    }

    fn norm(vector: &[f32]) -> f32 {
        vector.iter().map(|number| number * number).sum::<f32>().sqrt()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_rotation_keeps_lengths_and_angles(dimensions in 1usize..700, seed in any::<u64>()) {
            let rotation = Rotation::new(dimensions);
            let padded = |seed| {
                let mut vector = random(dimensions, seed);
                vector.resize(rotation.padded, 0.0);
                vector
            };
            let (a, b) = (padded(seed), padded(!seed));
            let (mut ra, mut rb) = (a.clone(), b.clone());
            rotation.apply(&mut ra);
            rotation.apply(&mut rb);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            prop_assert!((norm(&ra) - norm(&a)).abs() < 1e-3 * norm(&a).max(1.0));
            prop_assert!((dot(&ra, &rb) - dot(&a, &b)).abs() < 1e-3 * (norm(&a) * norm(&b)).max(1.0));
        }
    }

    #[test]
    fn estimates_are_close_and_without_bias() {
        for dimensions in [256, 384] {
            let mean: Vec<f32> = random(dimensions, 1).iter().map(|number| number * 0.01).collect();
            let encoder = Encoder::new(mean);
            let target = Code::new(&random(dimensions, 2)).unwrap();
            let query = encoder.query(&target);
            let (mut errors, mut squares) = (0.0f64, 0.0f64);
            for seed in 0..100u64 {
                // From unrelated to nearly equal.
                let share = seed as f32 / 100.0;
                let mixed: Vec<f32> = random(dimensions, seed + 10)
                    .iter()
                    .zip(target.numbers())
                    .map(|(noise, number)| {
                        noise * (1.0 - share) + number * norm(&random(dimensions, 2)) * share
                    })
                    .collect();
                let code = Code::new(&mixed).unwrap();
                let mut bits = Vec::new();
                let factors = encoder.encode(Some(&code), &mut bits);
                let mut sums = [0];
                Level::best().bit_sums(&bits, &query.planes, encoder.words(), &mut sums);
                let estimate = query.estimate(sums[0], factors.scale, factors.ones, factors.base);
                let error = f64::from(estimate - target.cosine(&code));
                errors += error;
                squares += error * error;
            }
            let deviation = (squares / 100.0).sqrt();
            assert!(
                deviation < 1.0 / (dimensions as f64).sqrt(),
                "{dimensions}: {deviation}"
            );
            assert!(
                (errors / 100.0).abs() < 0.4 * deviation + 0.005,
                "{dimensions}: {}",
                errors / 100.0
            );
        }
    }

    #[test]
    fn a_chunk_without_a_vector_is_infinitely_far() {
        let encoder = Encoder::new(vec![0.0; 100]);
        let mut bits = Vec::new();
        assert_eq!(encoder.encode(None, &mut bits), Factors::NONE);
        assert_eq!((bits.len(), encoder.words()), (2, 2));
        let query = encoder.query(&Code::new(&[1.0; 100]).unwrap());
        assert_eq!(query.estimate(0, 0.0, 0.0, f32::NEG_INFINITY), f32::NEG_INFINITY);
    }
}
