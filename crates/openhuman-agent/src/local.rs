//! Finds model servers on this machine: Ollama, LM Studio, llama-server and vLLM at their usual ports.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::join_all;

use crate::model::ModelInfo;
use crate::openai::retry::RetryPolicy;
use crate::openai::{OpenAiConfig, OpenAiModel};

/// How long a server on loopback may take to list its models.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Where a local server usually listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPort {
    /// The server's name for people.
    pub name: &'static str,
    /// The port on 127.0.0.1.
    pub port: u16,
}

/// The usual ports.
pub const USUAL_PORTS: [LocalPort; 4] = [
    LocalPort {
        name: "Ollama",
        port: 11434,
    },
    LocalPort {
        name: "LM Studio",
        port: 1234,
    },
    LocalPort {
        name: "llama-server",
        port: 8080,
    },
    LocalPort {
        name: "vLLM",
        port: 8000,
    },
];

/// A model server that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalServer {
    /// The name that belongs to the port.
    pub name: &'static str,
    /// For [`OpenAiConfig::base_url`].
    pub base_url: String,
    /// The models it offers; at least one.
    pub models: Vec<ModelInfo>,
}

/// Asks each port of this machine at the same time for its models, and gives those that answer with a list of at least
/// one model, in the order of `ports`. Takes at most a few seconds; what listens there and is no model server is left
/// out. Nothing leaves the machine.
pub async fn detect(ports: &[LocalPort]) -> Vec<LocalServer> {
    let found = join_all(ports.iter().map(|port| probe(*port))).await;
    found.into_iter().flatten().collect()
}

async fn probe(port: LocalPort) -> Option<LocalServer> {
    let base_url = format!("http://{}:{}/v1", Ipv4Addr::LOCALHOST, port.port);
    let config = OpenAiConfig {
        base_url: base_url.clone(),
        model: "any".to_owned(),
        connect_timeout: PATIENCE,
        first_byte_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        retry: RetryPolicy {
            attempts: 1,
            ..RetryPolicy::default()
        },
        ..OpenAiConfig::default()
    };
    let models = match OpenAiModel::new(config).ok()?.models().await {
        Ok(models) => models,
        Err(error) => {
            tracing::debug!(%error, server = port.name, "no local model server");
            return None;
        }
    };
    (!models.is_empty()).then_some(LocalServer {
        name: port.name,
        base_url,
        models,
    })
}
