//! Products of many rows of bytes with many others, for the encoder. All levels give the same integers.

use super::Level;

/// Rows of weights that are read together, so that an input is loaded once for all of them.
const ROWS: usize = 4;

impl Level {
    /// The inner product of each of `inputs` with each of `weights`, both rows of `width` numbers one after the other:
    /// `out` gets, for each input, one number a weight row. Rows have at most 65,536 numbers.
    ///
    /// The weights are walked through once and the inputs as often as there are blocks of four rows; a few hundred
    /// inputs of a thousand bytes stay in the cache meanwhile.
    pub(crate) fn products(self, weights: &[i8], inputs: &[i8], width: usize, out: &mut [i32]) {
        assert!(width > 0 && width <= 1 << 16 && weights.len().is_multiple_of(width));
        let rows = weights.len() / width;
        assert!(inputs.len().is_multiple_of(width) && out.len() == rows * (inputs.len() / width));
        for (block, weights) in weights.chunks(ROWS * width).enumerate() {
            let at = block * ROWS;
            if weights.len() < ROWS * width {
                for (input, out) in inputs.chunks_exact(width).zip(out.chunks_exact_mut(rows)) {
                    for (row, out) in weights.chunks_exact(width).zip(&mut out[at..]) {
                        *out = self.dot(row, input);
                    }
                }
                continue;
            }
            self.block(weights, inputs, width, |token, sums| {
                out[token * rows + at..token * rows + at + ROWS].copy_from_slice(&sums);
            });
        }
    }

    /// Four rows with every input.
    fn block(self, weights: &[i8], inputs: &[i8], width: usize, mut put: impl FnMut(usize, [i32; ROWS])) {
        let rows: [&[i8]; ROWS] = std::array::from_fn(|row| &weights[row * width..(row + 1) * width]);
        let inputs = inputs.chunks_exact(width).enumerate();
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 if std::arch::is_x86_feature_detected!("avx512vnni") => {
                let sums = rows.map(|row| row.iter().map(|value| i32::from(*value)).sum::<i32>());
                // SAFETY: the level is only made where `available` found AVX-512 F and BW, and the guard found VNNI.
                inputs.for_each(|(at, input)| put(at, unsafe { x86::four_vnni(rows, sums, input) }));
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx2 => {
                // SAFETY: both levels are only made where `available` found AVX2, or AVX-512, which includes it.
                inputs.for_each(|(at, input)| put(at, unsafe { x86::four_avx2(rows, input) }));
            }
            _ => inputs.for_each(|(at, input)| put(at, rows.map(|row| self.dot(row, input)))),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::ROWS;

    /// `sums` are the sums of the rows: the instruction wants one side without signs, so 128 is added to each number of
    /// the input, and taken out again at the end.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn four_vnni(rows: [&[i8]; ROWS], sums: [i32; ROWS], input: &[i8]) -> [i32; ROWS] {
        const LANES: usize = 64;
        let whole = input.len() / LANES * LANES;
        assert!(rows.iter().all(|row| row.len() == input.len()));
        let shift = _mm512_set1_epi8(-128);
        let mut totals = [_mm512_setzero_si512(); ROWS];
        for at in (0..whole).step_by(LANES) {
            // SAFETY: at + 64 <= the length of the input.
            let numbers = unsafe { _mm512_loadu_si512(input.as_ptr().add(at).cast()) };
            let numbers = _mm512_xor_si512(numbers, shift);
            for (total, row) in totals.iter_mut().zip(rows) {
                // SAFETY: every row is as long as the input.
                let row = unsafe { _mm512_loadu_si512(row.as_ptr().add(at).cast()) };
                *total = _mm512_dpbusd_epi32(*total, numbers, row);
            }
        }
        std::array::from_fn(|at| {
            let rest = rows[at][whole..].iter().zip(&input[whole..]);
            let rest: i32 = rest.map(|(a, b)| i32::from(*a) * (i32::from(*b) + 128)).sum();
            _mm512_reduce_add_epi32(totals[at]) + rest - 128 * sums[at]
        })
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn four_avx2(rows: [&[i8]; ROWS], input: &[i8]) -> [i32; ROWS] {
        const LANES: usize = 16;
        let whole = input.len() / LANES * LANES;
        assert!(rows.iter().all(|row| row.len() == input.len()));
        let mut totals = [_mm256_setzero_si256(); ROWS];
        for at in (0..whole).step_by(LANES) {
            // SAFETY: at + 16 <= the length of the input.
            let numbers = unsafe { _mm_loadu_si128(input.as_ptr().add(at).cast()) };
            let numbers = _mm256_cvtepi8_epi16(numbers);
            for (total, row) in totals.iter_mut().zip(rows) {
                // SAFETY: every row is as long as the input.
                let row = unsafe { _mm_loadu_si128(row.as_ptr().add(at).cast()) };
                let products = _mm256_madd_epi16(numbers, _mm256_cvtepi8_epi16(row));
                *total = _mm256_add_epi32(*total, products);
            }
        }
        std::array::from_fn(|at| {
            let mut lanes = [0i32; 8];
            // SAFETY: `lanes` is 32 bytes.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), totals[at]) };
            let rest = rows[at][whole..].iter().zip(&input[whole..]);
            lanes.iter().sum::<i32>() + rest.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn extremes_do_not_overflow() {
        for level in Level::available() {
            let mut out = vec![0; 5];
            level.products(&[-128; 5 * 1536], &[-128; 1536], 1536, &mut out);
            assert_eq!(out, [1536 << 14; 5], "{level}");
            level.products(&[127; 5 * 1536], &[-128; 1536], 1536, &mut out);
            assert_eq!(out, [-1536 * 127 * 128; 5], "{level}");
        }
    }

    proptest! {
        #[test]
        fn every_level_multiplies_as_one_by_one(
            rows in 1usize..11, inputs in 0usize..5, width in 1usize..200, seed in any::<u64>()
        ) {
            let mut state = seed;
            let mut numbers = |count: usize| -> Vec<i8> {
                (0..count)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        (state >> 56) as i8
                    })
                    .collect()
            };
            let (weights, given) = (numbers(rows * width), numbers(inputs * width));
            let dot = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>();
            let expected: Vec<i32> = given
                .chunks_exact(width)
                .flat_map(|input| weights.chunks_exact(width).map(move |row| dot(row, input)))
                .collect();
            for level in Level::available() {
                let mut out = vec![7; rows * inputs];
                level.products(&weights, &given, width, &mut out);
                prop_assert_eq!(&out, &expected, "{}", level);
            }
        }
    }
}
