//! The HTTP server against the official clients.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::{example, fixture, json as parsed, python, script};

const TOKEN: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// The example server, until it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(example("http_echo"))
            .env("DEMO_TOKEN", TOKEN)
            .env("DEMO_MORE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut url)
            .expect("its address");
        Self {
            child,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn the_official_typescript_sdk_uses_everything_over_http() {
    let Some(folder) = fixture() else { return };
    let server = Server::start();
    let output = Command::new("node")
        .arg(folder.join("http.mjs"))
        .arg(&server.url)
        .env("DEMO_TOKEN", TOKEN)
        .output()
        .expect("node starts");
    assert_eq!(parsed(&output), json!({"ok": true, "calls": 200}));
}

#[test]
fn the_official_python_sdk_uses_everything_over_http() {
    let Some(python) = python() else { return };
    let server = Server::start();
    let output = Command::new(python)
        .arg(script("python/client.py"))
        .args(["http", &server.url])
        .env("DEMO_TOKEN", TOKEN)
        .output()
        .expect("python starts");
    assert_eq!(parsed(&output), json!({"ok": true, "calls": 100}));
}
