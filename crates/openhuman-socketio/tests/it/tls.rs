//! TLS, with a certificate authority made for these tests.

use std::sync::Arc;

use openhuman_socketio::{Client, ClientBuilder, ConnectError, TlsOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::scripted::{OPEN, soon};

const AUTHORITY: &[u8] = include_bytes!("../tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../tls/server.pem");
const KEY: &[u8] = include_bytes!("../tls/server.key");

pub(crate) fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

pub(crate) fn trusting() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(AUTHORITY).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Connects to a TLS server that accepts one connection and greets it.
async fn attempt(
    host: &str,
    settings: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, ConnectError> {
    attempt_with(acceptor(), host, settings).await
}

async fn attempt_with(
    acceptor: TlsAcceptor,
    host: &str,
    settings: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, ConnectError> {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let Ok(stream) = acceptor.accept(tcp).await else {
            return;
        };
        // A client that does not like the certificate says so after the server's part of the handshake.
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
            return;
        };
        socket.send(Message::text(OPEN)).await.unwrap();
        let connect = socket.next().await.unwrap().unwrap();
        assert_eq!(connect, Message::text("40"));
        socket.send(Message::text(r#"40{"sid":"secure"}"#)).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
    let builder = settings(Client::builder(&format!("https://{host}:{port}")));
    let result = soon(builder.connect()).await;
    if let Ok(client) = &result {
        soon(client.disconnect()).await;
    }
    soon(server).await.unwrap();
    result
}

#[tokio::test]
async fn a_given_configuration_is_used() {
    for host in ["localhost", "127.0.0.1"] {
        assert!(
            attempt(host, |builder| builder.tls(trusting())).await.is_ok(),
            "{host}"
        );
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let result = attempt("localhost", |builder| builder).await;
    assert!(matches!(result, Err(ConnectError::Tls { .. })), "{result:?}");
}

/// A server whose certificate is from an authority of its own, and that asks for one.
struct Demanding {
    authority: String,
    client: (String, String),
    pin: String,
    acceptor: TlsAcceptor,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn demanding() -> Demanding {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};

    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap(), key)
    };
    let (server, server_key) = issue("localhost");
    let (client, client_key) = issue("me");
    let digest = ring::digest::digest(&ring::digest::SHA256, &server_key.subject_public_key_info());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::try_from(server_key.serialize_der()).unwrap(),
        )
        .unwrap();
    Demanding {
        authority: pem("CERTIFICATE", authority.der()),
        client: (
            pem("CERTIFICATE", client.der()),
            pem("PRIVATE KEY", &client_key.serialize_der()),
        ),
        pin: data_encoding::BASE64.encode(digest.as_ref()),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    }
}

/// A private authority, a client certificate and a pinned key; and each of them wrong.
#[tokio::test]
async fn authorities_certificates_and_pins_are_each_needed() {
    let server = demanding();
    let authority = || TlsOptions::new().root_certificates(server.authority.as_bytes());
    let known = || authority().client_certificate(server.client.0.as_bytes(), server.client.1.as_bytes());
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (options, accepted, what) in [
        (known().pin_public_key(&server.pin), true, "everything"),
        (
            known().pin_public_key(wrong).pin_public_key(&server.pin),
            true,
            "one pin of two",
        ),
        (known(), true, "no pin"),
        (known().pin_public_key(wrong), false, "another key"),
        (authority(), false, "no client certificate"),
        (
            TlsOptions::new().root_certificates(AUTHORITY),
            false,
            "another authority",
        ),
    ] {
        let tls = options.build().unwrap();
        let result = attempt_with(server.acceptor.clone(), "localhost", |builder| builder.tls(tls)).await;
        assert_eq!(result.is_ok(), accepted, "{what}: {result:?}");
    }
    // The name counts too.
    let tls = known().build().unwrap();
    let result = attempt_with(server.acceptor.clone(), "127.0.0.1", |builder| builder.tls(tls)).await;
    assert!(matches!(result, Err(ConnectError::Tls { .. })), "{result:?}");
}
