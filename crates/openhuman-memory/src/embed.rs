//! The port to embedding models, and the two models that need no network.

#[cfg(any(feature = "minilm-download", feature = "openai"))]
mod http;
#[cfg(feature = "minilm")]
mod minilm;
#[cfg(feature = "openai")]
mod openai;
mod parallel;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub(crate) use self::parallel::in_parallel;

#[cfg(feature = "minilm-download")]
pub use minilm::MINILM_URL;
#[cfg(feature = "minilm")]
pub use minilm::{MINILM_BYTES, MINILM_SHA256, MiniLmEmbedder};
#[cfg(feature = "openai")]
pub use openai::{OpenAiEmbedder, OpenAiOptions};

/// Turns texts into vectors whose angle tells how close their meanings are.
///
/// Called from whichever thread ingests or searches, possibly from several at once, and never while the store is
/// locked. A model behind a network does its own retries; what it returns as an error reaches the caller of
/// [`Memory::ingest`](crate::Memory::ingest) and leaves the index as it was.
pub trait Embedder: Send + Sync {
    /// The space the vectors live in. Must not change while the embedder is in use.
    fn space(&self) -> Space;

    /// One vector per text, in order, each of `space().dimensions` numbers. Length does not matter: vectors are
    /// normalised here. A vector of zeros says that the text holds nothing the model knows; such a text is found
    /// by its words only, and the [`IngestReport`](crate::IngestReport) counts it.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// Other words for a word in lower case, with how close they are, 0 to 1, the closest first. The search by words
    /// looks for them too. None by default.
    fn related(&self, word: &str) -> Vec<(String, f32)> {
        let _ = word;
        Vec::new()
    }
}

/// Names a vector space. Vectors of two spaces cannot be compared, so a store holds exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Space {
    /// Who computes the vectors, for example `openhuman` or `openai`.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// Numbers per vector, 1 to 4096.
    pub dimensions: usize,
    /// Changes when the same model starts to give other vectors.
    pub version: u32,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{} ({} dimensions, version {})",
            self.provider, self.model, self.dimensions, self.version
        )
    }
}

/// Why texts could not be embedded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The model cannot be reached just now. Trying again later can succeed.
    #[error("the embedding model is not available: {reason}; try again later")]
    Unavailable {
        /// What the model or its connection said.
        reason: String,
        /// The failure underneath, if there is one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The model's server is busy and asks to come back later.
    #[error("the embedding model is busy: {reason}; try again {}", later(retry_after))]
    RateLimited {
        /// What the server said.
        reason: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The model's server does not accept the key.
    #[error("the embedding model did not accept the key: {reason}; set a valid key")]
    Unauthorized {
        /// What the server said.
        reason: String,
    },
    /// The account behind the key has nothing left.
    #[error("the account of the embedding model is used up: {reason}; add credit, or use another model")]
    QuotaExhausted {
        /// What the server said.
        reason: String,
    },
    /// The embedder cannot be set up as asked.
    #[error("the embedding model cannot be used: {reason}")]
    Config {
        /// What does not fit, and what to do.
        reason: String,
    },
    /// The model refused these texts. Trying again will not help.
    #[error("the embedding model refused the text: {reason}; check the model's configuration")]
    Refused {
        /// What the model said.
        reason: String,
    },
    /// The model did not return what its [`Space`] promises.
    #[error(
        "the embedding model returned {got}, but {expected} was expected; check the model's configuration"
    )]
    Malformed {
        /// What was promised.
        expected: String,
        /// What came.
        got: String,
    },
}

impl EmbedError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::RateLimited { .. })
    }
}

fn later(wait: &Option<Duration>) -> String {
    wait.map_or_else(
        || "later".to_owned(),
        |wait| format!("in {} seconds", wait.as_secs_f64().ceil()),
    )
}

/// Embeds, and checks that what came back is what was promised.
pub(crate) fn checked(
    embedder: &dyn Embedder,
    dimensions: usize,
    texts: &[&str],
) -> Result<Vec<Vec<f32>>, EmbedError> {
    let vectors = embedder.embed(texts)?;
    let malformed = |expected: String, got: String| EmbedError::Malformed { expected, got };
    if vectors.len() != texts.len() {
        return Err(malformed(
            format!("{} vectors", texts.len()),
            format!("{} vectors", vectors.len()),
        ));
    }
    for vector in &vectors {
        if vector.len() != dimensions {
            return Err(malformed(
                format!("{dimensions} numbers"),
                format!("{} numbers", vector.len()),
            ));
        }
        if vector.iter().any(|number| !number.is_finite()) {
            return Err(malformed(
                "finite numbers".to_owned(),
                "a number that is not".to_owned(),
            ));
        }
    }
    Ok(vectors)
}

/// Words related to one word that are worth looking for, and how close they have to be.
#[cfg(feature = "static-model")]
const RELATED: usize = 8;
#[cfg(feature = "static-model")]
const RELATED_LEAST: f32 = 0.55;

/// Texts from which on another thread is worth its start: a chunk takes a tenth of a millisecond.
#[cfg(feature = "static-model")]
const PARALLEL: usize = 32;

/// The default: the static embedding table of `openhuman-memory-model`. No network, no key, microseconds per text.
#[cfg(feature = "static-model")]
#[derive(Debug, Clone, Copy, Default)]
pub struct StaticEmbedder;

#[cfg(feature = "static-model")]
impl Embedder for StaticEmbedder {
    fn space(&self) -> Space {
        Space {
            provider: "openhuman".to_owned(),
            model: openhuman_memory_model::NAME.to_owned(),
            dimensions: openhuman_memory_model::DIMENSIONS,
            version: openhuman_memory_model::VERSION,
        }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let model = openhuman_memory_model::StaticModel::bundled();
        Ok(in_parallel(texts, PARALLEL, |text| model.embed(text)))
    }

    fn related(&self, word: &str) -> Vec<(String, f32)> {
        let model = openhuman_memory_model::StaticModel::bundled();
        model
            .related(word, RELATED, RELATED_LEAST)
            .into_iter()
            .map(|(word, cosine)| (word.to_owned(), cosine))
            .collect()
    }
}

/// Stands in for a model that is not there: its key is missing, its server is gone. A memory opened with it lists,
/// forgets and exports, and says at every search and ingest why it cannot do that.
#[derive(Debug, Clone)]
pub struct UnavailableEmbedder {
    space: Space,
    reason: String,
}

impl UnavailableEmbedder {
    /// For vectors of a space that nobody can compute just now, and why.
    pub fn new(space: Space, reason: impl Into<String>) -> Self {
        Self {
            space,
            reason: reason.into(),
        }
    }
}

impl Embedder for UnavailableEmbedder {
    fn space(&self) -> Space {
        self.space.clone()
    }

    fn embed(&self, _texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Err(EmbedError::Unavailable {
            reason: self.reason.clone(),
            source: None,
        })
    }
}

/// Hashes words and their letter triples into a vector. It knows spelling, not meaning: for tests and for builds
/// without a model, not for good search results. The same text always has the same vector, on every machine.
#[derive(Debug, Clone)]
pub struct HashingEmbedder {
    dimensions: usize,
}

impl HashingEmbedder {
    /// An embedder of the given number of dimensions, at least 1.
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions: dimensions.max(1),
        }
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.dimensions];
        let lower = text.to_lowercase();
        for word in lower
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            self.add(&mut vector, word.as_bytes(), 1.0);
            for triple in word.as_bytes().windows(3) {
                self.add(&mut vector, triple, 0.3);
            }
        }
        vector
    }

    fn add(&self, vector: &mut [f32], feature: &[u8], weight: f32) {
        let hash = fnv1a(feature);
        let sign = if hash >> 63 == 0 { weight } else { -weight };
        let slot = (hash % self.dimensions as u64) as usize;
        vector[slot] += sign;
    }
}

impl Default for HashingEmbedder {
    fn default() -> Self {
        Self::new(256)
    }
}

impl Embedder for HashingEmbedder {
    fn space(&self) -> Space {
        Space {
            provider: "openhuman".to_owned(),
            model: "hashing".to_owned(),
            dimensions: self.dimensions,
            version: 1,
        }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<Vec<f32>>);

    impl Embedder for Fixed {
        fn space(&self) -> Space {
            HashingEmbedder::new(2).space()
        }

        fn embed(&self, _: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn malformed_answers_are_refused() {
        for answer in [
            vec![],
            vec![vec![1.0]],
            vec![vec![1.0, f32::NAN]],
            vec![vec![1.0, 0.0]; 2],
        ] {
            assert!(matches!(
                checked(&Fixed(answer), 2, &["a"]),
                Err(EmbedError::Malformed { .. })
            ));
        }
        assert!(checked(&Fixed(vec![vec![0.0, 1.0]]), 2, &["a"]).is_ok());
    }

    #[test]
    fn hashing_is_stable_and_knows_spelling() {
        let embedder = HashingEmbedder::default();
        let vectors = embedder
            .embed(&["red apples", "Red Apple", "quantum physics", ""])
            .unwrap();
        let dot = |a: usize, b: usize| {
            vectors[a]
                .iter()
                .zip(&vectors[b])
                .map(|(a, b)| a * b)
                .sum::<f32>()
        };
        assert!(dot(0, 1) > dot(0, 2));
        assert!(vectors[3].iter().all(|number| *number == 0.0));
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
