//! Webhooks: the addresses of a user, and what comes in through them.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openhuman_vault::Key;
use serde_json::{Map, Value, json};

use crate::cluster::{self, AskError, DesktopRequest};
use crate::http::{accepted, refused, signed_in};
use crate::shared::Shared;
use crate::tunnels::{MAX_TUNNELS, Tunnel, TunnelStoreError};

/// The longest name and description, in bytes.
const MAX_NAME: usize = 256;

/// Headers that belong to one connection, in either direction, or that would act for the backend's own address.
const NOT_PASSED: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "set-cookie",
];

type Answer = Response<Body>;

/// Runs a call of the store, which may wait.
async fn with_store<T: Send + 'static>(
    shared: &Arc<Shared>,
    call: impl FnOnce(&Shared) -> Result<T, TunnelStoreError> + Send + 'static,
) -> Result<T, Box<Answer>> {
    let shared = Arc::clone(shared);
    let failed = |reason: String| {
        tracing::error!(reason, "the store of tunnels failed");
        Box::new(refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "The webhooks cannot be looked up; try again",
        ))
    };
    match tokio::task::spawn_blocking(move || call(&shared)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn told(tunnel: &Tunnel) -> Value {
    json!({
        "id": tunnel.id, "uuid": tunnel.uuid, "name": tunnel.name, "description": tunnel.description,
        "createdAtMs": tunnel.created_ms, "path": format!("/webhooks/ingress/{}", tunnel.uuid), "isActive": true,
    })
}

/// `POST /webhooks/core`
pub(crate) async fn create(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    let session = match signed_in(&shared, &headers) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::trim);
    let name = text("name").unwrap_or_default();
    let description = text("description").filter(|text| !text.is_empty());
    if name.is_empty() || name.len() > MAX_NAME || description.is_some_and(|text| text.len() > MAX_NAME) {
        return refused(
            StatusCode::BAD_REQUEST,
            "Send a JSON object with `name` and perhaps `description`, each of at most 256 bytes",
        );
    }
    let Ok(random) = Key::generate() else {
        return refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "The system gave no randomness; try again",
        );
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (secret, id) = random.expose().split_at(16);
    let tunnel = Tunnel {
        id: hex(id.get(..8).unwrap_or_default()),
        uuid: hex(secret),
        user: session.user,
        name: name.to_owned(),
        description: description.map(str::to_owned),
        created_ms: shared.now_ms(),
    };
    let kept = tunnel.clone();
    match with_store(&shared, move |shared| shared.tunnels.insert(&kept)).await {
        Ok(true) => accepted(&told(&tunnel)),
        Ok(false) => refused(
            StatusCode::CONFLICT,
            &format!("There are {MAX_TUNNELS} webhooks already; delete one first"),
        ),
        Err(answer) => *answer,
    }
}

/// `GET /webhooks/core`
pub(crate) async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    let session = match signed_in(&shared, &headers) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match with_store(&shared, move |shared| shared.tunnels.list(&session.user)).await {
        Ok(tunnels) => accepted(&json!({"tunnels": tunnels.iter().map(told).collect::<Vec<_>>()})),
        Err(answer) => *answer,
    }
}

/// `DELETE /webhooks/core/{id}`
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let session = match signed_in(&shared, &headers) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match with_store(&shared, move |shared| shared.tunnels.remove(&session.user, &id)).await {
        Ok(true) => accepted(&json!({})),
        Ok(false) => refused(StatusCode::NOT_FOUND, "There is no such webhook"),
        Err(answer) => *answer,
    }
}

/// `ANY /webhooks/ingress/{uuid}` and below: passes the request on to a desktop of the tunnel's owner and answers with
/// what comes back.
pub(crate) async fn ingress(
    State(shared): State<Arc<Shared>>,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (uuid, rest) = path.split_once('/').unwrap_or((&path, ""));
    let (wanted, rest) = (uuid.to_owned(), format!("/{rest}"));
    let tunnel = match with_store(&shared, move |shared| shared.tunnels.find(&wanted)).await {
        Ok(Some(tunnel)) => tunnel,
        Ok(None) => return refused(StatusCode::NOT_FOUND, "There is no such webhook"),
        Err(answer) => return *answer,
    };
    shared.metrics.webhooks.add();
    let mut passed: Map<String, Value> = Map::new();
    for name in headers.keys().filter(|name| !NOT_PASSED.contains(&name.as_str())) {
        let values: Vec<String> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        passed.insert(name.as_str().to_owned(), Value::String(values.join(", ")));
    }
    let request = json!({
        "tunnelId": tunnel.id, "tunnelUuid": tunnel.uuid, "tunnelName": tunnel.name, "method": method.as_str(),
        "path": rest, "headers": passed, "query": parsed_query(query.as_deref().unwrap_or_default()),
        "body": STANDARD.encode(&body),
    });
    let asked = cluster::ask(
        &shared,
        shared.cluster.as_ref(),
        &tunnel.user,
        DesktopRequest::Webhook { request },
    );
    match asked.await {
        Ok(answer) => response(&answer),
        Err(error) => {
            shared.metrics.webhooks_failed.add();
            let status = match error {
                AskError::NotConnected => StatusCode::SERVICE_UNAVAILABLE,
                AskError::NoAnswer { .. } => StatusCode::GATEWAY_TIMEOUT,
            };
            refused(status, &format!("The webhook was not handled: {error}"))
        }
    }
}

/// The pairs of a query; of several with one name the last counts.
fn parsed_query(query: &str) -> Map<String, Value> {
    let decoded = |text: &str| {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes().iter();
        while let Some(&byte) = rest.next() {
            let pair = rest
                .as_slice()
                .get(..2)
                .and_then(|pair| std::str::from_utf8(pair).ok());
            let code = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            match (byte, code) {
                (b'%', Some(code)) => {
                    bytes.push(code);
                    rest.nth(1);
                }
                (b'+', _) => bytes.push(b' '),
                (byte, _) => bytes.push(byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), Value::String(decoded(value)))
        })
        .collect()
}

/// The payload of `webhook:response` as an HTTP answer. It comes from a skill and is served under the backend's name,
/// so a browser must neither guess its kind nor run it.
fn response(answer: &Value) -> Answer {
    let status = answer.get("statusCode").and_then(Value::as_u64).unwrap_or(0);
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (200..=599).contains(status));
    let body = answer.get("body").and_then(Value::as_str).unwrap_or_default();
    let (Some(status), Ok(body)) = (status, STANDARD.decode(body)) else {
        return refused(
            StatusCode::BAD_GATEWAY,
            "The desktop's answer to the webhook cannot be read",
        );
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    for (name, value) in answer
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let name = HeaderName::try_from(name.as_str());
        let value = value.as_str().and_then(|value| HeaderValue::try_from(value).ok());
        if let (Ok(name), Some(value)) = (name, value)
            && !NOT_PASSED.contains(&name.as_str())
        {
            headers.insert(name, value);
        }
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    let correlation = answer.get("correlationId").and_then(Value::as_str);
    if let Some(id) = correlation.and_then(|id| HeaderValue::try_from(id).ok()) {
        headers.insert(HeaderName::from_static("x-correlation-id"), id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let pairs = parsed_query("a=1&b=x%20y+z&c&a=2&d=%zz%C3%A9&&e=%");
        assert_eq!(
            Value::Object(pairs),
            json!({"a": "2", "b": "x y z", "c": "", "d": "%zzé", "e": "%"})
        );
    }

    #[test]
    fn answers_of_skills_are_contained() {
        let good = response(&json!({
            "correlationId": "c-1", "statusCode": 201, "body": STANDARD.encode("<script>"),
            "headers": {"content-type": "text/html", "set-cookie": "a=b", "bad name": "x", "x-a": "1"},
        }));
        assert_eq!(good.status(), 201);
        assert_eq!(good.headers()["x-a"], "1");
        assert_eq!(good.headers()["x-correlation-id"], "c-1");
        assert!(good.headers().get("set-cookie").is_none());
        assert_eq!(
            good.headers()["content-security-policy"],
            "sandbox; default-src 'none'"
        );
        for bad in [
            json!({}),
            json!({"statusCode": 99}),
            json!({"statusCode": 200, "body": "%"}),
            json!({"statusCode": 1e9}),
        ] {
            assert_eq!(response(&bad).status(), StatusCode::BAD_GATEWAY, "{bad}");
        }
    }
}
