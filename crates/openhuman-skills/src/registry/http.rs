//! Fetching over HTTP.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use url::Url;

use super::fetch::{check_url, is_loopback};
use super::{FetchError, Fetched, RegistryFetch};
use crate::EngineError;

/// How often a server may send the client elsewhere.
const MAX_REDIRECTS: usize = 3;
const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(120);
const MAX_ETAG: usize = 256;

/// Fetches over https, and over http from this machine. Redirects are followed three times, each checked anew.
#[derive(Clone, Debug)]
pub struct HttpFetch {
    client: Client,
    /// A proxy does not know what this machine calls itself.
    local: Client,
}

impl HttpFetch {
    /// Sets up the client, with the trusted certificates and the proxy of the system.
    ///
    /// # Errors
    /// [`EngineError::Network`] when TLS cannot be set up.
    pub fn new() -> Result<Self, EngineError> {
        let failed = |error: &dyn std::fmt::Display| EngineError::Network(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?;
        let tls = match builder.clone().with_platform_verifier() {
            Ok(verified) => verified.with_no_client_auth(),
            Err(error) => {
                // Every https request then fails its verification, and says so.
                tracing::warn!(%error, "no trusted root certificates: no registry can be reached over https");
                builder
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth()
            }
        };
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(Policy::none())
                .referer(false)
                .connect_timeout(CONNECT)
                .timeout(WHOLE)
                .user_agent(concat!("openhuman/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Self {
            client: builder().build().map_err(|error| failed(&error))?,
            local: builder().no_proxy().build().map_err(|error| failed(&error))?,
        })
    }

    async fn run(&self, url: &Url, etag: Option<&str>, limit: usize) -> Result<Fetched, FetchError> {
        let local = is_loopback(url);
        let mut place = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            check_url(&place, local)?;
            let client = if is_loopback(&place) {
                &self.local
            } else {
                &self.client
            };
            let mut request = client.get(place.clone());
            if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
                request = request.header(IF_NONE_MATCH, etag);
            }
            let response = request
                .send()
                .await
                .map_err(|error| unreachable(&place, &error))?;
            let status = response.status();
            if status == StatusCode::NOT_MODIFIED && etag.is_some() {
                return Ok(Fetched::NotModified);
            }
            if status.is_redirection() {
                place = target(&place, &response)?;
                continue;
            }
            if status != StatusCode::OK {
                return Err(FetchError::Status {
                    url: place.to_string(),
                    status: status.as_u16(),
                });
            }
            return body(&place, response, limit).await;
        }
        Err(FetchError::Refused {
            url: url.to_string(),
            reason: "it redirects more than three times",
        })
    }
}

impl RegistryFetch for HttpFetch {
    fn get<'a>(
        &'a self,
        url: &'a Url,
        etag: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(self.run(url, etag, limit))
    }
}

fn unreachable(url: &Url, error: &reqwest::Error) -> FetchError {
    // The cause says more than the outermost error, which repeats the address.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    FetchError::Failed {
        url: url.to_string(),
        reason: cause.to_string(),
    }
}

fn target(from: &Url, response: &Response) -> Result<Url, FetchError> {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    target.ok_or_else(|| FetchError::Refused {
        url: from.to_string(),
        reason: "it redirects to nowhere",
    })
}

async fn body(url: &Url, response: Response, limit: usize) -> Result<Fetched, FetchError> {
    let too_large = || FetchError::TooLarge {
        url: url.to_string(),
        limit,
    };
    if response.content_length().is_some_and(|size| size > limit as u64) {
        return Err(too_large());
    }
    let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok());
    let etag = etag.filter(|etag| etag.len() <= MAX_ETAG).map(str::to_owned);
    let mut bytes = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| unreachable(url, &error))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Fetched::Body { bytes, etag })
}
