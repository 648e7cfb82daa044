//! The official Socket.IO client as a desktop.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use openhuman_agent::mock::{MockServer, Rule, Script};
use openhuman_agent::openai::{OpenAiConfig, OpenAiModel};
use openhuman_backend::{Backend, Limits, RunningBackend};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const PATIENCE: Duration = Duration::from_secs(30);

fn fixture() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let node = std::process::Command::new("node").arg("--version").output();
    let ready = folder.join("node_modules/socket.io-client").is_dir()
        && node.is_ok_and(|output| output.status.success());
    let required = std::env::var_os("OPENHUMAN_REQUIRE_NODE").is_some_and(|value| value == "1");
    assert!(
        ready || !required,
        "node or its packages are missing; run `npm ci --ignore-scripts` in tests/node"
    );
    if !ready {
        eprintln!("not run: node or its packages are missing; run `npm ci --ignore-scripts` in tests/node");
    }
    ready.then_some(folder)
}

struct Fixture {
    folder: PathBuf,
    backend: RunningBackend,
    model: MockServer,
}

async fn start() -> Option<Fixture> {
    start_with(|_| ()).await
}

async fn start_with(change: impl FnOnce(&mut Limits)) -> Option<Fixture> {
    let folder = fixture()?;
    let script = Script::new("tiny")
        .rule(Rule::when_user_says(["thanks"]).answer("You are welcome."))
        .rule(
            Rule::when_user_says(["price"])
                .before_tools()
                .call("prices__get_price", json!({"symbol": "ETH"})),
        )
        .rule(Rule::when_user_says(["price"]).after_tools().answer_or(
            "ETH is at {{tool:prices__get_price.price}}. {{context:staking}}",
            "No price.",
        ));
    let model = MockServer::start(script).await;
    let config = OpenAiConfig {
        base_url: model.base_url(),
        model: "tiny".into(),
        ..OpenAiConfig::default()
    };
    let mut limits = Limits::default();
    limits.message_bytes = 256 * 1024;
    limits.turns = 2;
    change(&mut limits);
    let backend = Backend::builder()
        .model(Arc::new(OpenAiModel::new(config).unwrap()))
        .limits(limits)
        .start("127.0.0.1:0")
        .await
        .unwrap();
    Some(Fixture {
        folder,
        backend,
        model,
    })
}

/// The running script and what it tells.
struct Desktop {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Fixture {
    fn desktop(&self, scenario: &str) -> Desktop {
        let token = self.backend.issue_login_token("ada").unwrap();
        let mut child = Command::new("node")
            .arg(self.folder.join("desktop.mjs"))
            .args([&self.backend.url(), token.expose(), scenario])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Desktop { child, lines }
    }

    /// Nothing is left of any desktop.
    async fn empty(&self) {
        let gone = async {
            while !self.backend.desktops().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, gone)
            .await
            .expect("every desktop is forgotten");
    }
}

impl Desktop {
    async fn next(&mut self) -> (String, Value) {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line())
            .await
            .expect("the desktop is alive");
        let line = line.unwrap().expect("the desktop tells more");
        let mut told: Value = serde_json::from_str(&line).unwrap();
        (told["on"].as_str().unwrap().to_owned(), told["data"].take())
    }

    /// Skips to an event.
    async fn until(&mut self, event: &str) -> Value {
        loop {
            let (on, data) = self.next().await;
            if on == event {
                return data;
            }
            assert_ne!(on, "end", "{event} never came");
        }
    }

    /// Everything up to the end of the process.
    async fn all(mut self) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        loop {
            let (on, data) = self.next().await;
            if on == "end" {
                let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
                assert!(ended.expect("the desktop ends").unwrap().success());
                return all;
            }
            all.push((on, data));
        }
    }
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_logs_in_offers_tools_and_gets_its_answer_streamed() {
    for scenario in ["turn", "polling", "upgrade"] {
        let Some(fixture) = start().await else { return };
        let events = fixture.desktop(scenario).all().await;
        // The front end is told about a call while the call is already on its way.
        let shown: Vec<_> = events
            .iter()
            .filter(|(name, _)| name != "mcp:toolCall")
            .cloned()
            .collect();
        let expected = [
            "me",
            "ready",
            "chat_accepted",
            "mcp:listTools",
            "tool_call",
            "tool_result",
            "chat_delta",
            "chat_done",
            "chat_accepted",
            "chat_delta",
            "chat_done",
            "disconnect",
        ];
        assert_eq!(names(&shown), expected, "{scenario}");
        let find = |name: &str| {
            events
                .iter()
                .find(|(event, _)| event == name)
                .map(|(_, data)| data.clone())
                .unwrap()
        };

        assert_eq!(find("me")["body"]["data"]["id"], "ada");
        let (accepted, done) = (find("chat_accepted"), find("chat_done"));
        assert_eq!(accepted["thread_id"], "t1");
        assert_eq!(accepted["request_id"], done["request_id"]);
        assert_eq!(
            find("mcp:toolCall")["toolCall"],
            json!({"name": "prices__get_price", "arguments": {"symbol": "ETH"}})
        );
        let call = find("tool_call");
        assert_eq!(
            (&call["skill_id"], &call["tool_name"]),
            (&json!("prices"), &json!("get_price"))
        );
        assert_eq!(call["args"], json!({"symbol": "ETH"}));
        let result = find("tool_result");
        assert_eq!(
            (&result["success"], &result["output"]),
            (&json!(true), &json!("{\"symbol\":\"ETH\",\"price\":\"3150.42\"}"))
        );
        assert_eq!(
            done["full_response"],
            "ETH is at 3150.42. My staking plan is 3 ETH."
        );
        let streamed: String = events
            .iter()
            .filter(|(name, data)| name == "chat_delta" && data["request_id"] == done["request_id"])
            .map(|(_, data)| data["delta"].as_str().unwrap())
            .collect();
        assert_eq!(streamed, "ETH is at 3150.42. My staking plan is 3 ETH.");

        let asked = format!("{:?}", fixture.model.requests().last().unwrap());
        assert!(
            asked.contains("What is the price of ETH?"),
            "the second turn knows the first: {asked}"
        );
        fixture.empty().await;
        fixture.backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_used_and_missing_tokens_are_refused_with_a_reason() {
    let Some(fixture) = start().await else { return };
    let events = fixture.desktop("refused").all().await;
    assert_eq!(
        names(&events),
        ["connect_error", "first", "second", "unknown", "me", "nothing"]
    );
    assert_eq!(
        events[0].1,
        "The session token is not valid or has expired; log in again"
    );
    assert_eq!(
        events[1].1,
        "The session token is missing; connect with auth: { token }"
    );
    assert_eq!(events[2].1, json!({"status": 200, "success": true}));
    let refused = json!({
        "status": 401,
        "body": {"success": false, "message": "the login token is not valid; ask for a new one"},
    });
    assert_eq!(
        (&events[3].1, &events[4].1),
        (&refused, &refused),
        "used and unknown look the same"
    );
    assert_eq!(events[5].1["status"], 401);
    assert_eq!(events[6].1["status"], 404);
    assert!(fixture.backend.desktops().is_empty());
    fixture.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_that_hangs_up_mid_call_leaves_nothing_behind() {
    let Some(fixture) = start().await else { return };
    let mut desktop = fixture.desktop("hangup");
    desktop.until("mcp:toolCall").await;
    desktop.until("end").await;
    fixture.empty().await;
    // A backend that still waited for the call would need its deadline of 30 s.
    tokio::time::timeout(Duration::from_secs(10), fixture.backend.shutdown())
        .await
        .expect("nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_message_closes_only_its_connection() {
    let Some(fixture) = start().await else { return };
    let events = fixture.desktop("oversize").all().await;
    assert_eq!(names(&events), ["ready", "disconnect", "ready", "disconnect"]);
    fixture.empty().await;
    fixture.backend.shutdown().await;
}

/// With one thread the desktop's task cannot run while a batch of frames is read, so the inbox fills up.
#[tokio::test]
async fn a_desktop_that_floods_is_disconnected() {
    let Some(fixture) = start_with(|limits| limits.inbox = 1).await else {
        return;
    };
    let events = fixture.desktop("flood").all().await;
    assert_eq!(names(&events), ["ready", "disconnect"]);
    fixture.empty().await;
    fixture.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_ends_when_it_is_cancelled_or_overtaken() {
    let Some(fixture) = start().await else { return };
    let events = fixture.desktop("cancel").all().await;
    let errors: Vec<_> = events
        .iter()
        .filter(|(name, _)| name == "chat_error")
        .map(|(_, data)| data)
        .collect();
    assert_eq!(errors.len(), 2);
    for (error, message) in errors.iter().zip(["Cancelled", "Cancelled by newer request"]) {
        assert_eq!(
            (&error["error_type"], &error["message"]),
            (&json!("cancelled"), &json!(message))
        );
    }
    let done: Vec<_> = events.iter().filter(|(name, _)| name == "chat_done").collect();
    assert_eq!(done.len(), 1);
    assert_eq!(done[0].1["full_response"], "You are welcome.");
    fixture.empty().await;
    fixture.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_turns_and_bad_requests_are_answered() {
    let Some(fixture) = start().await else { return };
    let events = fixture.desktop("crowd").all().await;
    let errors: Vec<_> = events
        .iter()
        .filter(|(name, _)| name == "chat_error")
        .map(|(_, data)| data)
        .collect();
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0]["thread_id"], "c");
    assert_eq!(
        errors[0]["message"],
        "Too many turns are running on this connection (limit 2); wait for an answer and try again"
    );
    assert_eq!(errors[1]["thread_id"], "d");
    assert!(
        errors[1]["message"].as_str().unwrap().contains("message"),
        "{}",
        errors[1]
    );
    fixture.empty().await;
    fixture.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_tells_running_turns_and_closes_in_time() {
    let Some(fixture) = start().await else { return };
    let mut desktop = fixture.desktop("wait");
    desktop.until("mcp:toolCall").await;
    let connected = fixture.backend.desktops();
    assert_eq!(
        (connected.len(), connected[0].turns, connected[0].calls),
        (1, 1, 1)
    );
    assert_eq!(connected[0].user, "ada");
    assert_eq!(connected[0].tools.tools[0].skill_id, "prices");
    let stopped = tokio::time::timeout(Duration::from_secs(10), fixture.backend.shutdown());
    let told = async {
        (
            desktop.until("chat_error").await,
            desktop.until("disconnect").await,
        )
    };
    let (stopped, (error, reason)) = tokio::join!(stopped, told);
    stopped.expect("the shutdown is bounded");
    assert_eq!(error["error_type"], "cancelled");
    assert_eq!(
        error["message"],
        "The backend is shutting down; send the message again in a moment"
    );
    assert_ne!(
        reason, "io server disconnect",
        "the client may come back by itself"
    );
}
