//! Measures retrieval on conversations in the LoCoMo format: one memory per conversation, one document per session,
//! one chunk per turn.
//!
//! ```sh
//! cargo run --release -p openhuman-memory --example evaluate -- conversations.json
//! ```
//!
//! The data is not part of this repository. `NAME=NUMBER` sets a weight; `tune` after the file looks for better ones
//! and reports how they do on the conversations that were left out.

mod locomo;

use std::collections::BTreeMap;
use std::error::Error;

use openhuman_memory::{Memory, Query, Weights};

use crate::locomo::{Figures, Talk};

/// A weight by its name.
type Weight = (&'static str, fn(&mut Weights) -> &mut f32, &'static [f32]);

const WEIGHTS: &[Weight] = &[
    (
        "around_vector",
        |w| &mut w.around_vector,
        &[0.0, 0.15, 0.25, 0.35, 0.5],
    ),
    (
        "around_text",
        |w| &mut w.around_text,
        &[0.0, 0.2, 0.3, 0.4, 0.5, 0.6],
    ),
    ("document", |w| &mut w.document, &[0.0, 0.1, 0.2, 0.3, 0.45, 0.6]),
    ("speaker", |w| &mut w.speaker, &[0.0, 0.1, 0.2, 0.3, 0.45, 0.6]),
    ("coverage", |w| &mut w.coverage, &[0.0, 0.3, 0.6, 1.0, 1.5, 2.0]),
    ("length", |w| &mut w.length, &[-0.1, 0.0, 0.1, 0.2, 0.3, 0.4]),
    (
        "question",
        |w| &mut w.question,
        &[-1.0, -0.7, -0.5, -0.3, -0.15, 0.0],
    ),
    ("answer", |w| &mut w.answer, &[0.0, 0.1, 0.2, 0.3, 0.45]),
    ("first_person", |w| &mut w.first_person, &[0.0, 0.1, 0.2, 0.3]),
    ("related", |w| &mut w.related, &[0.0, 0.15, 0.3, 0.45, 0.6, 0.8]),
    ("saturation", |w| &mut w.saturation, &[0.4, 0.8, 1.2, 1.6]),
    (
        "length_penalty",
        |w| &mut w.length_penalty,
        &[0.0, 0.25, 0.5, 0.75],
    ),
    ("feedback", |w| &mut w.feedback, &[0.0, 0.2, 0.3, 0.5]),
    ("vector", |w| &mut w.vector, &[0.7]),
    ("text", |w| &mut w.text, &[0.3]),
];

struct Loaded {
    talk: Talk,
    memory: Memory,
    _dir: tempfile::TempDir,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: evaluate FILE [NAME=NUMBER ..] [plain] [tune]")?;
    let mut loaded = Vec::new();
    for talk in locomo::read(path.as_ref())? {
        let dir = tempfile::tempdir()?;
        let memory = locomo::remember(&talk, dir.path())?;
        loaded.push(Loaded {
            talk,
            memory,
            _dir: dir,
        });
    }
    let mut weights = Weights::default();
    let mut tuned = false;
    for argument in arguments {
        match argument.split_once('=') {
            Some((name, number)) => {
                let known = WEIGHTS
                    .iter()
                    .find(|(known, ..)| *known == name)
                    .ok_or("no such weight")?;
                *known.1(&mut weights) = number.parse()?;
            }
            None if argument == "plain" => weights = Weights::plain(),
            None => tuned = argument == "tune",
        }
    }
    if tuned {
        return tune(&loaded, weights);
    }
    let all: Vec<&Loaded> = loaded.iter().collect();
    print(&all, &weights)
}

fn print(loaded: &[&Loaded], weights: &Weights) -> Result<(), Box<dyn Error>> {
    let (mut all, mut by_category) = (Figures::default(), BTreeMap::<&str, Figures>::new());
    for loaded in loaded {
        for question in &loaded.talk.questions {
            let ranks = locomo::ranks(&loaded.memory, &loaded.talk, question, &|query| {
                query.weights = *weights;
            })?;
            all.add(&ranks, question.evidence.len());
            by_category
                .entry(question.category)
                .or_default()
                .add(&ranks, question.evidence.len());
        }
    }
    println!("{:<12} {:>5}  R@1   R@10  hit@10 MRR   nDCG@10", "", "n");
    for (name, figures) in std::iter::once(("all", all)).chain(by_category) {
        println!(
            "{name:<12} {:>5}  {:.3} {:.3} {:.3}  {:.3} {:.3}",
            figures.questions,
            figures.r1(),
            figures.r10(),
            figures.hit10(),
            figures.mrr(),
            figures.ndcg10()
        );
    }
    Ok(())
}

/// What is made as large as possible: recall, with the ranks of the first hits and the hard questions in mind.
fn worth(loaded: &[&Loaded], weights: &Weights) -> Result<f64, Box<dyn Error>> {
    let (mut all, mut hard) = (Figures::default(), Figures::default());
    for loaded in loaded {
        for question in &loaded.talk.questions {
            let change = |query: &mut Query| query.weights = *weights;
            let ranks = locomo::ranks(&loaded.memory, &loaded.talk, question, &change)?;
            all.add(&ranks, question.evidence.len());
            if question.category == "multi-hop" {
                hard.add(&ranks, question.evidence.len());
            }
        }
    }
    Ok(all.r10() + 0.3 * all.mrr() + 0.15 * hard.r10())
}

/// Coordinate ascent; then the same without each conversation in turn, measured on that one.
fn tune(loaded: &[Loaded], start: Weights) -> Result<(), Box<dyn Error>> {
    let ascend = |talks: &[&Loaded], rounds: usize| -> Result<Weights, Box<dyn Error>> {
        let mut best = start;
        let mut value = worth(talks, &best)?;
        for _ in 0..rounds {
            let before = value;
            for (name, field, steps) in WEIGHTS {
                for step in *steps {
                    let mut tried = best;
                    *field(&mut tried) = *step;
                    let tried_value = worth(talks, &tried)?;
                    if tried_value > value + 1e-5 {
                        eprintln!("{name} = {step}: {tried_value:.4}");
                        (best, value) = (tried, tried_value);
                    }
                }
            }
            if value - before < 1e-4 {
                break;
            }
        }
        Ok(best)
    };
    let all: Vec<&Loaded> = loaded.iter().collect();
    let best = ascend(&all, 3)?;
    println!("{best:?}");
    print(&all, &best)?;
    if std::env::var_os("LEAVE_OUT").is_some() {
        for (at, left_out) in loaded.iter().enumerate() {
            let rest: Vec<&Loaded> = loaded
                .iter()
                .enumerate()
                .filter(|(n, _)| *n != at)
                .map(|(_, one)| one)
                .collect();
            let best = ascend(&rest, 2)?;
            println!("conversation {at}, with weights from the others:");
            print(&[left_out], &best)?;
        }
    }
    Ok(())
}
