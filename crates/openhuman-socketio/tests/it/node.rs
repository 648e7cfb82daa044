//! The official `socket.io` server for Node.js, as a process of its own.

use std::path::PathBuf;
use std::process::Stdio;

use openhuman_socketio::{Client, ClientBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;

use crate::scripted::{quick, soon};

/// Set this to anything to do without these tests.
pub(crate) const SKIP: &str = "OPENHUMAN_SOCKETIO_SKIP_NODE";

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join("node")
}

/// Installs the server's packages once, if they are missing.
pub(crate) async fn installed() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED
        .get_or_init(|| async {
            let packages = [
                "socket.io",
                "socket.io-client",
                "socket.io-msgpack-parser",
                "socket.io-parser",
            ];
            let modules = folder().join("node_modules");
            if packages.iter().all(|package| modules.join(package).exists()) {
                return;
            }
            let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
            let status = Command::new(npm).arg("ci").current_dir(folder()).status().await;
            let status = status.unwrap_or_else(|error| {
                panic!("these tests need npm of Node.js 20 or later ({error}); set {SKIP}=1 to skip them")
            });
            assert!(
                status.success(),
                "npm ci failed; set {SKIP}=1 to skip the tests with Node.js"
            );
        })
        .await;
}

/// A running server.
pub(crate) struct Node {
    child: Child,
    commands: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    pub(crate) port: u16,
}

impl Node {
    /// `None` when the tests with Node.js are switched off.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&json!({})).await
    }

    /// As `start`, with these options for the server.
    pub(crate) async fn start_with(options: &Value) -> Option<Self> {
        if std::env::var_os(SKIP).is_some() {
            return None;
        }
        installed().await;
        Some(Self::run_with("server.mjs", 0, options).await)
    }

    /// The server of the official suites, with these options.
    pub(crate) async fn suite(options: &Value) -> Option<Self> {
        if std::env::var_os(SKIP).is_some() {
            return None;
        }
        installed().await;
        Some(Self::run_with("suite.mjs", 0, options).await)
    }

    pub(crate) async fn run(port: u16) -> Self {
        Self::run_with("server.mjs", port, &json!({})).await
    }

    async fn run_with(script: &str, port: u16, options: &Value) -> Self {
        let mut child = Command::new("node")
            .arg(script)
            .arg(port.to_string())
            .arg(options.to_string())
            .current_dir(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("these tests need node, version 20 or later ({error}); set {SKIP}=1 to skip them")
            });
        let commands = child.stdin.take().unwrap();
        let reports = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut node = Self {
            child,
            commands,
            reports,
            port,
        };
        let listening = node.report("listen").await;
        node.port = listening["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap();
        node
    }

    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(&format!("http://127.0.0.1:{}", self.port)).reconnect(quick())
    }

    pub(crate) async fn connected(&self) -> Client {
        soon(self.client().auth(json!({"token": "good"})).connect())
            .await
            .unwrap()
    }

    pub(crate) async fn tell(&mut self, command: Value) {
        let line = format!("{command}\n");
        self.commands.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next report, whatever it is.
    pub(crate) async fn next_report(&mut self) -> Value {
        let line = soon(self.reports.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("the server ended")).unwrap()
    }

    /// The next report of this kind; others are passed over.
    pub(crate) async fn report(&mut self, did: &str) -> Value {
        loop {
            let report = self.next_report().await;
            if report["did"] == did {
                return report;
            }
        }
    }

    #[cfg(unix)]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) async fn kill(mut self) -> u16 {
        self.child.kill().await.unwrap();
        self.port
    }
}
