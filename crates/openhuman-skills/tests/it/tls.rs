//! Certificates are checked, against the name and not the pinned address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use openhuman_skills::{EgressOutcome, Engine, Grant, LedgerQuery, NameResolver};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::network::Always;
use crate::support::{call, run_with, tool};

/// A certificate authority nobody trusts by default.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// A server on loopback whose certificate is for these names.
    async fn serve(&self, names: &[&str]) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecure";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_certificate_is_accepted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = authority
        .serve(&["secure.test", "*.wild.test", "127.0.0.1"])
        .await;
    let wrong_name = authority.serve(&["other.test"]).await;
    let wrong_authority = stranger.serve(&["secure.test"]).await;
    let loopback: Arc<dyn NameResolver> = Arc::new(Always(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let engine = |roots: &[&Authority]| {
        let builder = Engine::builder().workers(1).resolver(Arc::clone(&loopback));
        let roots = roots.iter().map(|authority| authority.root.clone());
        roots
            .fold(builder, openhuman_skills::EngineBuilder::root_certificate)
            .build()
            .unwrap()
    };
    let mut grant = Grant::none();
    for host in [
        "secure.test",
        "a.wild.test",
        "a.b.wild.test",
        "127.0.0.1",
        "localhost",
    ] {
        for port in [good.port(), wrong_name.port(), wrong_authority.port()] {
            grant.allow_private(host, port);
        }
    }
    let trusting = engine(&[&authority]);
    let script = tool("try { return net.fetch(args.url).body; } catch (e) { return 'error: ' + e.message; }");
    let id = run_with(&trusting, "tls", &script, grant.clone()).await;
    let go = async |engine: &Engine, host: &str, port: u16| {
        call(engine, &id, json!({"url": format!("https://{host}:{port}/")}))
            .await
            .unwrap()
    };
    for host in ["secure.test", "SECURE.test.", "a.wild.test", "127.0.0.1"] {
        assert_eq!(go(&trusting, host, good.port()).await, "secure", "{host}");
    }
    for (host, port) in [
        ("a.b.wild.test", good.port()),
        // The address is right, the certificate is not for this name.
        ("localhost", good.port()),
        ("secure.test", wrong_name.port()),
        ("127.0.0.1", wrong_name.port()),
        ("secure.test", wrong_authority.port()),
    ] {
        let text = go(&trusting, host, port).await;
        assert!(text.contains("no TLS connection to"), "{host}:{port}: {text}");
    }
    let failed = trusting.ledger(&LedgerQuery::new().limit(1)).pop().unwrap();
    assert!(
        matches!(&failed.outcome, EgressOutcome::Failed { reason } if reason.contains("TLS")),
        "{failed:?}"
    );
    trusting.shutdown().await;

    let strict = engine(&[]);
    run_with(&strict, "tls", &script, grant).await;
    let text = go(&strict, "secure.test", good.port()).await;
    assert!(text.contains("no TLS connection to"), "{text}");
    strict.shutdown().await;
}

#[tokio::test]
async fn a_root_that_is_no_certificate_is_refused_when_the_engine_is_built() {
    let error = Engine::builder()
        .root_certificate(vec![1, 2, 3])
        .build()
        .unwrap_err();
    assert!(
        error.to_string().contains("a root certificate cannot be used"),
        "{error}"
    );
}
