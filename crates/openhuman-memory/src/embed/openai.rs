//! OpenAI's embeddings, and those of every server that speaks the same protocol: Ollama, LM Studio, vLLM, llama.cpp.
//!
//! The texts leave this machine. Nothing makes such an embedder by itself; whoever does decides where they go.

mod wire;

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER};

use self::wire::Answer;
use super::http::{address, client};
use super::{EmbedError, Embedder, Space};
use crate::chunk;

/// The most inputs that OpenAI takes in one request.
const MAX_BATCH: usize = 2048;

/// The most tokens of one input; longer texts are cut, as their beginning still tells what they are about.
const MAX_INPUT_TOKENS: usize = 8191;

/// The longest answer that is read: 2,048 vectors of 4,096 numbers, written out.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// Where the vectors come from.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// Up to and including the version, without `/embeddings`. Default: `https://api.openai.com/v1`. Plain HTTP is
    /// taken for this machine only, because the key and the texts are sent there.
    pub base_url: String,
    /// Sent as bearer token; `None` for servers that want none.
    pub key: Option<String>,
    /// Default: `text-embedding-3-small`.
    pub model: String,
    /// Numbers per vector. Default: 1536.
    pub dimensions: usize,
    /// Whether to ask the server for that many dimensions. Models of the third generation can shorten their vectors;
    /// most other servers refuse the question. Default: whether `dimensions` is not 1536.
    pub ask_for_dimensions: Option<bool>,
    /// Texts per request, 1 to 2048. Default: 256.
    pub batch: usize,
    /// How long one request may take. Default: 60 seconds.
    pub timeout: Duration,
    /// How often a request is made in all when the server is busy or not reachable. Default: 4.
    pub attempts: u32,
    /// The longest wait before another attempt; when the server asks for more, the call fails and says so. Default:
    /// 30 seconds.
    pub longest_wait: Duration,
    /// Waits before another attempt. Default: [`std::thread::sleep`].
    pub wait: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl OpenAiOptions {
    /// `text-embedding-3-small` at OpenAI.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            ..Self::compatible("https://api.openai.com/v1", "text-embedding-3-small", 1536)
        }
    }

    /// A server that speaks the same protocol, without a key.
    ///
    /// ```
    /// use openhuman_memory::{OpenAiEmbedder, OpenAiOptions};
    ///
    /// let options = OpenAiOptions::compatible("http://localhost:11434/v1", "nomic-embed-text", 768);
    /// let embedder = OpenAiEmbedder::new(options)?;
    /// # Ok::<(), openhuman_memory::EmbedError>(())
    /// ```
    pub fn compatible(base_url: impl Into<String>, model: impl Into<String>, dimensions: usize) -> Self {
        Self {
            base_url: base_url.into(),
            key: None,
            model: model.into(),
            dimensions,
            ask_for_dimensions: None,
            batch: 256,
            timeout: Duration::from_secs(60),
            attempts: 4,
            longest_wait: Duration::from_secs(30),
            wait: Arc::new(std::thread::sleep),
        }
    }
}

impl fmt::Debug for OpenAiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiOptions")
            .field("base_url", &self.base_url)
            .field("key", &self.key.as_ref().map(|_| "..."))
            .field("model", &self.model)
            .field("dimensions", &self.dimensions)
            .finish_non_exhaustive()
    }
}

/// An [`Embedder`] behind `POST /embeddings`. Its calls block; do not make them, nor create or drop it, on a thread
/// of an async runtime.
///
/// Attempts are repeated when the server is busy (429, 5xx) or not reachable, after what `Retry-After` says, as seconds
/// or as a date, or twice as long each time, from half a second on. An empty text has a vector of zeros and is not sent.
#[derive(Debug)]
pub struct OpenAiEmbedder {
    options: OpenAiOptions,
    url: Url,
    client: Client,
}

impl OpenAiEmbedder {
    /// Prepares the connection; nothing is sent.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Config`] for an address, a key or a size that cannot be used.
    pub fn new(options: OpenAiOptions) -> Result<Self, EmbedError> {
        let wrong = |reason: String| EmbedError::Config { reason };
        let base = options.base_url.trim_end_matches('/');
        let url = address(&format!("{base}/embeddings"))?;
        if !(1..=MAX_BATCH).contains(&options.batch) || options.attempts == 0 || options.dimensions == 0 {
            return Err(wrong(format!(
                "batch must be 1 to {MAX_BATCH}, attempts and dimensions at least 1; got {}, {} and {}",
                options.batch, options.attempts, options.dimensions
            )));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &options.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| wrong("the key holds a character that no key has; copy it again".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        // A key is not taken along to wherever a redirect leads.
        let client = client(&url, options.timeout, headers, 0)?;
        Ok(Self { options, url, client })
    }

    fn batch(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let asks = self
            .options
            .ask_for_dimensions
            .unwrap_or(self.options.dimensions != 1536);
        let body = wire::request(
            &self.options.model,
            texts,
            asks.then_some(self.options.dimensions),
        );
        let mut pause = Duration::from_millis(500);
        let mut attempt = 1;
        loop {
            let (error, wait) = match self.post(&body) {
                Ok(Answer::Vectors(vectors)) => return Ok(vectors),
                Ok(Answer::Final(error)) => return Err(error),
                Ok(Answer::Again { error, after }) => (error, after),
                Err(error) => (error, None),
            };
            let wait = wait.unwrap_or(pause);
            if attempt >= self.options.attempts || wait > self.options.longest_wait {
                return Err(error);
            }
            tracing::debug!(attempt, wait_ms = wait.as_millis(), %error, "embedding is tried again");
            (self.options.wait)(wait);
            attempt += 1;
            pause *= 2;
        }
    }

    fn post(&self, body: &str) -> Result<Answer, EmbedError> {
        let lost = |error: reqwest::Error| EmbedError::Unavailable {
            reason: format!("no answer from {}", self.url.host_str().unwrap_or_default()),
            source: Some(Box::new(error.without_url())),
        };
        let request = self.client.post(self.url.clone());
        let response = request
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body.to_owned())
            .send()
            .map_err(lost)?;
        let status = response.status().as_u16();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let waits = wire::Waits {
            milliseconds: header("retry-after-ms"),
            after: header(RETRY_AFTER.as_str()),
            date: header(DATE.as_str()),
        };
        let after = wire::retry_after(&waits, SystemTime::now());
        let mut text = Vec::new();
        response
            .take(MAX_ANSWER)
            .read_to_end(&mut text)
            .map_err(|error| EmbedError::Unavailable {
                reason: format!(
                    "the answer of {} broke off",
                    self.url.host_str().unwrap_or_default()
                ),
                source: Some(Box::new(error)),
            })?;
        Ok(wire::answer(status, after, &text, self.options.dimensions))
    }
}

impl Embedder for OpenAiEmbedder {
    fn space(&self) -> Space {
        let host = self.url.host_str().unwrap_or_default();
        let provider = if host == "api.openai.com" { "openai" } else { host };
        Space {
            provider: provider.to_owned(),
            model: self.options.model.clone(),
            dimensions: self.options.dimensions,
            version: 1,
        }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut vectors = vec![vec![0.0; self.options.dimensions]; texts.len()];
        let sent: Vec<usize> = (0..texts.len())
            .filter(|at| !texts[*at].trim().is_empty())
            .collect();
        for batch in sent.chunks(self.options.batch) {
            let inputs: Vec<&str> = batch
                .iter()
                .map(|at| chunk::prefix(texts[*at], MAX_INPUT_TOKENS))
                .collect();
            for (at, vector) in batch.iter().zip(self.batch(&inputs)?) {
                vectors[*at] = vector;
            }
        }
        Ok(vectors)
    }
}
