//! What a user sees of the link.

use openhuman_socketio::State;
use serde::{Deserialize, Serialize};

/// The five states of the link that a user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SocketState {
    /// No link is wanted, or it was ended.
    #[default]
    Disconnected,
    /// The first attempt is under way.
    Connecting,
    /// The backend acknowledged the connection.
    Connected,
    /// The link was lost or never came up; the next attempt is due in `next_try_ms`.
    Reconnecting,
    /// The backend refused, and no further attempt is made.
    Error,
}

/// The state of the link with what explains it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SocketStatus {
    /// The state.
    pub status: SocketState,
    /// The id that the backend gave this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_id: Option<String>,
    /// The backend's address, while a link to one is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Why it is not connected; or, while it is, what the backend reported last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds from the state change to the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_ms: Option<u64>,
    /// When the next attempt is due, in milliseconds since the Unix epoch: for whoever asks later than the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at_ms: Option<i64>,
    /// Events of the backend that were dropped because this side did not keep up, over all connections of the link.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_events: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl SocketStatus {
    /// What a state of the client means, at the moment it was published.
    pub(crate) fn of(state: &State, now_ms: i64) -> Self {
        match state {
            State::Disconnected { reason } => Self {
                error: reason.as_ref().map(ToString::to_string),
                ..Self::default()
            },
            State::Connecting => Self {
                status: SocketState::Connecting,
                ..Self::default()
            },
            State::Connected { sid, .. } => Self {
                status: SocketState::Connected,
                socket_id: Some(sid.clone()),
                ..Self::default()
            },
            State::Reconnecting { delay, error, .. } => {
                let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                Self {
                    status: SocketState::Reconnecting,
                    error: Some(error.clone()),
                    next_try_ms: Some(delay),
                    next_try_at_ms: Some(now_ms.saturating_add_unsigned(delay)),
                    ..Self::default()
                }
            }
            State::Failed { error } => Self {
                status: SocketState::Error,
                error: Some(error.clone()),
                ..Self::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_next_attempt_has_a_time_and_what_is_not_known_is_left_out() {
        let state = State::Reconnecting {
            attempt: 2,
            delay: Duration::from_millis(2_500),
            error: "no answer".into(),
        };
        let shown = serde_json::to_value(SocketStatus::of(&state, 1_000)).unwrap();
        let expected = json!({
            "status": "reconnecting", "error": "no answer", "next_try_ms": 2_500, "next_try_at_ms": 3_500,
        });
        assert_eq!(shown, expected);
        let bare = serde_json::to_value(SocketStatus::default()).unwrap();
        assert_eq!(bare, json!({ "status": "disconnected" }));
    }
}
