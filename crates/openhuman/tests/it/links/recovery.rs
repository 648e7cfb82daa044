//! What becomes of a link that was lost: row 21 of the known failures, and that a restart needs no new login.

use openhuman::mcp::Origin;
use openhuman::skills::Grant;
use openhuman::vault::Key;
use openhuman::{Core, CoreError, Credential, Home, SocketState, SocketStatus};
use openhuman_backend::{Backend, Limits, RunningBackend};
use serde_json::json;

use super::{Server, session_name, soon, until, until_connected, vault_of};
use crate::{new_core, password, write_skill};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_21_each_attempt_brings_the_latest_session_and_says_why_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start().await;
    let core = new_core(dir.path()).await;
    core.connect(&server.url, &Credential::SessionToken("t-1".into()))
        .await
        .unwrap();
    let first = server.connection().await;
    let vault = vault_of(dir.path());
    let name = session_name(&server.url);

    // Renewed while the link is up: the next attempt brings the new one.
    vault.set_secret(&name, b"t-2").unwrap();
    first.socket.disconnect().unwrap();
    let second = server.connection().await;
    assert_eq!(server.tokens(), ["t-1", "t-2"]);

    // Removed: nothing is sent, and the user reads why and when it is tried again.
    vault.remove_secret(&name).unwrap();
    second.socket.disconnect().unwrap();
    let status = until(&core, "the reason", |status| {
        let reason = status.error.as_deref().unwrap_or_default();
        status.status == SocketState::Reconnecting && reason.contains("nobody is logged in")
    })
    .await;
    assert!(
        status.next_try_ms.is_some() && status.next_try_at_ms.is_some(),
        "{status:?}"
    );
    assert_eq!(status.backend.as_deref(), Some(server.url.as_str()));
    assert_eq!(
        server.tokens().len(),
        2,
        "no attempt came through without a session"
    );

    vault.set_secret(&name, b"t-3").unwrap();
    let _third = server.connection().await;
    assert_eq!(server.tokens(), ["t-1", "t-2", "t-3"]);
    until_connected(&core).await;
    let report = core.link_report().await.unwrap();
    assert!(report.connections >= 3, "{report:?}");
    assert!(
        report
            .last_disconnect
            .as_deref()
            .is_some_and(|reason| !reason.contains("t-2")),
        "{report:?}"
    );
    core.close().await;
}

/// A backend at an address of its own that knows the sessions of its key.
async fn backend(address: &str, key: u8) -> RunningBackend {
    let builder = Backend::builder().key(Key::from_bytes([key; 32]));
    // The port of the one before may take a moment to be free.
    let bound = async {
        let mut builder = Some(builder);
        loop {
            let attempt = builder
                .take()
                .unwrap_or_else(|| Backend::builder().key(Key::from_bytes([key; 32])));
            if let Ok(running) = attempt.limits(Limits::default()).start(address).await {
                return running;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("a free port", bound).await
}

async fn core_of(dir: &std::path::Path) -> Core {
    let home = Home::at(dir.join("home"));
    let vault = home.open_vault(&password()).unwrap();
    Core::builder(home, vault).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_either_side_needs_no_new_login_until_the_session_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let running = backend("127.0.0.1:0", 1).await;
    let (url, address) = (running.url(), running.local_addr().to_string());
    let core = new_core(dir.path()).await;
    let unknown = core.connect(&url, &Credential::Kept).await.unwrap_err();
    assert!(matches!(unknown, CoreError::LoggedOut { .. }), "{unknown}");
    assert!(
        core.resume_link().await.unwrap().is_none(),
        "nobody has logged in yet"
    );

    let token = running.issue_login_token("ana").unwrap();
    core.connect(&url, &Credential::LoginToken(token.expose().to_owned()))
        .await
        .unwrap();
    core.stay_connected(true).await.unwrap();
    running.shutdown().await;
    let lost = until(&core, "the loss", |status| {
        status.status == SocketState::Reconnecting
    })
    .await;
    assert!(lost.error.is_some() && lost.next_try_at_ms.is_some(), "{lost:?}");
    let running = backend(&address, 1).await;
    until_connected(&core).await;
    core.close().await;
    drop(core);

    // A new start: once as it resumes by itself, once by hand.
    let core = core_of(dir.path()).await;
    assert_eq!(core.logged_in().await.unwrap(), std::slice::from_ref(&url));
    assert!(core.resume_link().await.unwrap().is_some());
    until_connected(&core).await;
    core.disconnect().await;
    core.connect(&url, &Credential::Kept).await.unwrap();

    // Another key is how a backend logs everybody out.
    running.shutdown().await;
    let running = backend(&address, 2).await;
    let refused = until(&core, "the refusal", |status| {
        let reason = status.error.as_deref().unwrap_or_default();
        status.status == SocketState::Reconnecting && reason.contains("session token")
    })
    .await;
    assert!(refused.next_try_ms.is_some(), "{refused:?}");
    let refused = core.connect(&url, &Credential::Kept).await.unwrap_err();
    assert!(matches!(refused, CoreError::Login { .. }), "{refused}");

    // Somebody's broken token does not take the place of what is kept.
    let broken = core
        .connect(&url, &Credential::SessionToken("broken".into()))
        .await;
    assert!(broken.is_err());
    let kept = vault_of(dir.path()).secret(&session_name(&url)).unwrap().unwrap();
    assert_ne!(kept.as_slice(), b"broken");

    let token = running.issue_login_token("ana").unwrap();
    core.connect(&url, &Credential::LoginToken(token.expose().to_owned()))
        .await
        .unwrap();
    assert!(core.log_out(&format!("{url}/")).await.unwrap());
    assert_eq!(*core.socket().borrow(), SocketStatus::default());
    assert!(core.logged_in().await.unwrap().is_empty());
    assert!(core.resume_link().await.unwrap().is_none());
    core.close().await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_resumed_before_its_backend_is_there_comes_up_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let running = backend("127.0.0.1:0", 3).await;
    let (url, address) = (running.url(), running.local_addr().to_string());
    let core = new_core(dir.path()).await;
    let token = running.issue_login_token("ana").unwrap();
    core.connect(&url, &Credential::LoginToken(token.expose().to_owned()))
        .await
        .unwrap();
    core.stay_connected(true).await.unwrap();
    core.close().await;
    drop(core);
    running.shutdown().await;

    let core = core_of(dir.path()).await;
    assert!(
        core.resume_link().await.unwrap().is_some(),
        "it does not wait for the backend"
    );
    let waiting = until(&core, "an attempt", |status| {
        status.status == SocketState::Reconnecting
    })
    .await;
    assert!(waiting.error.is_some(), "{waiting:?}");
    let running = backend(&address, 3).await;
    until_connected(&core).await;
    // What the user ended stays ended.
    core.stay_connected(false).await.unwrap();
    core.close().await;
    drop(core);
    let core = core_of(dir.path()).await;
    assert!(core.resume_link().await.unwrap().is_none());
    core.close().await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_event_is_shown_on_a_link_that_stays_connected() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start().await;
    let core = new_core(dir.path()).await;
    core.connect(&server.url, &Credential::SessionToken("t".into()))
        .await
        .unwrap();
    let connection = server.connection().await;
    let said = json!({ "message": "the model is overloaded" });
    connection.socket.emit("error", &said).unwrap();
    let status = until(&core, "the message", |status| status.error.is_some()).await;
    assert_eq!(
        (status.status, status.error.as_deref()),
        (SocketState::Connected, Some("the model is overloaded"))
    );
    core.close().await;
}

/// Never returns from an event: one loop that asks nobody.
const STUCK: &str = "globalThis.__skill = { default: { tools: [], onServerEvent() { for (;;) {} } } };";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_that_hangs_in_an_event_does_not_hold_up_tool_calls() {
    let dir = tempfile::tempdir().unwrap();
    write_skill(dir.path(), "stuck", STUCK);
    let mut server = Server::start().await;
    let home = Home::at(dir.path().join("home"));
    let vault = home
        .create_vault(&password(), &openhuman::vault::VaultOptions::fast_for_tests())
        .unwrap();
    let manifest = r#"{ "id": "stuck", "name": "stuck", "permissions": { "events": ["tick"] } }"#;
    let package = openhuman::skills::SkillPackage::from_parts(manifest, STUCK.to_owned()).unwrap();
    let core = Core::builder(home, vault)
        .skills_dir(crate::skills(dir.path()))
        .grant("stuck", Grant::from_manifest(package.manifest()))
        .build()
        .await
        .unwrap();
    core.connect(&server.url, &Credential::SessionToken("t".into()))
        .await
        .unwrap();
    let mut connection = server.connection().await;
    connection.event("tool:sync").await;
    for turn in 0..200 {
        // The buffer of this server is small.
        while connection.socket.emit("tick", &json!({ "turn": turn })).is_err() {
            tokio::task::yield_now().await;
        }
    }
    let call =
        json!({ "requestId": "1", "toolCall": { "name": "sums__add", "arguments": { "a": 1, "b": 2 } } });
    connection.socket.emit("mcp:toolCall", &call).unwrap();
    let answer = connection.event("mcp:toolCallResponse").await;
    assert_eq!(answer["result"]["content"][0]["text"], "3", "{answer}");
    let direct = core
        .call_tool("sums__add", json!({ "a": 2, "b": 2 }), Origin::Ui)
        .await;
    assert!(!direct.is_error);
    assert_eq!(core.socket().borrow().status, SocketState::Connected);
    core.close().await;
}
