//! The model against its reference implementation, and what retrieval relies on.

use openhuman_memory_model::{DIMENSIONS, StaticModel};
use proptest::prelude::*;
use serde_json::Value;

fn fixtures() -> Value {
    serde_json::from_str(include_str!("fixtures.json")).unwrap()
}

fn cases(name: &str) -> Vec<Value> {
    let Value::Array(cases) = &fixtures()[name] else {
        panic!("{name} is a list")
    };
    assert!(cases.len() > 5);
    cases.clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn similarity(left: &str, right: &str) -> f32 {
    let model = StaticModel::bundled();
    model
        .embed(left)
        .iter()
        .zip(model.embed(right))
        .map(|(a, b)| a * b)
        .sum()
}

fn norm(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}

#[test]
fn tokens_equal_those_of_the_reference_tokenizer() {
    for case in cases("tokens") {
        let text = case["text"].as_str().unwrap();
        let expected: Vec<u32> = numbers(&case["tokens"])
            .into_iter()
            .map(|token| token as u32)
            .collect();
        assert_eq!(StaticModel::bundled().tokens(text), expected, "{text:?}");
    }
}

#[test]
fn vectors_equal_those_of_the_reference_implementation() {
    for case in cases("vectors") {
        let text = case["text"].as_str().unwrap();
        let expected = numbers(&case["vector"]);
        let vector = StaticModel::bundled().embed(text);
        assert_eq!(vector.len(), DIMENSIONS);
        assert_eq!(expected.len(), DIMENSIONS);
        for (ours, theirs) in vector.iter().zip(expected) {
            assert!(
                (f64::from(*ours) - theirs).abs() < 1e-4,
                "{text:?}: {ours} is not {theirs}"
            );
        }
    }
}

#[test]
fn text_without_known_words_is_the_zero_vector() {
    for text in ["", " \n\t", "\u{200b}", "😀", &"y".repeat(101)] {
        assert_eq!(
            StaticModel::bundled().embed(text),
            vec![0.0; DIMENSIONS],
            "{text:?}"
        );
    }
}

#[test]
fn related_sentences_are_closer_than_unrelated_ones() {
    for (text, related, unrelated) in [
        (
            "How do I stake my ether?",
            "staking ethereum coins",
            "a recipe for apple pie",
        ),
        (
            "The dog chased the cat.",
            "A puppy ran after a kitten.",
            "Interest rates rose last quarter.",
        ),
        (
            "My flight to Berlin was cancelled.",
            "airline travel to Germany",
            "the football match ended in a draw",
        ),
        (
            "She plays the violin in an orchestra.",
            "a musician and her instrument",
            "how to compile a kernel",
        ),
    ] {
        let (near, far) = (similarity(text, related), similarity(text, unrelated));
        assert!(near > far + 0.1, "{text:?}: {near} against {far}");
    }
}

#[test]
fn case_and_accents_do_not_matter() {
    assert!(similarity("CAFÉ Crème", "cafe creme") > 0.9999);
}

#[test]
fn special_tokens_in_text_are_ordinary_text() {
    let tokens = StaticModel::bundled().tokens("[SEP]");
    assert!(tokens.len() > 1 && !tokens.contains(&102));
}

#[test]
fn one_model_serves_many_threads() {
    let expected = StaticModel::bundled().embed("shared");
    let threads: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(|| StaticModel::bundled().embed("shared")))
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_has_norm_one_or_zero(text in any::<String>()) {
        let norm = norm(&StaticModel::bundled().embed(&text));
        prop_assert!(norm == 0.0 || (norm - 1.0).abs() < 1e-5);
    }

    #[test]
    fn tokens_depend_on_words_not_on_the_space_between(words in prop::collection::vec("[a-zA-Z0-9é.]{1,12}", 1..8)) {
        let model = StaticModel::bundled();
        let apart: Vec<u32> = words.iter().flat_map(|word| model.tokens(word)).collect();
        prop_assert_eq!(model.tokens(&words.join(" \n")), apart.clone());
        prop_assert_eq!(model.tokens(&words.join("\t")), apart);
    }
}
