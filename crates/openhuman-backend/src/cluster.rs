//! Several instances as one backend: requests and events find a user's desktop wherever it is connected.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something a desktop is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DesktopRequest {
    /// `mcp:toolCall`; the answer is a [`ToolOutcome`](openhuman_agent::ToolOutcome).
    ToolCall {
        /// The tool's full name.
        name: String,
        /// Its arguments.
        arguments: Value,
    },
    /// `webhook:request`; the answer is the payload of `webhook:response`.
    Webhook {
        /// The payload without its correlation id.
        request: Value,
    },
}

/// Why a desktop gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AskError {
    /// The user has no desktop at any instance.
    #[error("no desktop of the user is connected")]
    NotConnected,
    /// The desktop did not answer.
    #[error("{reason}")]
    NoAnswer {
        /// What happened instead.
        reason: String,
    },
}

/// What one instance does for the others. A [`Cluster`] calls it with what comes in.
pub trait Instance: Send + Sync {
    /// Asks a desktop of the user that is connected here; `None` when there is none.
    fn ask_here<'a>(
        &'a self,
        user: &'a str,
        request: DesktopRequest,
    ) -> BoxFuture<'a, Option<Result<Value, AskError>>>;

    /// Sends an event to every desktop of the user that is connected here, and says to how many.
    fn tell_here<'a>(&'a self, user: &'a str, event: &'a str, payload: &'a Value) -> BoxFuture<'a, usize>;
}

/// The way to the other instances.
pub trait Cluster: Send + Sync {
    /// Begins to serve requests of other instances with `here`; called once, at the start. It must not keep `here`
    /// alive when the backend has stopped.
    fn join(&self, here: std::sync::Weak<dyn Instance>);

    /// Asks a desktop of the user at another instance.
    fn ask<'a>(&'a self, user: &'a str, request: DesktopRequest) -> BoxFuture<'a, Result<Value, AskError>>;

    /// Sends an event to every desktop of the user at the other instances.
    fn tell<'a>(&'a self, user: &'a str, event: &'a str, payload: &'a Value) -> BoxFuture<'a, ()>;
}

/// One instance alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Alone;

impl Cluster for Alone {
    fn join(&self, _here: std::sync::Weak<dyn Instance>) {}

    fn ask<'a>(&'a self, _user: &'a str, _request: DesktopRequest) -> BoxFuture<'a, Result<Value, AskError>> {
        async { Err(AskError::NotConnected) }.boxed()
    }

    fn tell<'a>(&'a self, _user: &'a str, _event: &'a str, _payload: &'a Value) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}

/// Asks here first and then the others.
pub(crate) async fn ask(
    here: &Arc<impl Instance>,
    cluster: &dyn Cluster,
    user: &str,
    request: DesktopRequest,
) -> Result<Value, AskError> {
    match here.ask_here(user, request.clone()).await {
        Some(answer) => answer,
        None => cluster.ask(user, request).await,
    }
}
