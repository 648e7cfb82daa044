//! The one door between a window and the core: which methods a window may call, and how events reach it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures_util::{Stream, StreamExt};
use openhuman::Home;
use openhuman::rpc::{Dispatcher, DispatcherOptions, RpcError};
use serde::Serialize;
use serde_json::Value;
use tauri::async_runtime::JoinHandle;
use tauri::ipc::Channel;

/// The label of the main window.
pub(crate) const MAIN: &str = "main";

/// The environment variable that names a directory of skill packages beside the home's own.
const SKILLS_VARIABLE: &str = "OPENHUMAN_SKILLS_DIR";

/// The environment variable that names another registry of skills than the public one.
const REGISTRY_VARIABLE: &str = "SKILLS_REGISTRY_URL";

/// The calls that the main window makes. Whatever is not here does not exist for it.
const MAIN_CALLS: &[&str] = &[
    "openhuman.app_state_snapshot",
    "openhuman.auth_login_cancel",
    "openhuman.auth_login_finish",
    "openhuman.auth_login_start",
    "openhuman.auth_logout",
    "openhuman.auth_oauth_connect",
    "openhuman.auth_oauth_finish",
    "openhuman.auth_sessions",
    "openhuman.chat_cancel",
    "openhuman.memory_add",
    "openhuman.memory_context",
    "openhuman.memory_delete_document",
    "openhuman.memory_forget",
    "openhuman.memory_list_documents",
    "openhuman.memory_profile_close",
    "openhuman.memory_profile_list",
    "openhuman.memory_profile_pin",
    "openhuman.memory_profile_remember",
    "openhuman.skills_allow",
    "openhuman.skills_allow_host",
    "openhuman.skills_disconnect",
    "openhuman.skills_egress",
    "openhuman.skills_forget_host",
    "openhuman.skills_install",
    "openhuman.skills_lift_quarantine",
    "openhuman.skills_overview",
    "openhuman.skills_permissions",
    "openhuman.skills_plan",
    "openhuman.skills_revoke",
    "openhuman.skills_rpc",
    "openhuman.skills_search",
    "openhuman.skills_switch",
    "openhuman.skills_uninstall",
    "openhuman.socket_connect",
    "openhuman.socket_disconnect",
    "openhuman.socket_report",
    "openhuman.vault_accept",
    "openhuman.vault_change_password",
    "openhuman.vault_create",
    "openhuman.vault_create_recovery_key",
    "openhuman.vault_discard_log",
    "openhuman.vault_recover",
    "openhuman.vault_status",
    "openhuman.vault_unlock",
];

/// The streams that the main window starts.
const MAIN_STREAMS: &[&str] = &["openhuman.chat_start"];

/// What a channel carries. The end is a message of its own, so that it cannot overtake the last event.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "frame", rename_all = "lowercase")]
pub(crate) enum Frame {
    /// One event.
    Event {
        /// The event, as the core made it.
        event: Value,
    },
    /// No more events follow.
    End,
}

/// The core behind the allow-list, for the windows of this process.
pub(crate) struct Door {
    /// A core that cannot be had is reported by every call, so that the window can say why.
    core: Result<Dispatcher, RpcError>,
    home: Option<PathBuf>,
    /// The running subscription of each window.
    subscriptions: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Door {
    /// A door to the core in the user's home; the environment says where that is. Nothing is read from disk yet.
    pub(crate) fn from_env() -> Self {
        let home = Home::of_user();
        let path = home.as_ref().ok().map(|home| home.path().to_owned());
        let core = home.map_err(RpcError::from).map(|home| {
            let skills = std::env::var_os(SKILLS_VARIABLE)
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from);
            Dispatcher::new(DispatcherOptions {
                skills_dirs: skills.into_iter().collect(),
                registry: std::env::var(REGISTRY_VARIABLE)
                    .ok()
                    .filter(|place| !place.is_empty()),
                ..DispatcherOptions::new(home)
            })
        });
        Self {
            core,
            home: path,
            subscriptions: Mutex::default(),
        }
    }

    /// The directory of the user's home, where one is known.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Takes a link that the system hands over; what became of it is an event.
    pub(crate) async fn open_link(&self, link: &str) {
        if let Ok(core) = &self.core {
            core.open_link(link).await;
        }
    }

    /// Answers one call of a window.
    pub(crate) async fn call(&self, window: &str, method: &str, params: Value) -> Result<Value, RpcError> {
        guard(window, method, MAIN_CALLS)?;
        self.core()?.call(method, params).await
    }

    /// Starts a stream of a window and sends its events until it ends or the window is gone, which cancels it.
    pub(crate) async fn stream(
        &self,
        window: &str,
        method: &str,
        params: Value,
        channel: &Channel<Frame>,
    ) -> Result<(), RpcError> {
        guard(window, method, MAIN_STREAMS)?;
        let events = self.core()?.stream(method, params).await?;
        forward(events, channel).await;
        Ok(())
    }

    /// Sends the core's events to a window from now on. A reloaded window subscribes again and replaces its
    /// earlier subscription.
    pub(crate) fn subscribe(&self, window: &str, channel: Channel<Frame>) -> Result<(), RpcError> {
        let events = self.core()?.subscribe();
        let task = tauri::async_runtime::spawn(async move { forward(events, &channel).await });
        let earlier = self.subscriptions().insert(window.to_owned(), task);
        if let Some(earlier) = earlier {
            earlier.abort();
        }
        Ok(())
    }

    /// Ends every subscription, then the core with its skills and its link.
    pub(crate) async fn close(&self) {
        for (_, task) in self.subscriptions().drain() {
            task.abort();
        }
        if let Ok(core) = &self.core {
            core.close().await;
        }
    }

    fn core(&self) -> Result<&Dispatcher, RpcError> {
        self.core.as_ref().map_err(Clone::clone)
    }

    fn subscriptions(&self) -> std::sync::MutexGuard<'_, HashMap<String, JoinHandle<()>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses what the window's list does not name, whether or not the core has it.
fn guard(window: &str, method: &str, main: &[&str]) -> Result<(), RpcError> {
    if window == MAIN && main.contains(&method) {
        return Ok(());
    }
    Err(RpcError {
        code: -32601,
        message: format!("the window '{window}' may not call {method}"),
        data: None,
    })
}

/// Sends events in order, then the end. Stops when the window is gone.
async fn forward(mut events: impl Stream<Item = Value> + Unpin, channel: &Channel<Frame>) {
    while let Some(event) = events.next().await {
        if channel.send(Frame::Event { event }).is_err() {
            return;
        }
    }
    // The window may have gone meanwhile; then nobody waits for the end.
    let _ = channel.send(Frame::End);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;
    use openhuman::rpc;
    use serde_json::json;
    use tauri::ipc::InvokeResponseBody;

    use super::*;

    fn recording() -> (Channel<Frame>, Arc<Mutex<Vec<Value>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let channel = Channel::new(move |body| {
            let InvokeResponseBody::Json(text) = body else {
                panic!("a frame is JSON")
            };
            sink.lock().unwrap().push(serde_json::from_str(&text).unwrap());
            Ok(())
        });
        (channel, seen)
    }

    #[test]
    fn the_main_window_may_call_only_what_exists_and_what_it_needs() {
        assert!(MAIN_CALLS.iter().all(|method| rpc::METHODS.contains(method)));
        assert!(MAIN_STREAMS.iter().all(|method| rpc::STREAMS.contains(method)));
        assert!(guard(MAIN, "openhuman.vault_unlock", MAIN_CALLS).is_ok());
        assert!(guard(MAIN, "openhuman.skills_call_tool", MAIN_CALLS).is_err());
        assert!(guard(MAIN, "openhuman.chat_start", MAIN_CALLS).is_err());
    }

    #[test]
    fn another_window_may_call_nothing() {
        let refusal = guard("quick", "openhuman.app_state_snapshot", MAIN_CALLS).unwrap_err();
        assert_eq!(refusal.code, -32601);
        assert_eq!(
            refusal.message,
            "the window 'quick' may not call openhuman.app_state_snapshot"
        );
    }

    #[tokio::test]
    async fn events_arrive_in_order_and_the_end_comes_last() {
        let (channel, seen) = recording();
        forward(stream::iter([json!({ "n": 1 }), json!({ "n": 2 })]), &channel).await;
        let expected = vec![
            json!({ "frame": "event", "event": { "n": 1 } }),
            json!({ "frame": "event", "event": { "n": 2 } }),
            json!({ "frame": "end" }),
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_window_that_is_gone_ends_the_stream() {
        let gone = Channel::<Frame>::new(|_| Err(tauri::Error::WindowNotFound));
        let endless = stream::repeat(json!({}));
        tokio::time::timeout(std::time::Duration::from_secs(5), forward(endless, &gone))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_home_that_is_not_known_is_told_by_every_call() {
        let reason = RpcError {
            code: -32000,
            message: "no home directory is known".into(),
            data: None,
        };
        let door = Door {
            core: Err(reason.clone()),
            home: None,
            subscriptions: Mutex::default(),
        };
        let answer = door.call(MAIN, "openhuman.app_state_snapshot", json!({})).await;
        assert_eq!(answer, Err(reason));
    }

    #[tokio::test]
    async fn a_new_home_has_no_vault() {
        let dir = tempfile::tempdir().unwrap();
        let options = DispatcherOptions::new(Home::at(dir.path()));
        let door = Door {
            core: Ok(Dispatcher::new(options)),
            home: None,
            subscriptions: Mutex::default(),
        };
        let snapshot = door
            .call(MAIN, "openhuman.app_state_snapshot", json!({}))
            .await
            .unwrap();
        assert_eq!(snapshot["vault"], "absent");
    }
}
