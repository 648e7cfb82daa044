//! The HTTP routes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Json, Router};
use openhuman_vault::tokens::TokenError;
use serde_json::{Value, json};

use crate::session::Session;
use crate::shared::{AUDIENCE, Shared};
use crate::{streaming, webhooks};

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/chat", post(streaming::chat))
        .route("/webhooks/core", post(webhooks::create).get(webhooks::list))
        .route("/webhooks/core/{id}", delete(webhooks::delete))
        .route("/webhooks/ingress/{*path}", any(webhooks::ingress))
        .route("/telegram/login-tokens/{token}/consume", post(consume))
        .route("/auth/me", get(me))
        .fallback(async || refused(StatusCode::NOT_FOUND, "There is nothing under this path"))
        .with_state(shared)
}

/// Says whether desktops and turns are taken; a drain answers with 503.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let now = shared.gauges();
    let (code, status) = if now.draining {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        (StatusCode::OK, "ok")
    };
    let body = json!({
        "status": status, "version": env!("CARGO_PKG_VERSION"), "desktops": now.desktops, "turns": now.turns,
        "uptimeMs": now.uptime_ms,
    });
    (code, Json(body)).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = shared.metrics.text(shared.gauges());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// Whose session the request carries; the answer to give when it carries none.
pub(crate) fn signed_in(shared: &Shared, headers: &HeaderMap) -> Result<Session, Box<Response>> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = bearer else {
        return Err(Box::new(refused(
            StatusCode::UNAUTHORIZED,
            "Send the session token as: Authorization: Bearer <token>",
        )));
    };
    let verified = shared.sessions.verify(token, shared.now_ms());
    verified.map_err(|error| Box::new(refused(StatusCode::UNAUTHORIZED, &error.to_string())))
}

/// Turns a login token into a session token, once. A token that was issued for a challenge needs the verifier that
/// answers it: whoever has only the link gets nothing.
async fn consume(State(shared): State<Arc<Shared>>, Path(token): Path<String>, body: Bytes) -> Response {
    let Ok(verifier) = code_verifier(&body) else {
        return refused(
            StatusCode::BAD_REQUEST,
            "Send no body, or a JSON object with `codeVerifier`",
        );
    };
    let redeeming = tokio::task::spawn_blocking({
        let shared = Arc::clone(&shared);
        move || match verifier {
            Some(verifier) => shared
                .logins
                .redeem_with(&token, AUDIENCE, &verifier, shared.now_ms()),
            None => shared.logins.redeem(&token, AUDIENCE, shared.now_ms()),
        }
    });
    match redeeming.await {
        Ok(Ok(user)) => {
            shared.metrics.logins.add();
            let token = shared.sessions.issue(&user, shared.now_ms());
            accepted(&json!({"jwtToken": token.expose()}))
        }
        Ok(Err(error @ TokenError::Invalid)) => refused(StatusCode::UNAUTHORIZED, &error.to_string()),
        Ok(Err(error)) => {
            tracing::error!(%error, "a login token could not be redeemed");
            refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "The login could not be checked; try again",
            )
        }
        Err(error) => {
            tracing::error!(%error, "a login token could not be redeemed");
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The login could not be checked; try again",
            )
        }
    }
}

/// The verifier in the body of an exchange, where there is a body.
fn code_verifier(body: &[u8]) -> Result<Option<String>, ()> {
    if body.is_empty() {
        return Ok(None);
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| ())?;
    match body.get("codeVerifier") {
        Some(Value::String(verifier)) => Ok(Some(verifier.clone())),
        None if body.is_object() => Ok(None),
        _ => Err(()),
    }
}

/// Says whose session it is.
async fn me(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match signed_in(&shared, &headers) {
        Ok(session) => accepted(&json!({"id": session.user, "expiresAtMs": session.expires_ms})),
        Err(answer) => *answer,
    }
}

pub(crate) fn accepted(data: &Value) -> Response {
    (
        [(header::CACHE_CONTROL, "no-store")],
        Json(json!({"success": true, "data": data})),
    )
        .into_response()
}

pub(crate) fn refused(status: StatusCode, message: &str) -> Response {
    let body = Json(json!({"success": false, "message": message}));
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}
