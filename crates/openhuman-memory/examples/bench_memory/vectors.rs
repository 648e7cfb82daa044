//! The index of vectors by itself, 1536 dimensions, one thread: estimates for all, the best 150 compared by bytes.

use std::hint::black_box;

use openhuman_memory::VectorIndex;
use serde_json::json;

use crate::texts::Words;
use crate::{Report, millis, processor_time, put, shortest};

const DIMENSIONS: usize = 1536;

/// Candidates compared exactly, here and in every search of a memory.
pub(crate) const CANDIDATES: usize = 150;

/// The share of all vectors whose lists a query looks at where lists are measured; a memory has none.
pub(crate) const PROBED: f32 = 0.5;

pub(crate) fn measure(report: &mut Report, million: bool) {
    report.insert("simd".into(), json!(VectorIndex::instructions()));
    report.insert("candidates".into(), json!(CANDIDATES));
    let mut words = Words::new(7);
    let mut index = VectorIndex::new(vec![0.0; DIMENSIONS]);
    grow(&mut index, &mut words, 100_000);
    put(report, "flat_100k_ms", query(&index, &mut words));
    report.insert("ivf_probed".into(), json!(PROBED));
    put(report, "scanned_bytes_per_vector", index.scanned_bytes() as f64);
    if million {
        grow(&mut index, &mut words, 1_000_000);
        put(report, "flat_1m_ms", query(&index, &mut words));
        let before = processor_time();
        index.set_lists(300_000, PROBED);
        put(report, "ivf_1m_build_ms", millis(processor_time() - before));
        put(report, "ivf_1m_ms", query(&index, &mut words));
        put(report, "ivf_lists", index.lists() as f64);
    } else {
        for key in ["flat_1m_ms", "ivf_1m_ms"] {
            report.insert(key.into(), json!(null));
        }
        eprintln!("flat_1m_ms, ivf_1m_ms: not measured without --million (it takes 2 GB)");
    }
}

fn grow(index: &mut VectorIndex, words: &mut Words, count: i64) {
    for id in index.len() as i64..count {
        assert!(index.add(id, &words.vector(DIMENSIONS)));
    }
}

fn query(index: &VectorIndex, words: &mut Words) -> f64 {
    let targets: Vec<Vec<f32>> = (0..8).map(|_| words.vector(DIMENSIONS)).collect();
    let mut at = 0;
    millis(shortest(40, || {
        at += 1;
        black_box(index.nearest(&targets[at % targets.len()], 10, CANDIDATES));
    }))
}
