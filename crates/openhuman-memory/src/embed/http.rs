//! Connections to servers of models.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::EmbedError;

/// An address that is safe to send texts and keys to: with encryption, or on this machine.
pub(super) fn address(given: &str) -> Result<Url, EmbedError> {
    let wrong = |reason: String| EmbedError::Config { reason };
    let url = Url::parse(given).map_err(|error| wrong(format!("{given:?} is not an address ({error})")))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && is_local(&url)) {
        return Err(wrong(format!(
            "{given:?} would send texts and the key without encryption; use https"
        )));
    }
    Ok(url)
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A client for one address; it follows so many redirects, to encrypted addresses only.
pub(super) fn client(
    url: &Url,
    timeout: Duration,
    headers: HeaderMap,
    redirects: usize,
) -> Result<Client, EmbedError> {
    let wrong = |reason: String| EmbedError::Config { reason };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(format!("TLS could not be prepared: {error}")))?;
    let tls = if url.scheme() == "https" {
        let verified = builder.with_platform_verifier();
        verified.map_err(|error| wrong(format!("no trusted certificates on this machine: {error}")))?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    let policy = if redirects == 0 {
        Policy::none()
    } else {
        Policy::custom(move |attempt| {
            if attempt.previous().len() > redirects || attempt.url().scheme() != "https" {
                attempt.stop()
            } else {
                attempt.follow()
            }
        })
    };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .timeout(timeout)
        .default_headers(headers)
        .redirect(policy);
    if is_local(url) {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| wrong(format!("the HTTP client could not be prepared: {error}")))
}
