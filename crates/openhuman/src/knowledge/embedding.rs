//! Where the vectors of the memory come from: the built-in table, or a server of the user's choice.

use std::sync::Arc;

use openhuman_memory::{
    EmbedError, Embedder, MemoryError, OpenAiEmbedder, OpenAiOptions, Progress, Reembedded, Space,
    StaticEmbedder, UnavailableEmbedder,
};
use openhuman_vault::{Secret, Vault};
use serde::{Deserialize, Serialize};

use crate::{Core, CoreError};

/// The vault's record of the choice, and the name of the key that belongs to it.
const SETTING: &str = "memory-embedding";
const KEY: &str = "memory-embedding-key";

/// The address of OpenAI's interface.
const OPENAI: &str = "https://api.openai.com/v1";

/// What is embedded to find out whether a server answers as it should.
const PROBE: &str = "a sentence to measure";

/// A server that computes the vectors, in the protocol of OpenAI: OpenAI itself, Ollama, LM Studio, llama.cpp, vLLM.
/// Every text that is remembered or looked for is sent there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingServer {
    /// Up to and including the version, without `/embeddings`. Plain HTTP is taken for this machine only.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// How many numbers its vectors have, 1 to 4096.
    pub dimensions: usize,
    /// Whether it wants a key, which lies in the vault.
    pub with_key: bool,
}

impl EmbeddingServer {
    /// `text-embedding-3-small` at OpenAI, with a key.
    #[must_use]
    pub fn openai() -> Self {
        Self {
            base_url: OPENAI.to_owned(),
            model: "text-embedding-3-small".to_owned(),
            dimensions: 1536,
            with_key: true,
        }
    }

    /// Whether texts stay on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let host = url::Url::parse(&self.base_url).ok();
        let host = host.as_ref().and_then(url::Url::host);
        match host {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }

    fn load(vault: &Vault) -> Result<Option<Self>, CoreError> {
        let stored = vault.secret(SETTING)?;
        let read = stored.map(|bytes| serde_json::from_slice(&bytes));
        read.transpose().map_err(|error| CoreError::Setting {
            setting: "the stored choice of the embedding model",
            reason: format!("it cannot be read ({error}); choose again with `openhuman memory embedder`"),
        })
    }

    fn options(&self, key: Option<&str>) -> OpenAiOptions {
        let mut options = OpenAiOptions::compatible(&*self.base_url, &*self.model, self.dimensions);
        // OpenAI can shorten its vectors; other servers refuse to be asked.
        let openai = self.base_url.trim_end_matches('/') == OPENAI;
        options.ask_for_dimensions = Some(openai && self.dimensions != 1536);
        options.key = key.map(str::to_owned);
        options
    }
}

/// The state of the vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EmbeddingStatus {
    /// The space in which they are.
    pub stored: Space,
    /// The space that was chosen; another one as long as `openhuman memory reembed` has not come to its end.
    pub chosen: Space,
    /// The server that was chosen; `None` for the built-in table.
    pub server: Option<EmbeddingServer>,
    /// Why searches fail, when they do.
    pub problem: Option<String>,
}

/// An embedder that was chosen, or why there is none. Blocks when it is made.
pub(super) struct Wanted {
    pub(super) space: Space,
    pub(super) embedder: Result<Arc<dyn Embedder>, String>,
    server: Option<EmbeddingServer>,
}

impl Wanted {
    /// What the user chose. Blocks.
    pub(super) fn load(vault: &Vault) -> Result<Self, CoreError> {
        let Some(server) = EmbeddingServer::load(vault)? else {
            return Ok(Self {
                space: StaticEmbedder.space(),
                embedder: Ok(Arc::new(StaticEmbedder)),
                server: None,
            });
        };
        let key = match server.with_key {
            true => reveal(vault, &server)?,
            false => None,
        };
        let unusable = |error: &EmbedError| CoreError::Setting {
            setting: "the chosen embedding model",
            reason: format!("{error}; choose again with `openhuman memory embedder`"),
        };
        let options = server.options(key.as_ref().and_then(Secret::expose_str));
        let embedder = OpenAiEmbedder::new(options).map_err(|error| unusable(&error))?;
        let space = embedder.space();
        let embedder: Result<Arc<dyn Embedder>, String> = if server.with_key && key.is_none() {
            Err(format!(
                "no key for {} is in the vault; `openhuman memory embedder set` takes one",
                server.base_url
            ))
        } else {
            Ok(Arc::new(OffThread::new(embedder)))
        };
        Ok(Self {
            space,
            embedder,
            server: Some(server),
        })
    }

    /// The embedder for a memory whose vectors are in `stored`, or are to be in the chosen space.
    pub(super) fn for_space(&self, stored: &Space) -> Arc<dyn Embedder> {
        if *stored == self.space {
            return match &self.embedder {
                Ok(embedder) => embedder.clone(),
                Err(reason) => Arc::new(UnavailableEmbedder::new(stored.clone(), reason)),
            };
        }
        if *stored == StaticEmbedder.space() {
            return Arc::new(StaticEmbedder);
        }
        Arc::new(UnavailableEmbedder::new(stored.clone(), self.another(stored)))
    }

    fn another(&self, stored: &Space) -> String {
        format!(
            "the vectors are of {stored}, and {} was chosen; `openhuman memory reembed` computes them anew",
            self.space
        )
    }

    fn problem(&self, stored: &Space) -> Option<String> {
        match &self.embedder {
            Err(reason) if *stored == self.space => Some(reason.clone()),
            _ if *stored == self.space || *stored == StaticEmbedder.space() => None,
            _ => Some(self.another(stored)),
        }
    }
}

fn reveal(vault: &Vault, server: &EmbeddingServer) -> Result<Option<Secret>, CoreError> {
    let secrets = vault.secrets(now_ms());
    let Some(handle) = secrets.handle(KEY)? else {
        return Ok(None);
    };
    let purpose = format!("the memory is embedded at {}", server.base_url);
    Ok(Some(secrets.reveal(&handle, &purpose)?))
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// An embedder whose HTTP client is never dropped on a thread of the runtime, which it would not survive.
struct OffThread {
    space: Space,
    embedder: Option<OpenAiEmbedder>,
}

impl OffThread {
    fn new(embedder: OpenAiEmbedder) -> Self {
        Self {
            space: embedder.space(),
            embedder: Some(embedder),
        }
    }
}

impl Embedder for OffThread {
    fn space(&self) -> Space {
        self.space.clone()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        match &self.embedder {
            Some(embedder) => embedder.embed(texts),
            // Only while it is dropped.
            None => Ok(Vec::new()),
        }
    }
}

impl Drop for OffThread {
    fn drop(&mut self) {
        let embedder = self.embedder.take();
        if tokio::runtime::Handle::try_current().is_ok() {
            std::thread::spawn(move || drop(embedder));
        }
    }
}

impl Core {
    /// The state of the vectors. Blocks.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn embedding(&self) -> Result<EmbeddingStatus, CoreError> {
        let wanted = Wanted::load(self.vault())?;
        let stored = self.memory().space();
        Ok(EmbeddingStatus {
            problem: wanted.problem(&stored),
            stored,
            chosen: wanted.space,
            server: wanted.server,
        })
    }

    /// Chooses a server for the vectors, with its key, or the built-in table with `None`. The server is asked for one
    /// vector first; nothing is stored when it does not answer. The memory stays in its space until
    /// [`Core::reembed`]. Blocks.
    ///
    /// # Errors
    /// When the server cannot be used, or the vault cannot be written.
    pub fn choose_embedding(
        &self,
        server: Option<&EmbeddingServer>,
        key: Option<&str>,
    ) -> Result<EmbeddingStatus, CoreError> {
        let vault = self.vault();
        let secrets = vault.secrets(now_ms());
        let Some(server) = server else {
            vault.remove_secret(SETTING)?;
            secrets.remove(KEY, "the built-in embedding table was chosen")?;
            return self.embedding();
        };
        let mut options = server.clone();
        options.with_key |= key.is_some();
        let kept = match (key, options.with_key) {
            (None, true) => reveal(vault, &options)?,
            _ => None,
        };
        try_out(&options, key.or_else(|| kept.as_ref()?.expose_str()))?;
        if let Some(key) = key {
            secrets.put(
                KEY,
                key.as_bytes(),
                &format!("for embeddings at {}", options.base_url),
            )?;
        }
        let bytes = serde_json::to_vec(&options).map_err(|error| CoreError::Task(error.to_string()))?;
        vault.set_secret(SETTING, &bytes)?;
        self.embedding()
    }

    /// Computes all vectors in the chosen space, batch by batch, and then searches there; until then searches go on in
    /// the old one. What an interruption left is gone on with. `progress` may stop it.
    ///
    /// # Errors
    /// When the chosen model is not available.
    pub async fn reembed(
        &self,
        mut progress: impl FnMut(Progress) -> bool + Send + 'static,
    ) -> Result<Reembedded, CoreError> {
        self.blocking(move |core| {
            let wanted = Wanted::load(core.vault())?;
            if core.memory().space() == wanted.space && core.embedding()?.problem.is_none() {
                return Ok(Reembedded::Complete);
            }
            let embedder = wanted.embedder.map_err(|reason| CoreError::Setting {
                setting: "the chosen embedding model",
                reason,
            })?;
            Ok(core.memory().reembed(embedder, &mut progress)?)
        })
        .await
    }
}

/// Asks a server for one vector.
fn try_out(server: &EmbeddingServer, key: Option<&str>) -> Result<(), CoreError> {
    let unusable = |reason: String| CoreError::Setting {
        setting: "the embedding model",
        reason: format!("{reason}; nothing was changed"),
    };
    if server.with_key && key.is_none() {
        return Err(unusable(format!("{} wants a key", server.base_url)));
    }
    let mut options = server.options(key);
    // Somebody waits for it.
    options.attempts = 1;
    let embedder = OpenAiEmbedder::new(options).map_err(|error| unusable(error.to_string()))?;
    match embedder.embed(&[PROBE]) {
        Ok(_) => Ok(()),
        Err(error) if error.is_transient() => Err(MemoryError::from(EmbedError::Unavailable {
            reason: format!("{}; nothing was changed", told(&error)),
            source: None,
        })
        .into()),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// Why a server did not answer: what the network said at the bottom of it.
fn told(error: &EmbedError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let reason = match error {
        EmbedError::Unavailable { reason, .. } | EmbedError::RateLimited { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    match causes.last() {
        Some(cause) => format!("{reason}: {cause}"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_on_this_machine_or_do_not() {
        let at = |base_url: &str| EmbeddingServer {
            base_url: base_url.to_owned(),
            ..EmbeddingServer::openai()
        };
        for local in [
            "http://127.0.0.1:11434/v1",
            "http://localhost:1234/v1",
            "http://[::1]/v1",
        ] {
            assert!(at(local).is_local(), "{local}");
        }
        for away in [
            "https://api.openai.com/v1",
            "https://localhost.example/v1",
            "nonsense",
        ] {
            assert!(!at(away).is_local(), "{away}");
        }
    }

    #[tokio::test]
    async fn an_embedder_survives_the_threads_of_the_runtime() {
        let made =
            tokio::task::spawn_blocking(|| OpenAiEmbedder::new(EmbeddingServer::openai().options(None)));
        let embedder = OffThread::new(made.await.unwrap().unwrap());
        assert_eq!(embedder.space().model, "text-embedding-3-small");
        drop(embedder);
    }
}
