//! Two instances behind one Redis server, which the test starts.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use openhuman_backend::redis::{RedisCluster, RedisTokenStore, RedisTunnels};
use openhuman_backend::{
    Backend, BackendConfig, BackendError, MAX_TUNNELS, RunningBackend, Tunnel, TunnelStore as _,
};
use openhuman_vault::Key;
use openhuman_vault::tokens::contract;
use serde_json::{Value, json};

use crate::client::{Client, PATIENCE, http, log_in, session};

struct Redis {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server with nothing in it, which flushes each write to the disk; `None` when Redis is not installed here.
async fn redis() -> Option<Redis> {
    let required = std::env::var_os("OPENHUMAN_REQUIRE_REDIS").is_some_and(|value| value == "1");
    let installed = Command::new("redis-server").arg("--version").output().is_ok();
    assert!(
        installed || !required,
        "redis-server is missing; install the package redis-server"
    );
    if !installed {
        eprintln!("not run: redis-server is missing; install the package redis-server");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let process = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let redis = Redis {
        process,
        url: format!("redis://127.0.0.1:{port}/0"),
        _folder: folder,
    };
    let answers = async {
        loop {
            let url = redis.url.clone();
            let connected = tokio::task::spawn_blocking(move || RedisTokenStore::connect(&url).is_ok());
            if connected.await.unwrap() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answers)
        .await
        .expect("redis-server answers");
    Some(redis)
}

async fn instance(redis: &Redis) -> RunningBackend {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "07".repeat(32)).unwrap();
    let vars = |name: &str| match name {
        "OPENHUMAN_BACKEND_REDIS" => Some(redis.url.clone()),
        "OPENHUMAN_BACKEND_KEY_FILE" => Some(key_file.display().to_string()),
        _ => None,
    };
    let config = BackendConfig::load(None, vars).unwrap();
    let builder = Backend::builder().config(&config).await.unwrap();
    builder.start("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn the_shared_token_store_keeps_its_contract() {
    let Some(redis) = redis().await else { return };
    tokio::task::spawn_blocking(move || {
        let store = RedisTokenStore::connect(&redis.url).unwrap();
        contract::check(&store);
        let tunnels = RedisTunnels::connect(&redis.url).unwrap();
        let tunnel = |n: usize| Tunnel {
            id: n.to_string(),
            uuid: format!("u{n}"),
            user: "ada".to_owned(),
            name: "n".to_owned(),
            description: None,
            created_ms: i64::try_from(n).unwrap(),
        };
        for n in 0..MAX_TUNNELS {
            assert!(tunnels.insert(&tunnel(n)).unwrap());
        }
        assert!(!tunnels.insert(&tunnel(MAX_TUNNELS)).unwrap());
        assert_eq!(tunnels.list("ada").unwrap()[3], tunnel(3));
        assert!(!tunnels.remove("bob", "3").unwrap() && tunnels.remove("ada", "3").unwrap());
        assert_eq!(tunnels.find("u3").unwrap(), None);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn two_instances_are_one_backend() {
    let Some(redis) = redis().await else { return };
    let (one, two) = (Arc::new(instance(&redis).await), Arc::new(instance(&redis).await));

    // A token of one instance is good at the other, once, whoever is first.
    let issuer = Arc::clone(&one);
    let token = tokio::task::spawn_blocking(move || issuer.issue_login_token("ada").unwrap());
    let token = token.await.unwrap();
    let consume = format!("POST /telegram/login-tokens/{}/consume", token.expose());
    let both = tokio::join!(http(&one, &consume, None, b""), http(&two, &consume, None, b""));
    let mut statuses = [both.0.0, both.1.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);

    // The desktop is at the second instance; everything else asks the first.
    let issuer = Arc::clone(&one);
    let token = tokio::task::spawn_blocking(move || issuer.issue_login_token("ada").unwrap());
    let ada = log_in(&two, token.await.unwrap().expose()).await;
    let mut desktop = Client::connect(&two, &ada).await.unwrap();
    let joined = async {
        // Both have to have subscribed.
        while matches!(
            one.call_tool("nobody", "s__who", &json!({})).await,
            Err(BackendError::NotConnected { .. })
        ) && desktop_hears(&one, &mut desktop).await.is_none()
        {}
    };
    tokio::time::timeout(PATIENCE, joined)
        .await
        .expect("the instances find each other");
    let serving = tokio::spawn(async move {
        desktop.serve("at two", 2).await;
        desktop
    });
    let outcome = one.call_tool("ada", "s__who", &json!({})).await.unwrap();
    assert_eq!((outcome.text.as_str(), outcome.is_error), ("at two", false));
    let (_, _, body) = http(&one, "POST /webhooks/core", Some(&ada), br#"{"name":"shop"}"#).await;
    let tunnel: Value = serde_json::from_str(&body).unwrap();
    let path = tunnel["data"]["path"].as_str().unwrap();
    let (status, head, body) = http(&one, &format!("POST {path}/x?a=b"), None, b"paid").await;
    assert_eq!((status, body.as_str()), (202, "paid"));
    assert!(head.contains("x-who: at two"), "{head}");
    let desktop = serving.await.unwrap();

    let nobody = one.call_tool("nobody", "s__who", &json!({})).await;
    assert!(
        matches!(nobody, Err(BackendError::NotConnected { .. })),
        "{nobody:?}"
    );
    drop(desktop);
    let gone = async {
        while one.call_tool("ada", "s__who", &json!({})).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("a desktop that left is gone for both");
}

/// Sends an event from `from` and waits a moment for it; `None` when it did not arrive.
async fn desktop_hears(from: &RunningBackend, desktop: &mut Client) -> Option<()> {
    from.send_to_user("ada", "hello", &json!({})).await;
    let heard = tokio::time::timeout(Duration::from_millis(500), desktop.until("hello"));
    heard.await.ok().map(|_| ())
}

#[tokio::test]
async fn a_redis_server_that_is_not_there_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("redis://{closed}/0");
    let error = RedisCluster::connect(&url).await.unwrap_err();
    assert!(matches!(error, BackendError::Cluster { .. }), "{error}");
    assert!(RedisTunnels::connect("nonsense").is_err());
    let backend = Backend::builder()
        .key(Key::from_bytes([7; 32]))
        .start("127.0.0.1:0")
        .await
        .unwrap();
    assert!(
        !session(&backend, "ada").await.is_empty(),
        "one instance needs no Redis"
    );
    backend.shutdown().await;
}
