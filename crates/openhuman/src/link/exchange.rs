//! From a login token to a session: one request beside the socket.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::CoreError;
use crate::http::BodyError;
use crate::network::Network;

/// The longest answer to a login that is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// How long the exchange may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Exchanges a single-use login token for a session token (`POST /telegram/login-tokens/{token}/consume`). A token that
/// was issued for a challenge needs the verifier that answers it.
pub(super) async fn exchange(
    base: &Url,
    network: &Network,
    token: &str,
    verifier: Option<&str>,
) -> Result<String, CoreError> {
    let unreachable = |reason: String| CoreError::Backend {
        url: base.to_string(),
        reason,
    };
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| unreachable("the address cannot have a path".into()))?
        .pop_if_empty()
        .extend(["telegram", "login-tokens", token, "consume"]);
    let mut request = crate::http::client(PATIENCE, network, base)?.post(url);
    if let Some(verifier) = verifier {
        request = request.json(&json!({ "codeVerifier": verifier }));
    }
    // The URL carries the token: errors must not print it.
    let failed = |error: reqwest::Error| unreachable(error.without_url().to_string());
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let body = crate::http::body(response, LONGEST_ANSWER)
        .await
        .map_err(|error| match error {
            BodyError::Failed(error) => failed(error),
            BodyError::TooLong => unreachable(format!(
                "its answer to the login is longer than {LONGEST_ANSWER} bytes: is this an OpenHuman backend?"
            )),
        })?;
    session_of(base, status, &body)
}

/// Reads the answer to an exchange.
fn session_of(base: &Url, status: StatusCode, body: &[u8]) -> Result<String, CoreError> {
    let unreachable = |reason: String| CoreError::Backend {
        url: base.to_string(),
        reason,
    };
    let body: Value = serde_json::from_slice(body).map_err(|_| {
        unreachable(format!(
            "it answered {status} without JSON: is this an OpenHuman backend?"
        ))
    })?;
    match body.pointer("/data/jwtToken").and_then(Value::as_str) {
        Some(session) if status.is_success() => Ok(session.to_owned()),
        _ if body.get("success").is_none() => Err(unreachable(format!(
            "it answered {status}, but not as an OpenHuman backend does"
        ))),
        _ => {
            let message = body.get("message").or_else(|| body.get("error"));
            let reason = message
                .and_then(Value::as_str)
                .unwrap_or("the login token is unknown, used or expired; ask for a new one");
            Err(CoreError::Login {
                url: base.to_string(),
                reason: reason.to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_session_a_refusal_or_no_backend_at_all() {
        let base = Url::parse("http://127.0.0.1:1").unwrap();
        let read = |status: StatusCode, body: &str| session_of(&base, status, body.as_bytes());
        let good = r#"{"success":true,"data":{"jwtToken":"j"}}"#;
        assert_eq!(read(StatusCode::OK, good).unwrap(), "j");
        assert!(
            read(StatusCode::BAD_GATEWAY, good).is_err(),
            "a proxy's error page is no login"
        );
        let refused = read(StatusCode::UNAUTHORIZED, r#"{"success":false,"message":"used"}"#);
        assert!(matches!(refused, Err(CoreError::Login { reason, .. }) if reason == "used"));
        for body in ["<html>", "{}", "[]", ""] {
            let other = read(StatusCode::OK, body);
            assert!(matches!(other, Err(CoreError::Backend { .. })), "{body}");
        }
    }
}
