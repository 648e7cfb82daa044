//! Requests to the backend that the user is logged in at.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::BackendSession;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest answer that is read, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;

/// The backend's routes beside the socket, with the session of the link. Its errors are texts for whoever asked.
pub(crate) struct BackendRest {
    session: BackendSession,
    /// The client of the backend that was asked last: another one may be reached another way.
    http: Mutex<Option<(String, reqwest::Client)>>,
}

impl BackendRest {
    pub(crate) fn new(session: BackendSession) -> Self {
        Self {
            session,
            http: Mutex::new(None),
        }
    }

    /// Whether there is a backend to ask.
    pub(crate) fn is_there(&self) -> bool {
        self.session.current().is_some()
    }

    fn client(&self, backend: &str, url: &Url) -> Result<reqwest::Client, String> {
        let mut made = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = made.as_ref().filter(|(known, _)| known == backend) {
            return Ok(client.clone());
        }
        let client = crate::http::client(PATIENCE, self.session.network(), url);
        let client = client.map_err(|error| error.to_string())?;
        *made = Some((backend.to_owned(), client.clone()));
        Ok(client)
    }

    /// Sends a request to the path of these segments, each one written as one segment whatever it holds, and returns
    /// the `data` of the answer; an answer without one as a whole.
    ///
    /// `need` says what is missing without a backend, as the beginning of a sentence.
    pub(crate) async fn send(
        &self,
        need: &str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Value, String> {
        let Some((backend, token)) = self.session.current() else {
            return Err(format!(
                "{need} a backend, and none is connected: connect to one first"
            ));
        };
        let mut url =
            Url::parse(&backend).map_err(|error| format!("the backend address is unusable: {error}"))?;
        url.path_segments_mut()
            .map_err(|()| "the backend address cannot have a path".to_owned())?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let http = self.client(&backend, &url)?;
        let mut request = http.request(method, url).bearer_auth(token.expose());
        if let Some(body) = body {
            request = request.json(&body);
        }
        // Neither the address nor the token of the session belongs into what a skill reads.
        let unreachable =
            |error: reqwest::Error| format!("the backend did not answer: {}", error.without_url());
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = crate::http::body(response, LONGEST)
            .await
            .map_err(|error| match error {
                crate::http::BodyError::Failed(error) => unreachable(error),
                crate::http::BodyError::TooLong => {
                    format!("the backend's answer is longer than {LONGEST} bytes")
                }
            })?;
        outcome(status, &bytes)
    }
}

/// Reads the envelope `{success, data, message}`.
fn outcome(status: StatusCode, bytes: &[u8]) -> Result<Value, String> {
    let mut body: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    if status.is_success() && body.get("success") != Some(&Value::Bool(false)) {
        let data = body.get_mut("data").map(Value::take);
        return Ok(data.unwrap_or(body));
    }
    let said = body
        .get("message")
        .or_else(|| body.get("error"))
        .and_then(Value::as_str);
    Err(match (status, said) {
        (StatusCode::UNAUTHORIZED, _) => {
            "the backend does not accept the login any more: connect to it again".to_owned()
        }
        (StatusCode::NOT_FOUND, None) => "the backend does not offer this".to_owned(),
        (_, Some(said)) => format!("the backend refused: {said}"),
        (status, None) => format!("the backend answered {status}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_its_data_and_a_refusal_is_told() {
        let ok = |body: Value| outcome(StatusCode::OK, body.to_string().as_bytes());
        assert_eq!(ok(json!({ "success": true, "data": [1] })), Ok(json!([1])));
        assert_eq!(ok(json!({ "text": "a" })), Ok(json!({ "text": "a" })));
        let refused = ok(json!({ "success": false, "message": "too many tunnels" }));
        assert_eq!(refused, Err("the backend refused: too many tunnels".to_owned()));
        let gone = outcome(StatusCode::UNAUTHORIZED, b"{}").unwrap_err();
        assert!(gone.contains("connect to it again"), "{gone}");
        assert!(
            outcome(StatusCode::NOT_FOUND, b"<html>")
                .unwrap_err()
                .contains("does not offer")
        );
        assert!(outcome(StatusCode::BAD_GATEWAY, b"").unwrap_err().contains("502"));
    }
}
