//! The same questions with MiniLM instead of the static table; null without the feature `minilm` and its weights, which
//! `OPENHUMAN_MINILM_WEIGHTS` names.

use std::error::Error;
use std::path::Path;

use serde_json::Value;

use crate::Report;

const KEYS: [&str; 5] = [
    "locomo_minilm_r10",
    "locomo_minilm_hit10",
    "locomo_minilm_mrr",
    "multihop_minilm_r10",
    "minilm_tok_s",
];

pub(crate) fn measure(report: &mut Report, locomo: Option<&Path>) -> Result<(), Box<dyn Error>> {
    for key in KEYS {
        report.insert(key.to_owned(), Value::Null);
    }
    #[cfg(feature = "minilm")]
    if let Some(weights) = std::env::var_os("OPENHUMAN_MINILM_WEIGHTS").filter(|path| !path.is_empty()) {
        return with_weights::measure(report, weights.as_ref(), locomo);
    }
    let _ = locomo;
    eprintln!("no weights of MiniLM (OPENHUMAN_MINILM_WEIGHTS, feature minilm): its keys are null");
    Ok(())
}

#[cfg(feature = "minilm")]
mod with_weights {
    use std::error::Error;
    use std::hint::black_box;
    use std::path::Path;
    use std::sync::Arc;

    use openhuman_memory::{Embedder, MiniLmEmbedder};
    use openhuman_memory_model::StaticModel;

    use crate::locomo::{self, Figures};
    use crate::{Report, put, shortest};

    pub(super) fn measure(
        report: &mut Report,
        weights: &Path,
        file: Option<&Path>,
    ) -> Result<(), Box<dyn Error>> {
        let embedder = Arc::new(MiniLmEmbedder::open(weights)?);
        let text = "The lighthouse keeper wrote in a small book which ships had passed. ".repeat(9);
        let tokens = StaticModel::bundled().tokens(&text).len();
        // One text, so one thread.
        let took = shortest(5, || drop(black_box(embedder.embed(&[&text]))));
        put(report, "minilm_tok_s", tokens as f64 / took.as_secs_f64());
        let Some(file) = file else { return Ok(()) };
        let (mut all, mut hard) = (Figures::default(), Figures::default());
        for talk in &locomo::read(file)? {
            let dir = tempfile::tempdir()?;
            let memory = locomo::remember_with(talk, dir.path(), embedder.clone())?;
            for question in &talk.questions {
                let ranks = locomo::ranks(&memory, talk, question, &|_| ())?;
                all.add(&ranks, question.evidence.len());
                if question.category == "multi-hop" {
                    hard.add(&ranks, question.evidence.len());
                }
            }
        }
        put(report, "locomo_minilm_r10", all.r10());
        put(report, "locomo_minilm_hit10", all.hit10());
        put(report, "locomo_minilm_mrr", all.mrr());
        put(report, "multihop_minilm_r10", hard.r10());
        Ok(())
    }
}
