//! A backend that serves: asking it and stopping it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use openhuman_agent::ToolOutcome;
use openhuman_mcp::wire::ToolSync;
use openhuman_vault::tokens::{Challenge, LoginToken};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cluster::{self, AskError, DesktopRequest, Instance as _};
use crate::error::BackendError;
use crate::shared::{AUDIENCE, Shared};

const MAX_USER: usize = 256;
/// How often a drain looks whether the turns have ended.
const POLL: Duration = Duration::from_millis(20);

fn checked_user(user: &str) -> Result<(), BackendError> {
    if user.trim().is_empty() || user.len() > MAX_USER || user.chars().any(char::is_control) {
        return Err(BackendError::InvalidUser);
    }
    Ok(())
}

/// A backend that serves. Dropping it stops it without waiting; [`shutdown`](Self::shutdown) waits.
pub struct RunningBackend {
    local: SocketAddr,
    shared: Arc<Shared>,
    scheme: &'static str,
    server: JoinHandle<()>,
    stop: DropGuard,
}

impl RunningBackend {
    pub(crate) fn new(
        local: SocketAddr,
        scheme: &'static str,
        shared: Arc<Shared>,
        server: JoinHandle<()>,
        stop: CancellationToken,
    ) -> RunningBackend {
        RunningBackend {
            local,
            shared,
            scheme,
            server,
            stop: stop.drop_guard(),
        }
    }
}

impl RunningBackend {
    /// The address a desktop on this machine connects to, for example `http://127.0.0.1:8787`.
    pub fn url(&self) -> String {
        let mut address = self.local;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{}://{address}", self.scheme)
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Issues a token that logs `user` in on one desktop, once, within 300 s.
    ///
    /// It may wait for the disk.
    ///
    /// # Errors
    ///
    /// When the name is empty, longer than 256 bytes or has control characters, when the user has too many
    /// unused tokens, or when the store fails.
    pub fn issue_login_token(&self, user: &str) -> Result<LoginToken, BackendError> {
        checked_user(user)?;
        Ok(self.shared.logins.issue(user, AUDIENCE, self.shared.now_ms())?)
    }

    /// As [`issue_login_token`](Self::issue_login_token), for the challenge of one device: only that device can use the
    /// token, so a link with it may pass through a browser.
    ///
    /// # Errors
    ///
    /// As [`issue_login_token`](Self::issue_login_token).
    pub fn issue_login_token_for(
        &self,
        user: &str,
        challenge: &Challenge,
    ) -> Result<LoginToken, BackendError> {
        checked_user(user)?;
        let now_ms = self.shared.now_ms();
        Ok(self.shared.logins.issue_for(user, AUDIENCE, challenge, now_ms)?)
    }

    /// The desktops that are connected now.
    pub fn desktops(&self) -> Vec<DesktopInfo> {
        let alive = self.shared.all_desktops().into_iter();
        let info = alive.map(|calls| DesktopInfo {
            user: calls.user.clone(),
            turns: calls.turns(),
            calls: calls.waiting(),
            tools: calls.sync(),
        });
        info.collect()
    }

    /// Calls a tool of the user's desktop, as a turn would, and waits for its answer: at most as long as
    /// [`Limits`](crate::Limits) allow a call. Of several desktops the one that connected first is asked.
    ///
    /// # Errors
    ///
    /// When no desktop of that user is connected. A tool that fails is an outcome with `is_error`.
    pub async fn call_tool(
        &self,
        user: &str,
        name: &str,
        arguments: &Value,
    ) -> Result<ToolOutcome, BackendError> {
        let request = DesktopRequest::ToolCall {
            name: name.to_owned(),
            arguments: arguments.clone(),
        };
        let cluster = self.shared.cluster.as_ref();
        match cluster::ask(&self.shared, cluster, user, request).await {
            Ok(answer) => Ok(serde_json::from_value(answer)
                .unwrap_or_else(|error| ToolOutcome::error(format!("the answer cannot be read: {error}")))),
            Err(AskError::NotConnected) => Err(BackendError::NotConnected {
                user: user.to_owned(),
            }),
            Err(AskError::NoAnswer { reason }) => Ok(ToolOutcome::error(reason)),
        }
    }

    /// Sends an event to every desktop of the user, at all instances. Gives how many of them are connected here.
    pub async fn send_to_user(&self, user: &str, event: &str, payload: &Value) -> usize {
        let here = self.shared.tell_here(user, event, payload).await;
        self.shared.cluster.tell(user, event, payload).await;
        here
    }

    /// The counters and gauges, as `/metrics` gives them.
    pub fn metrics(&self) -> String {
        self.shared.metrics.text(self.shared.gauges())
    }

    /// Takes nothing new (`/health` says `draining` with status 503, so that a load balancer looks elsewhere), waits until
    /// the running turns have ended, for at most `limit`, and stops. True when every turn came to its end.
    pub async fn drain(self, limit: Duration) -> bool {
        self.shared.start_draining();
        let idle = async {
            while self.shared.running_turns() > 0 {
                tokio::time::sleep(POLL).await;
            }
        };
        let ended = tokio::time::timeout(limit, idle).await.is_ok();
        self.shutdown().await;
        ended
    }

    /// Stops: no new connections, running turns are told, then everything is closed. It takes at most a few
    /// seconds (see [`Limits::shutdown`](crate::Limits::shutdown)).
    pub async fn shutdown(self) {
        let Self { server, stop, .. } = self;
        drop(stop);
        if let Err(error) = server.await {
            tracing::error!(%error, "the backend ended abnormally");
        }
    }
}

impl std::fmt::Debug for RunningBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningBackend")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// A connected desktop.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DesktopInfo {
    /// Who is logged in there.
    pub user: String,
    /// Turns that are running.
    pub turns: usize,
    /// Requests to the desktop that wait for an answer.
    pub calls: usize,
    /// Its skills and tools as it last reported them.
    pub tools: ToolSync,
}
