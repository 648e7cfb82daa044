//! Two loops over many numbers, each written for several kinds of processors. All give the same integers.

use std::fmt;
use std::sync::OnceLock;

/// The planes of a query: its values have four bits.
const PLANES: usize = 4;

/// Which instructions the loops use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Any processor.
    Scalar,
    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-512 F, BW and VPOPCNTDQ.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// ARM with NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// The best that this processor has.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().last().copied().unwrap_or(Self::Scalar))
    }

    /// All that this processor has, the best last.
    pub(crate) fn available() -> Vec<Self> {
        #[cfg_attr(
            not(any(target_arch = "x86_64", target_arch = "aarch64")),
            expect(unused_mut, reason = "only these processors add a level")
        )]
        let mut levels = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") {
                levels.push(Self::Avx2);
            }
            if std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vpopcntdq")
            {
                levels.push(Self::Avx512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            levels.push(Self::Neon);
        }
        levels
    }

    /// For each code of `words` words: the sum of `2^k` times the number of bits that it shares with plane `k`.
    /// `codes` holds one code for each element of `sums`; `planes` holds four planes one after the other.
    pub(crate) fn bit_sums(self, codes: &[u64], planes: &[u64], words: usize, sums: &mut [u32]) {
        assert!(words > 0 && planes.len() == PLANES * words && codes.len() == words * sums.len());
        match self {
            Self::Scalar => scalar::bit_sums(codes, planes, words, sums),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is only made where `available` found the features.
            Self::Avx2 => unsafe { x86::bit_sums_avx2(codes, planes, words, sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 => unsafe { x86::bit_sums_avx512(codes, planes, words, sums) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Self::Neon => unsafe { arm::bit_sums(codes, planes, words, sums) },
        }
    }

    /// The inner product of two vectors of equal length, at most 65,536 numbers.
    pub(crate) fn dot(self, a: &[i8], b: &[i8]) -> i32 {
        assert!(a.len() == b.len() && a.len() <= 1 << 16);
        match self {
            Self::Scalar => scalar::dot(a, b),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is only made where `available` found the features.
            Self::Avx2 => unsafe { x86::dot_avx2(a, b) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 => unsafe { x86::dot_avx512(a, b) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Self::Neon => unsafe { arm::dot(a, b) },
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512 VPOPCNTDQ",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "NEON",
        })
    }
}

mod scalar {
    pub(super) fn bit_sums(codes: &[u64], planes: &[u64], words: usize, sums: &mut [u32]) {
        for (code, sum) in codes.chunks_exact(words).zip(sums) {
            *sum = planes
                .chunks_exact(words)
                .zip(0..)
                .map(|(plane, bit)| shared(code, plane) << bit)
                .sum();
        }
    }

    fn shared(a: &[u64], b: &[u64]) -> u32 {
        a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum()
    }

    pub(super) fn dot(a: &[i8], b: &[i8]) -> i32 {
        a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::scalar;

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    pub(super) fn bit_sums_avx512(codes: &[u64], planes: &[u64], words: usize, sums: &mut [u32]) {
        const LANES: usize = 8;
        let whole = words / LANES * LANES;
        let rest: __mmask8 = (1 << (words % LANES)) - 1;
        for (code, sum) in codes.chunks_exact(words).zip(sums) {
            let mut counts = [_mm512_setzero_si512(); 4];
            for at in (0..whole).step_by(LANES) {
                // SAFETY: at + 8 <= words, the length of the code.
                let bits = unsafe { _mm512_loadu_si512(code.as_ptr().add(at).cast()) };
                for (plane, count) in counts.iter_mut().enumerate() {
                    // SAFETY: at + 8 <= words, and `planes` holds four times `words` words.
                    let plane = unsafe { _mm512_loadu_si512(planes.as_ptr().add(plane * words + at).cast()) };
                    *count = _mm512_add_epi64(*count, _mm512_popcnt_epi64(_mm512_and_si512(bits, plane)));
                }
            }
            if rest != 0 {
                // SAFETY: the mask admits the words from `whole` to `words` and nothing behind them.
                let bits = unsafe { _mm512_maskz_loadu_epi64(rest, code.as_ptr().add(whole).cast()) };
                for (plane, count) in counts.iter_mut().enumerate() {
                    let start = plane * words + whole;
                    // SAFETY: as above, inside plane number `plane`.
                    let plane = unsafe { _mm512_maskz_loadu_epi64(rest, planes.as_ptr().add(start).cast()) };
                    *count = _mm512_add_epi64(*count, _mm512_popcnt_epi64(_mm512_and_si512(bits, plane)));
                }
            }
            let low = _mm512_add_epi64(counts[0], _mm512_slli_epi64::<1>(counts[1]));
            let high = _mm512_add_epi64(counts[2], _mm512_slli_epi64::<1>(counts[3]));
            let all = _mm512_add_epi64(low, _mm512_slli_epi64::<2>(high));
            *sum = _mm512_reduce_add_epi64(all) as u32;
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn bit_sums_avx2(codes: &[u64], planes: &[u64], words: usize, sums: &mut [u32]) {
        const LANES: usize = 4;
        let whole = words / LANES * LANES;
        for (code, sum) in codes.chunks_exact(words).zip(sums) {
            let mut counts = [_mm256_setzero_si256(); 4];
            for at in (0..whole).step_by(LANES) {
                // SAFETY: at + 4 <= words, the length of the code.
                let bits = unsafe { _mm256_loadu_si256(code.as_ptr().add(at).cast()) };
                for (plane, count) in counts.iter_mut().enumerate() {
                    // SAFETY: at + 4 <= words, and `planes` holds four times `words` words.
                    let plane = unsafe { _mm256_loadu_si256(planes.as_ptr().add(plane * words + at).cast()) };
                    *count = _mm256_add_epi64(*count, count_bits(_mm256_and_si256(bits, plane)));
                }
            }
            let low = _mm256_add_epi64(counts[0], _mm256_slli_epi64::<1>(counts[1]));
            let high = _mm256_add_epi64(counts[2], _mm256_slli_epi64::<1>(counts[3]));
            let all = _mm256_add_epi64(low, _mm256_slli_epi64::<2>(high));
            let mut lanes = [0u64; LANES];
            // SAFETY: `lanes` is 32 bytes.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), all) };
            *sum = lanes.iter().sum::<u64>() as u32;
            for at in whole..words {
                for plane in 0..4 {
                    *sum += (code[at] & planes[plane * words + at]).count_ones() << plane;
                }
            }
        }
    }

    /// The number of set bits of each 64-bit lane, by looking up half bytes.
    #[target_feature(enable = "avx2")]
    fn count_bits(bits: __m256i) -> __m256i {
        let table = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let half = _mm256_set1_epi8(0x0F);
        let low = _mm256_shuffle_epi8(table, _mm256_and_si256(bits, half));
        let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(bits), half));
        _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256())
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn dot_avx512(a: &[i8], b: &[i8]) -> i32 {
        let (a, a_rest) = a.as_chunks::<32>();
        let (b, b_rest) = b.as_chunks::<32>();
        let mut sum = _mm512_setzero_si512();
        for (a, b) in a.iter().zip(b) {
            // SAFETY: both chunks are 32 bytes.
            let (a, b) = unsafe {
                (
                    _mm256_loadu_si256(a.as_ptr().cast()),
                    _mm256_loadu_si256(b.as_ptr().cast()),
                )
            };
            let products = _mm512_madd_epi16(_mm512_cvtepi8_epi16(a), _mm512_cvtepi8_epi16(b));
            sum = _mm512_add_epi32(sum, products);
        }
        _mm512_reduce_add_epi32(sum) + scalar::dot(a_rest, b_rest)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn dot_avx2(a: &[i8], b: &[i8]) -> i32 {
        let (a, a_rest) = a.as_chunks::<16>();
        let (b, b_rest) = b.as_chunks::<16>();
        let mut sum = _mm256_setzero_si256();
        for (a, b) in a.iter().zip(b) {
            // SAFETY: both chunks are 16 bytes.
            let (a, b) = unsafe {
                (
                    _mm_loadu_si128(a.as_ptr().cast()),
                    _mm_loadu_si128(b.as_ptr().cast()),
                )
            };
            let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(a), _mm256_cvtepi8_epi16(b));
            sum = _mm256_add_epi32(sum, products);
        }
        let mut lanes = [0i32; 8];
        // SAFETY: `lanes` is 32 bytes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
        lanes.iter().sum::<i32>() + scalar::dot(a_rest, b_rest)
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::scalar;

    #[target_feature(enable = "neon")]
    pub(super) fn bit_sums(codes: &[u64], planes: &[u64], words: usize, sums: &mut [u32]) {
        const LANES: usize = 2;
        let whole = words / LANES * LANES;
        for (code, sum) in codes.chunks_exact(words).zip(sums) {
            let mut counts = [vdupq_n_u32(0); 4];
            for at in (0..whole).step_by(LANES) {
                // SAFETY: at + 2 <= words, the length of the code.
                let bits = unsafe { vld1q_u64(code.as_ptr().add(at)) };
                for (plane, count) in counts.iter_mut().enumerate() {
                    // SAFETY: at + 2 <= words, and `planes` holds four times `words` words.
                    let plane = unsafe { vld1q_u64(planes.as_ptr().add(plane * words + at)) };
                    let ones = vcntq_u8(vreinterpretq_u8_u64(vandq_u64(bits, plane)));
                    *count = vpadalq_u16(*count, vpaddlq_u8(ones));
                }
            }
            *sum = 0;
            for (bit, count) in counts.iter().enumerate() {
                *sum += vaddvq_u32(*count) << bit;
            }
            for at in whole..words {
                for plane in 0..4 {
                    *sum += (code[at] & planes[plane * words + at]).count_ones() << plane;
                }
            }
        }
    }

    #[target_feature(enable = "neon")]
    pub(super) fn dot(a: &[i8], b: &[i8]) -> i32 {
        let (a, a_rest) = a.as_chunks::<16>();
        let (b, b_rest) = b.as_chunks::<16>();
        let mut sum = vdupq_n_s32(0);
        for (a, b) in a.iter().zip(b) {
            // SAFETY: both chunks are 16 bytes.
            let (a, b) = unsafe { (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr())) };
            sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
            sum = vpadalq_s16(sum, vmull_high_s8(a, b));
        }
        vaddvq_s32(sum) + scalar::dot(a_rest, b_rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_is_always_a_level() {
        assert_eq!(Level::available()[0], Level::Scalar);
        assert_eq!(Some(&Level::best()), Level::available().last());
        assert!(!Level::best().to_string().is_empty());
    }

    #[test]
    fn extremes_do_not_overflow() {
        for level in Level::available() {
            let long = vec![-128i8; 1 << 16];
            assert_eq!(level.dot(&long, &long), 1 << 30);
            let mut sums = [0];
            level.bit_sums(&[u64::MAX; 1024], &[u64::MAX; 4096], 1024, &mut sums);
            assert_eq!(sums, [15 * 65_536]);
        }
    }

    proptest! {
        #[test]
        fn every_level_counts_as_the_scalar_one(
            words in 1usize..40,
            codes in 0usize..9,
            seed in any::<u64>(),
        ) {
            let mut state = seed;
            let mut numbers = |count: usize| -> Vec<u64> {
                (0..count)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        (state ^ (state >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                    })
                    .collect()
            };
            let (planes, bits) = (numbers(4 * words), numbers(codes * words));
            let mut expected = vec![0; codes];
            Level::Scalar.bit_sums(&bits, &planes, words, &mut expected);
            for level in Level::available() {
                let mut sums = vec![7; codes];
                level.bit_sums(&bits, &planes, words, &mut sums);
                prop_assert_eq!(&sums, &expected, "{}", level);
            }
        }

        #[test]
        fn every_level_multiplies_as_the_scalar_one(
            pairs in prop::collection::vec((any::<i8>(), any::<i8>()), 0..400)
        ) {
            let (a, b): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
            let expected = Level::Scalar.dot(&a, &b);
            for level in Level::available() {
                prop_assert_eq!(level.dot(&a, &b), expected, "{}", level);
            }
        }
    }
}
