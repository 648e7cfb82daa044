//! The ways to a backend through company networks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openhuman::{Core, CoreError, Credential, Home, Network, ProxyChoice};
use openhuman_backend::Backend;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use socketioxide::{SocketIo, TransportType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Server, until_connected};
use crate::password;

async fn core_with(dir: &std::path::Path, network: Network) -> Core {
    let home = Home::at(dir.join("home"));
    let options = openhuman::vault::VaultOptions::fast_for_tests();
    let vault = match home.has_vault() {
        true => home.open_vault(&password()).unwrap(),
        false => home.create_vault(&password(), &options).unwrap(),
    };
    Core::builder(home, vault).network(network).build().await.unwrap()
}

/// Speaks TLS in front of a plain server, with a certificate of an authority of its own; its address and the authority.
async fn tls_front(target: String) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await.ok()?;
                let mut server = TcpStream::connect(target).await.ok()?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()
            });
        }
    });
    let text = data_encoding::BASE64.encode(authority.der());
    let authority = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    (format!("https://localhost:{port}"), authority)
}

/// An HTTP proxy that counts the tunnels it opened.
async fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let opened = Arc::<AtomicUsize>::default();
    let counter = opened.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let counter = counter.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.ok()?);
                }
                let head = String::from_utf8(head).ok()?;
                let target = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
                let mut server = TcpStream::connect(target).await.ok()?;
                counter.fetch_add(1, Ordering::SeqCst);
                client
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await
                    .ok()?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()
            });
        }
    });
    (address, opened)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_and_its_link_go_through_the_proxy_and_trust_a_given_authority() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::builder().start("127.0.0.1:0").await.unwrap();
    let (url, authority) = tls_front(backend.local_addr().to_string()).await;
    let (proxy, opened) = proxy().await;
    let login = || Credential::LoginToken(backend.issue_login_token("ana").unwrap().expose().to_owned());

    // An authority that nobody has vouched for: not even the login token is sent.
    let through = Network {
        proxy: ProxyChoice::At(proxy),
        ..Network::default()
    };
    let core = core_with(dir.path(), through.clone()).await;
    let refused = core.connect(&url, &login()).await.unwrap_err();
    assert!(matches!(refused, CoreError::Backend { .. }), "{refused}");
    core.close().await;
    drop(core);

    let ca_file = dir.path().join("company.pem");
    std::fs::write(&ca_file, authority).unwrap();
    let before = opened.load(Ordering::SeqCst);
    let core = core_with(
        dir.path(),
        Network {
            ca_file: Some(ca_file),
            ..through
        },
    )
    .await;
    core.connect(&url, &login()).await.unwrap();
    until_connected(&core).await;
    let tunnels = opened.load(Ordering::SeqCst) - before;
    assert!(
        tunnels >= 2,
        "the exchange and the link, each in a tunnel: {tunnels}"
    );
    core.close().await;
    backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_polling_takes_the_place_of_a_websocket_that_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Polling])
        .build_layer();
    let mut server = Server::with(layer, &io).await;
    let token = || Credential::SessionToken("t".into());
    let core = core_with(
        dir.path(),
        Network {
            long_polling: false,
            ..Network::default()
        },
    )
    .await;
    let refused = core.connect(&server.url, &token()).await;
    assert!(refused.is_err(), "this server takes no WebSocket");
    core.close().await;
    drop(core);

    let core = core_with(dir.path(), Network::default()).await;
    core.connect(&server.url, &token()).await.unwrap();
    let mut connection = server.connection().await;
    connection.event("tool:sync").await;
    core.close().await;
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Network {
        ca_file: Some(dir.path().join("missing.pem")),
        ..Network::default()
    };
    let core = core_with(dir.path(), missing).await;
    let refused = core
        .connect("https://localhost:1", &Credential::SessionToken("t".into()))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("missing.pem"), "{refused}");
    core.close().await;
}
