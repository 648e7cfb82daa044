//! Fusion of the two signals by z-score.

/// The share of the vector signal in the fused score; the rest is the text signal's.
pub(crate) const VECTOR_WEIGHT: f32 = 0.7;

/// A chunk that one of the two signals proposed, with both signals. `None` means that a signal cannot be computed
/// for this chunk, which then counts as average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) chunk_id: i64,
    pub(crate) vector: Option<f32>,
    pub(crate) text: Option<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fused {
    pub(crate) candidate: Candidate,
    pub(crate) vector_z: f32,
    pub(crate) text_z: f32,
    /// The weighted sum of the two.
    pub(crate) z: f32,
}

/// Best first; equal scores in the order of the chunks. A signal that tells no two candidates apart has no weight,
/// and the other takes all of it.
pub(crate) fn fuse(candidates: &[Candidate]) -> Vec<Fused> {
    let vectors = Scale::of(candidates.iter().filter_map(|candidate| candidate.vector));
    let texts = Scale::of(candidates.iter().filter_map(|candidate| candidate.text));
    let vector_weight = match (vectors.deviation > 0.0, texts.deviation > 0.0) {
        (true, false) => 1.0,
        (false, true) => 0.0,
        _ => VECTOR_WEIGHT,
    };
    let mut fused: Vec<Fused> = candidates
        .iter()
        .map(|&candidate| {
            let (vector_z, text_z) = (vectors.z(candidate.vector), texts.z(candidate.text));
            let z = vector_weight * vector_z + (1.0 - vector_weight) * text_z;
            Fused {
                candidate,
                vector_z,
                text_z,
                z,
            }
        })
        .collect();
    fused.sort_by(|a, b| {
        b.z.total_cmp(&a.z)
            .then(a.candidate.chunk_id.cmp(&b.candidate.chunk_id))
    });
    fused
}

/// Maps a z-score to 0..1 without changing any order.
pub(crate) fn logistic(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

struct Scale {
    mean: f32,
    deviation: f32,
}

impl Scale {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let count = values.clone().count().max(1) as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / count;
        let variance = values.map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        let deviation = variance.sqrt();
        // Rounding alone must not look like a difference.
        let deviation = if deviation > 1e-6 { deviation } else { 0.0 };
        Self {
            mean: mean as f32,
            deviation: deviation as f32,
        }
    }

    fn z(&self, value: Option<f32>) -> f32 {
        value
            .filter(|_| self.deviation > 0.0)
            .map_or(0.0, |value| (value - self.mean) / self.deviation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(chunk_id: i64, vector: Option<f32>, text: Option<f32>) -> Candidate {
        Candidate {
            chunk_id,
            vector,
            text,
        }
    }

    #[test]
    fn both_signals_count_seventy_to_thirty() {
        let fused = fuse(&[
            candidate(1, Some(0.0), Some(2.0)),
            candidate(2, Some(1.0), Some(0.0)),
        ]);
        assert_eq!(fused[0].candidate.chunk_id, 2);
        assert!((fused[0].z - (0.7 - 0.3)).abs() < 1e-6);
        assert_eq!((fused[1].vector_z, fused[1].text_z), (-1.0, 1.0));
    }

    #[test]
    fn an_absent_signal_gives_its_weight_to_the_other() {
        let fused = fuse(&[candidate(1, None, Some(2.0)), candidate(2, None, Some(4.0))]);
        assert_eq!((fused[0].candidate.chunk_id, fused[0].z), (2, 1.0));
        let fused = fuse(&[
            candidate(1, Some(0.9), Some(0.0)),
            candidate(2, Some(0.1), Some(0.0)),
        ]);
        assert_eq!((fused[0].candidate.chunk_id, fused[0].z), (1, 1.0));
        assert_eq!(fuse(&[candidate(7, Some(0.3), Some(1.0))])[0].z, 0.0);
        assert!(fuse(&[]).is_empty());
    }

    #[test]
    fn a_chunk_without_a_vector_is_average_there() {
        let signals = [(1, Some(0.8)), (2, Some(0.2)), (3, None)];
        let fused = fuse(&signals.map(|(id, vector)| candidate(id, vector, Some(id as f32))));
        let third = fused.iter().find(|fused| fused.candidate.chunk_id == 3).unwrap();
        assert_eq!(third.vector_z, 0.0);
    }

    proptest! {
        #[test]
        fn scores_are_finite_ordered_and_logistic_keeps_the_order(
            signals in prop::collection::vec((prop::option::of(-1.0f32..1.0), prop::option::of(0.0f32..40.0)), 0..50)
        ) {
            let candidates: Vec<_> =
                signals.iter().zip(0..).map(|(&(vector, text), id)| candidate(id, vector, text)).collect();
            let fused = fuse(&candidates);
            prop_assert_eq!(fused.len(), candidates.len());
            for pair in fused.windows(2) {
                prop_assert!(pair[0].z >= pair[1].z);
                prop_assert!(logistic(pair[0].z) >= logistic(pair[1].z));
            }
            prop_assert!(fused.iter().all(|fused| fused.z.is_finite()));
        }
    }
}
