//! Retrieval on conversations, and how many of the nearest vectors the index finds.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use openhuman_memory::{Embedder, Query, StaticEmbedder, VectorIndex, Weights};
use serde_json::{Value, json};

use crate::locomo::{self, Figures};
use crate::vectors::{CANDIDATES, PROBED};
use crate::{Report, put};

/// Evidence handed to a model at most, in tokens.
const BUDGET: usize = 1500;

/// Hits that go into a context.
const CONTEXT_HITS: usize = 10;

const KEYS: &[&str] = &[
    "locomo_static_r10",
    "locomo_static_r1",
    "locomo_static_hit10",
    "locomo_static_mrr",
    "locomo_static_ndcg10",
    "locomo_plain_r10",
    "locomo_bm25_r10",
    "locomo_vector_r10",
    "multihop_r10",
    "evidence_tokens_mean",
    "evidence_tokens_max",
    "evidence_r",
    "recall10",
    "ivf_recall10",
];

pub(crate) fn missing(report: &mut Report) {
    eprintln!("no LoCoMo file (--locomo FILE or LOCOMO_FILE): retrieval is not measured, its keys are null");
    for key in KEYS {
        report.insert((*key).to_owned(), Value::Null);
    }
}

/// The ways of searching that are compared.
fn ways() -> [(&'static str, Weights); 4] {
    let with = |vector, text| {
        let mut weights = Weights::plain();
        (weights.vector, weights.text) = (vector, text);
        weights
    };
    [
        ("static", Weights::default()),
        ("plain", Weights::plain()),
        ("bm25", with(0.0, 1.0)),
        ("vector", with(1.0, 0.0)),
    ]
}

pub(crate) fn measure(report: &mut Report, file: &Path) -> Result<(), Box<dyn Error>> {
    let talks = locomo::read(file)?;
    let mut figures: BTreeMap<&str, Figures> = BTreeMap::new();
    let mut categories: BTreeMap<&str, Figures> = BTreeMap::new();
    let (mut tokens, mut largest, mut kept) = (0, 0, 0.0);
    for talk in &talks {
        let dir = tempfile::tempdir()?;
        let memory = locomo::remember(talk, dir.path())?;
        for question in &talk.questions {
            for (name, weights) in ways() {
                let ranks = locomo::ranks(&memory, talk, question, &|query| query.weights = weights)?;
                figures
                    .entry(name)
                    .or_default()
                    .add(&ranks, question.evidence.len());
                if name == "static" {
                    categories
                        .entry(question.category)
                        .or_default()
                        .add(&ranks, question.evidence.len());
                }
            }
            let mut query = Query::new(&question.text);
            query.limit = CONTEXT_HITS;
            let context = memory.context(&query, BUDGET)?;
            assert!(context.tokens <= BUDGET);
            tokens += context.tokens;
            largest = largest.max(context.tokens);
            let mut held = 0;
            for citation in &context.citations {
                let turns = citation
                    .ordinals
                    .iter()
                    .filter_map(|at| talk.turns.get(&(citation.key.clone(), *at)));
                held += turns.filter(|turn| question.evidence.contains(*turn)).count();
            }
            kept += held as f64 / question.evidence.len() as f64;
        }
    }
    let of = |name: &str| figures.get(name).cloned().unwrap_or_default();
    let questions = of("static").questions.max(1) as f64;
    for name in ["static", "plain", "bm25", "vector"] {
        let figures = of(name);
        put(report, &format!("locomo_{name}_r1"), figures.r1());
        put(report, &format!("locomo_{name}_r10"), figures.r10());
        put(report, &format!("locomo_{name}_hit10"), figures.hit10());
        put(report, &format!("locomo_{name}_mrr"), figures.mrr());
        put(report, &format!("locomo_{name}_ndcg10"), figures.ndcg10());
    }
    let hard = categories.get("multi-hop").cloned().unwrap_or_default();
    put(report, "multihop_r10", hard.r10());
    for (name, figures) in &categories {
        put(
            report,
            &format!("locomo_r10_{}", name.replace('-', "_")),
            figures.r10(),
        );
    }
    put(report, "evidence_tokens_mean", tokens as f64 / questions);
    put(report, "evidence_tokens_max", largest as f64);
    put(report, "evidence_r", kept / questions);
    report.insert("locomo_questions".into(), json!(questions));
    nearest(report, &talks)
}

/// The share of the ten nearest turns, by cosine of the unrounded vectors, that the index finds, by candidates.
fn nearest(report: &mut Report, talks: &[locomo::Talk]) -> Result<(), Box<dyn Error>> {
    let texts: Vec<String> = talks
        .iter()
        .flat_map(|talk| &talk.sessions)
        .flat_map(|session| &session.turns)
        .map(|turn| format!("{}: {}", turn.speaker, turn.text))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let questions: Vec<&str> = talks
        .iter()
        .flat_map(|talk| &talk.questions)
        .map(|one| one.text.as_str())
        .collect();
    let (vectors, queries) = (StaticEmbedder.embed(&texts)?, StaticEmbedder.embed(&questions)?);
    let mut mean = vec![0.0; StaticEmbedder.space().dimensions];
    for vector in &vectors {
        mean.iter_mut()
            .zip(vector)
            .for_each(|(sum, number)| *sum += number / vectors.len() as f32);
    }
    let mut index = VectorIndex::new(mean);
    for (id, vector) in (0..).zip(&vectors) {
        index.add(id, vector);
    }
    let mut curve = Vec::new();
    for candidates in [10, 20, 50, 100, CANDIDATES, 200, 400] {
        let mut found = 0;
        for query in &queries {
            found += near_enough(&vectors, query, &index.nearest(query, 10, candidates));
        }
        let recall = found as f64 / (10 * queries.len()) as f64;
        curve.push(json!([candidates, recall]));
        if candidates == CANDIDATES {
            put(report, "recall10", recall);
        }
    }
    report.insert("recall10_by_candidates".into(), Value::Array(curve));
    // The same turns in lists, of which a query looks at some.
    let mut curve = Vec::new();
    for probed in [0.05, 0.1, 0.2, 0.3, PROBED, 0.8] {
        index.set_lists(1, probed);
        let found: usize = queries
            .iter()
            .map(|query| near_enough(&vectors, query, &index.nearest(query, 10, CANDIDATES)))
            .sum();
        let recall = found as f64 / (10 * queries.len()) as f64;
        curve.push(json!([(f64::from(probed) * 1e3).round() / 1e3, recall]));
        if probed == PROBED {
            put(report, "ivf_recall10", recall);
        }
    }
    report.insert("ivf_recall10_by_probed".into(), Value::Array(curve));
    Ok(())
}

/// How many of these are among the ten nearest by cosine of the unrounded vectors.
fn near_enough(vectors: &[Vec<f32>], query: &[f32], near: &[(i64, f32)]) -> usize {
    let cosine = |vector: &Vec<f32>| vector.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    let mut exact: Vec<f32> = vectors.iter().map(cosine).collect();
    let (_, tenth, _) = exact.select_nth_unstable_by(9, |a, b| b.total_cmp(a));
    // The same sentence can stand in two conversations: any of those equally near is right.
    let least = *tenth - 1e-6;
    near.iter()
        .filter(|(id, _)| cosine(&vectors[*id as usize]) >= least)
        .count()
}
