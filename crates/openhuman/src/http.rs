//! HTTP over rustls with the ring provider, named explicitly: no process default is installed.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use url::Url;

use crate::CoreError;
use crate::network::Network;

/// A client for requests to a backend, over the same way as the link, with the given limit for a whole request.
pub(crate) fn client(
    timeout: Duration,
    network: &Network,
    backend: &Url,
) -> Result<reqwest::Client, CoreError> {
    let tls = match network.tls()? {
        Some(config) => ClientConfig::clone(&config),
        None => platform()?,
    };
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none());
    network
        .http_proxy(backend, builder)?
        .build()
        .map_err(|error| unusable(&error))
}

/// What the platform trusts.
fn platform() -> Result<ClientConfig, CoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(match builder.clone().with_platform_verifier() {
        Ok(verified) => verified.with_no_client_auth(),
        Err(error) => {
            // A machine without trusted roots can still speak plain HTTP to its own loopback.
            tracing::warn!(%error, "no trusted roots on this machine: https addresses will be refused");
            builder
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
        }
    })
}

fn unusable(error: &dyn std::fmt::Display) -> CoreError {
    CoreError::Setting {
        setting: "the TLS configuration",
        reason: error.to_string(),
    }
}

/// Why the body of an answer could not be read.
pub(crate) enum BodyError {
    Failed(reqwest::Error),
    TooLong,
}

/// Reads the body of an answer, at most `limit` bytes.
pub(crate) async fn body(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Failed)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
