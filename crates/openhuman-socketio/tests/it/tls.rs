//! TLS, with a certificate authority made for these tests.

use std::sync::Arc;

use openhuman_socketio::{Client, ClientBuilder, ConnectError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::scripted::{OPEN, soon};

const AUTHORITY: &[u8] = include_bytes!("../tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../tls/server.pem");
const KEY: &[u8] = include_bytes!("../tls/server.key");

fn acceptor() -> TlsAcceptor {
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

fn trusting() -> Arc<ClientConfig> {
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
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let Ok(stream) = acceptor().accept(tcp).await else {
            return;
        };
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
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
