//! What a secure connection trusts, and how it shows who it is.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::ConnectError;

/// Settings of TLS, for those who do not build a rustls [`ClientConfig`] themselves.
///
/// Without any, the platform decides which certificates are trusted.
///
/// ```no_run
/// use openhuman_socketio::{Client, TlsOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsOptions::new()
///     .root_certificates(&std::fs::read("company-ca.pem")?)
///     .client_certificate(&std::fs::read("me.pem")?, &std::fs::read("me.key")?)
///     .pin_public_key("d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=");
/// let builder = Client::builder("https://api.example.com").tls(tls.build()?);
/// # let _ = builder;
/// # Ok(()) }
/// ```
#[derive(Default)]
#[must_use = "options do nothing until build()"]
pub struct TlsOptions {
    roots: Vec<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
    pins: Vec<String>,
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("roots", &self.roots.len())
            .field("client", &self.client.is_some())
            .field("pins", &self.pins)
            .finish()
    }
}

impl TlsOptions {
    /// Trusts what the platform trusts and shows no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the authorities in this PEM text, and *only* them: the platform's are no longer trusted. Can be
    /// called several times.
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        self.roots.push(pem.to_vec());
        self
    }

    /// Shows this certificate (with those between it and its authority, in PEM) to servers that ask for one.
    pub fn client_certificate(mut self, chain: &[u8], key: &[u8]) -> Self {
        self.client = Some((chain.to_vec(), key.to_vec()));
        self
    }

    /// Accepts only servers whose certificate has this public key: the SHA-256 of its
    /// `SubjectPublicKeyInfo` in base64, as in `pin-sha256`. Everything else is checked as well. With several
    /// pins any of them will do, so that a key can be replaced.
    pub fn pin_public_key(mut self, sha256: &str) -> Self {
        self.pins.push(sha256.to_owned());
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    /// [`ConnectError::InvalidTls`] when a certificate, key or pin cannot be used.
    pub fn build(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        let provider = provider();
        let verifier = self.verifier(&provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(invalid)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &self.client {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain)?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(invalid)?;
                config.with_client_auth_cert(chain, key).map_err(invalid)?
            }
        };
        Ok(Arc::new(config))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
        let trusted: Arc<dyn ServerCertVerifier> = if self.roots.is_empty() {
            platform_verifier(Arc::clone(provider))?
        } else {
            let mut roots = RootCertStore::empty();
            for pem in &self.roots {
                for certificate in certificates(pem)? {
                    roots.add(certificate).map_err(invalid)?;
                }
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(invalid)?
        };
        if self.pins.is_empty() {
            return Ok(trusted);
        }
        let mut pins = Vec::new();
        for pin in &self.pins {
            let digest = data_encoding::BASE64.decode(pin.as_bytes()).ok();
            let digest: Option<[u8; 32]> = digest.and_then(|digest| digest.try_into().ok());
            pins.push(digest.ok_or_else(|| invalid("a pin is not the base64 of 32 bytes"))?);
        }
        Ok(Arc::new(Pinned { trusted, pins }))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(feature = "platform-verifier")]
fn platform_verifier(provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
    let verifier = rustls_platform_verifier::Verifier::new(provider).map_err(invalid)?;
    Ok(Arc::new(verifier))
}

#[cfg(not(feature = "platform-verifier"))]
fn platform_verifier(_provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
    Err(invalid(
        "this build trusts nobody by itself: give root certificates, or enable the feature platform-verifier",
    ))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(invalid)?;
    if all.is_empty() {
        return Err(invalid("there is no certificate in the PEM text"));
    }
    Ok(all)
}

fn invalid(problem: impl fmt::Display) -> ConnectError {
    ConnectError::InvalidTls {
        problem: problem.to_string(),
    }
}

/// Accepts what another verifier accepts, if its public key is one of those expected.
#[derive(Debug)]
struct Pinned {
    trusted: Arc<dyn ServerCertVerifier>,
    pins: Vec<[u8; 32]>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self
            .trusted
            .verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let digest = ring::digest::digest(&ring::digest::SHA256, key.as_ref());
        if self.pins.iter().any(|pin| pin == digest.as_ref()) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trusted
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trusted
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusted.supported_verify_schemes()
    }
}

/// The TLS configuration: given, or made when the first secure connection needs it.
#[derive(Debug, Default)]
pub(crate) struct Tls(OnceLock<Arc<ClientConfig>>);

impl Tls {
    pub(crate) fn given(config: Arc<ClientConfig>) -> Self {
        Self(OnceLock::from(config))
    }

    pub(crate) async fn config(&self, host: &str) -> Result<Arc<ClientConfig>, ConnectError> {
        if let Some(config) = self.0.get() {
            return Ok(Arc::clone(config));
        }
        // Reading the platform's certificates can take a while.
        let made = tokio::task::spawn_blocking(|| TlsOptions::new().build());
        let config = made.await.map_err(|error| ConnectError::Tls {
            host: host.to_owned(),
            source: io::Error::other(error),
        })??;
        Ok(Arc::clone(self.0.get_or_init(|| config)))
    }

    #[cfg(test)]
    pub(crate) fn is_made(&self) -> bool {
        self.0.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The provider is named, so no process-wide default is needed or set.
    #[test]
    fn the_platform_configuration_needs_no_default_provider() {
        // A machine without any certificates may refuse; it must not panic.
        let _ = TlsOptions::new().build();
        assert!(CryptoProvider::get_default().is_none());
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let refused = |options: TlsOptions| matches!(options.build(), Err(ConnectError::InvalidTls { .. }));
        let authority: &[u8] = include_bytes!("../tests/tls/ca.pem");
        assert!(!refused(TlsOptions::new().root_certificates(authority)));
        assert!(refused(TlsOptions::new().root_certificates(b"no PEM")));
        assert!(refused(
            TlsOptions::new()
                .root_certificates(authority)
                .pin_public_key("short")
        ));
        assert!(refused(
            TlsOptions::new()
                .root_certificates(authority)
                .client_certificate(authority, b"no key")
        ));
    }
}
