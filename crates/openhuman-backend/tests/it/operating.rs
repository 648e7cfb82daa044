//! Health, metrics, draining, TLS, many clients.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openhuman_backend::{Backend, Limits, TlsFiles};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::client::{Client, PATIENCE, http, session};
use crate::serving::scripted;

#[tokio::test]
async fn a_drain_lets_turns_end_and_takes_nothing_new() {
    let (backend, _model) = scripted(Limits::default()).await;
    let ada = session(&backend, "ada").await;
    let mut desktop = Client::connect(&backend, &ada).await.unwrap();
    desktop
        .emit("chat:start", &json!({"thread_id": "t", "message": "slow"}))
        .await;
    // Tools are asked for first.
    desktop.serve("x", 0).await;
    loop {
        let (name, payload) = desktop.event().await;
        if name == "mcp:listTools" {
            let answer = json!({"requestId": payload["requestId"], "tools": []});
            desktop.emit("mcp:listToolsResponse", &answer).await;
        }
        if name == "chat_delta" {
            break;
        }
    }
    let (status, _, health) = http(&backend, "GET /health", None, b"").await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&health).unwrap()["turns"], 1);
    let (_, _, metrics) = http(&backend, "GET /metrics", None, b"").await;
    for line in [
        "openhuman_desktops 1",
        "openhuman_users 1",
        "openhuman_turns_total 1",
        "openhuman_logins_total 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let address = backend.local_addr();
    let draining = tokio::spawn(backend.drain(PATIENCE));
    let refused = async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            if answer.starts_with("HTTP/1.1 503") {
                return answer;
            }
        }
    };
    let health = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert!(health.contains("draining"), "{health}");
    desktop
        .emit("chat:start", &json!({"thread_id": "u", "message": "hello"}))
        .await;
    let error = desktop.until("chat_error").await;
    assert!(
        error["message"].as_str().unwrap().contains("shutting down"),
        "{error}"
    );
    let done = desktop.until("chat_done").await;
    assert_eq!(
        done["full_response"], "one two three",
        "the running turn comes to its end"
    );
    assert!(draining.await.unwrap());
    desktop.closed().await;
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
        lines.join("\n")
    )
}

#[tokio::test]
async fn tls_is_served_and_bad_certificates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("chain.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, pem("CERTIFICATE", made.cert.der())).unwrap();
    std::fs::write(&files.key, pem("PRIVATE KEY", &made.signing_key.serialize_der())).unwrap();
    let backend = Backend::builder()
        .tls(files.clone())
        .start("127.0.0.1:0")
        .await
        .unwrap();
    assert!(backend.url().starts_with("https://"));

    // One that never begins its handshake holds nobody up.
    let _silent = TcpStream::connect(backend.local_addr()).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(backend.local_addr()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut stream = tokio::time::timeout(PATIENCE, connector.connect(name, stream))
        .await
        .unwrap()
        .unwrap();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    // The server may close without a TLS goodbye.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"ok\""),
        "{answer}"
    );
    backend.shutdown().await;

    std::fs::write(&files.certificate, "nothing").unwrap();
    let error = Backend::builder()
        .tls(files)
        .start("127.0.0.1:0")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("chain.pem"), "{error}");
}

/// `OPENHUMAN_CLIENTS=2000` for the whole number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_desktops_stay_connected_and_each_is_served() {
    let count: usize = std::env::var("OPENHUMAN_CLIENTS").map_or(200, |count| count.parse().unwrap());
    let mut limits = Limits::default();
    limits.desktops = count;
    let (backend, _model) = scripted(limits).await;
    let backend = Arc::new(backend);
    let started = std::time::Instant::now();
    // Four for each user, so that rooms have several members; they come side by side, those of one user in order.
    let doors = Arc::new(Semaphore::new(32));
    let arriving: Vec<_> = (0..count.div_ceil(4))
        .map(|n| {
            let (backend, doors) = (Arc::clone(&backend), Arc::clone(&doors));
            tokio::spawn(async move {
                let _door = doors.acquire_owned().await.unwrap();
                let session = session(&backend, &format!("user{n}")).await;
                let mut staying = Vec::new();
                for place in 4 * n..count.min(4 * n + 4) {
                    let mut client = Client::connect(&backend, &session).await.unwrap();
                    // From now on it answers pings.
                    staying.push(tokio::spawn(async move {
                        client.until("hello").await;
                        if place % 4 == 0 {
                            client.serve(&place.to_string(), 1).await;
                        }
                        client
                    }));
                }
                staying
            })
        })
        .collect();
    let mut tasks = Vec::with_capacity(count);
    for arrived in arriving {
        tasks.extend(arrived.await.unwrap());
    }
    let extra = session(&backend, "late").await;
    let Err(refused) = Client::connect(&backend, &extra).await else {
        panic!("one too many")
    };
    assert!(refused.contains("no room"), "{refused}");
    assert_eq!(backend.desktops().len(), count);
    let connected = started.elapsed();

    let asking: Vec<_> = (0..count.div_ceil(4))
        .map(|n| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move {
                let user = format!("user{n}");
                assert!(backend.send_to_user(&user, "hello", &json!({})).await > 0);
                let outcome = backend.call_tool(&user, "s__who", &json!({})).await.unwrap();
                assert_eq!(
                    outcome.text,
                    (4 * n).to_string(),
                    "the desktop that connected first answers"
                );
            })
        })
        .collect();
    for task in asking {
        task.await.unwrap();
    }
    let mut clients = Vec::new();
    for task in tasks {
        clients.push(task.await.unwrap());
    }
    println!(
        "{count} desktops connected in {connected:?}, all served after {:?}",
        started.elapsed()
    );
    drop(clients);
    let gone = async {
        while !backend.desktops().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("nothing of them is left");
    assert!(backend.metrics().contains("openhuman_calls_waiting 0"));
}
