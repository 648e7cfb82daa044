//! The assistant without a model over the demo documents: does an answer hold the labelled passage?

use openhuman_agent::extractive::ExtractiveModel;
use openhuman_agent::{Agent, Recalled, TurnInput};
use serde::Deserialize;
use std::sync::Arc;

use crate::support::{answer, run};

#[derive(Deserialize)]
struct Question {
    document: String,
    question: String,
    passage: String,
}

/// The sections of the demo documents, each under its document's title.
fn sections() -> Vec<Recalled> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/demo");
    let mut all = Vec::new();
    for name in ["market-diary.md", "staking-basics.md", "wallet-hygiene.md"] {
        let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
        let title = text.lines().next().unwrap().trim_start_matches("# ").to_owned();
        let mut section = String::new();
        let mut flush = |section: &mut String| {
            if !section.trim().is_empty() {
                all.push(Recalled {
                    title: title.clone(),
                    source: name.to_owned(),
                    text: std::mem::take(section),
                    score: 0.0,
                });
            }
        };
        for line in text.lines() {
            if line.starts_with("## ") {
                flush(&mut section);
            }
            section.push_str(line);
            section.push('\n');
        }
        flush(&mut section);
    }
    all
}

fn stems(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 2)
        .map(|word| word.chars().take(5).collect())
        .collect()
}

/// The sections that share most words with the question, as a memory would give them.
fn recall(question: &str, sections: &[Recalled]) -> Vec<Recalled> {
    let asked = stems(question);
    let mut found: Vec<Recalled> = sections
        .iter()
        .map(|section| {
            let has = stems(&section.text);
            let score = asked.iter().filter(|word| has.contains(word)).count() as f32;
            Recalled {
                score,
                ..section.clone()
            }
        })
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(6);
    found
}

fn plain(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

#[tokio::test]
async fn four_of_five_answers_hold_the_labelled_passage() {
    let questions: Vec<Question> = include_str!("../data/questions.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(questions.len() >= 60);
    let sections = sections();
    let agent = Agent::builder(Arc::new(ExtractiveModel::new())).build();
    let (mut found, mut missed) = (0, Vec::new());
    for question in &questions {
        let labelled = |section: &&Recalled| section.source == question.document;
        let document: String = sections
            .iter()
            .filter(labelled)
            .map(|s| s.text.as_str())
            .collect();
        let in_text = plain(&document).contains(&plain(&question.passage));
        // Labels of table rows are written as "column: value" in answers.
        assert!(
            in_text || question.passage.contains(':'),
            "a label that is not in its document: {}",
            question.passage
        );
        let input = TurnInput {
            prompt: question.question.clone(),
            context: recall(&question.question, &sections),
            ..TurnInput::default()
        };
        let text = answer(&run(&agent, input).await).0;
        let quotes = text.split("Sources:").next().unwrap_or_default();
        if plain(quotes).contains(&plain(&question.passage)) {
            found += 1;
        } else {
            missed.push(format!("{} -> {}", question.question, plain(quotes)));
        }
    }
    let share = 100 * found / questions.len();
    println!(
        "{found} of {} answers hold their passage ({share} %)",
        questions.len()
    );
    assert!(share >= 80, "{share} %; missed: {missed:#?}");
}
