//! The accounts of a skill: `oauth` and `auth`.

use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use rquickjs::Object;
use serde_json::{Value, json};
use url::Url;

use super::net::whole_answer;
use super::{HostError, Op, OpResult, give};
use crate::credentials::is_id;
use crate::js::host::Host;
use crate::js::raw::Args;
use crate::net::request::{Redirect, Request};
use crate::net::{Answer, Egress};
use crate::{AuthKind, CredentialKind, Grant, SecretValue, SkillEvent};

pub(super) const OPS: &[Op] = &[
    Op {
        name: "oauth.get",
        run: oauth_get,
    },
    Op {
        name: "oauth.fetch",
        run: oauth_fetch,
    },
    Op {
        name: "oauth.revoke",
        run: oauth_revoke,
    },
    Op {
        name: "auth.get",
        run: auth_get,
    },
    Op {
        name: "auth.fetch",
        run: auth_fetch,
    },
];

const EXPIRED: &str = "Integration token expired or invalid. Please reconnect.";

fn oauth_get<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let view = host.skill.credentials().view(CredentialKind::OAuth);
    give(args, view.to_string())
}

fn auth_get<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let view = host.skill.credentials().view(CredentialKind::Auth);
    give(args, view.to_string())
}

fn oauth_fetch<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    match through_backend(host, &args.text(0)?, &args.json(1)?)? {
        Some((answer, body)) => whole_answer(args, &answer, &body),
        None => unauthorized(
            args,
            "No OAuth credential. Connect the account of this skill first.",
        ),
    }
}

fn auth_fetch<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (url, options) = (args.text(0)?, args.json(1)?);
    let mode = {
        let held = host.skill.credentials();
        let mode = held.raw(CredentialKind::Auth).and_then(|raw| raw.get("mode"));
        let managed = held.raw(CredentialKind::OAuth).map(|_| Value::from("managed"));
        mode.cloned().or(managed)
    };
    let answer = match mode.as_ref().and_then(Value::as_str) {
        Some("managed") => through_backend(host, &url, &options)?,
        Some(mode) => Some(direct(host, mode, &url, &options)?),
        None => None,
    };
    match answer {
        Some((answer, body)) => whole_answer(args, &answer, &body),
        None => unauthorized(
            args,
            "No auth credential. Connect the account of this skill first.",
        ),
    }
}

fn unauthorized<'js>(args: Args<'_, 'js>, text: &str) -> OpResult<'js> {
    let object = Object::new(args.ctx().clone())?;
    object.set("status", 401)?;
    object.set("headers", Object::new(args.ctx().clone())?)?;
    object.set("body", json!({ "error": text }).to_string())?;
    Ok(object.into_value())
}

/// The connection at the backend: its id, and the key of an encrypted one.
fn connection(host: &Host) -> Option<(String, Option<String>)> {
    let held = host.skill.credentials();
    let own = held.text(CredentialKind::OAuth, "credentialId");
    // A managed mode may have been chosen among several ways to connect.
    let id = own.or_else(|| held.text(CredentialKind::Auth, "credentialId"))?;
    let key = held
        .text(CredentialKind::OAuth, "clientKey")
        .or_else(|| held.text(CredentialKind::Auth, "clientKey"));
    Some((id.to_owned(), key.map(str::to_owned)))
}

/// A request through the backend's proxy, which adds the account's token.
fn through_backend(host: &Rc<Host>, path: &str, options: &Value) -> Result<Option<Whole>, HostError> {
    let Some((id, key)) = connection(host) else {
        return Ok(None);
    };
    let fail = |text: String| HostError::Type(format!("oauth.fetch: {text}"));
    let (base, token) = backend(host)?;
    let way = if key.is_some() { "encrypted" } else { "by-id" };
    let prefix = if is_id(&id) {
        format!("{}/proxy/{way}/{id}/", base.path().trim_end_matches('/'))
    } else {
        return Err(HostError::Failed(
            "oauth.fetch: the credential has an id that is none; connect again".to_owned(),
        ));
    };
    let path = path.trim_start_matches('/');
    if climbs(path) {
        return Err(fail(format!(
            "`{path}` leaves the API; `.` and `..` are not allowed"
        )));
    }
    let mut root = base.clone();
    root.set_path("");
    let url = format!("{}{prefix}{path}", root.as_str().trim_end_matches('/'));
    let mut request = Request::parse(&url, options).map_err(|error| fail(error.to_string()))?;
    // The token goes to the proxy's path of this connection and nowhere else on the backend.
    if request.url.origin() != base.origin() || !request.url.path().starts_with(&prefix) {
        return Err(fail(format!("`{path}` is not a path")));
    }
    request.redirect = Redirect::Manual;
    request
        .headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    request.headers.remove(AUTHORIZATION);
    if let Some(token) = &token {
        authorize(token, &mut request);
    }
    if let Some(key) = key {
        let name = HeaderName::from_static("x-encryption-key");
        request.headers.remove(&name);
        request
            .host_headers
            .push((name, Arc::new(SecretValue::from(key.as_str()))));
    }
    let whole = send(host, trusted(host, &request.url), request, "oauth.fetch")?;
    if matches!(whole.0.status, 401 | 403) {
        forget(host, CredentialKind::OAuth)?;
        let values = json!({
            "connection_status": "error", "connection_error": EXPIRED, "auth_status": "not_authenticated",
        });
        if let Value::Object(values) = values {
            host.skill.publish(&host.shared, values);
        }
    }
    Ok(Some(whole))
}

/// Puts the session's token into a request, where only the host and the wire see it.
fn authorize(token: &SecretValue, request: &mut Request) {
    let value = SecretValue::new(format!("Bearer {}", token.expose()));
    request.host_headers.push((AUTHORIZATION, Arc::new(value)));
}

/// Ends the connection at the backend and here.
fn oauth_revoke<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let Some((id, _)) = connection(host) else {
        return give(args, false);
    };
    if let (Ok((base, Some(token))), true) = (backend(host), is_id(&id)) {
        let url = format!("{}/auth/integrations/{id}", base.as_str().trim_end_matches('/'));
        let mut request = Request::parse(&url, &json!({ "method": "DELETE" }))
            .map_err(|error| HostError::Failed(format!("oauth.revoke: {error}")))?;
        request.redirect = Redirect::Manual;
        authorize(&token, &mut request);
        send(host, trusted(host, &request.url), request, "oauth.revoke")?;
    }
    forget(host, CredentialKind::OAuth)?;
    give(args, true)
}

/// A request to the API itself, with what the user entered.
fn direct(host: &Rc<Host>, mode: &str, url: &str, options: &Value) -> Result<Whole, HostError> {
    let fail = |text: String| HostError::Type(format!("auth.fetch: {text}"));
    let url = match (Url::parse(url), api_base(host, mode)) {
        (Ok(url), _) => url.to_string(),
        (Err(_), Some(base)) => format!("{}/{}", base.trim_end_matches('/'), url.trim_start_matches('/')),
        (Err(error), None) => return Err(fail(format!("`{url}` is not a URL: {error}"))),
    };
    let mut request = Request::parse(&url, options).map_err(|error| fail(error.to_string()))?;
    let name = request.url.host_str().unwrap_or_default();
    let port = request.url.port_or_known_default().unwrap_or(0);
    if mode == "self_hosted"
        && !request.headers.contains_key(AUTHORIZATION)
        && host.skill.credential_may_go_to("auth", name, port)
    {
        let kind = CredentialKind::Auth;
        let held = host.skill.credentials();
        let pair = held.text(kind, "client_id").zip(held.text(kind, "client_secret"));
        let basic = pair.map(|(id, secret)| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))));
        let bearer = held
            .text(kind, "access_token")
            .map(|token| format!("Bearer {token}"));
        if let Some(value) = basic.or(bearer) {
            request
                .host_headers
                .push((AUTHORIZATION, Arc::new(SecretValue::new(value))));
        }
    }
    send(host, host.egress(), request, "auth.fetch")
}

/// The base address of the API in this mode, or in any.
fn api_base(host: &Host, mode: &str) -> Option<String> {
    let setup = &host.skill.package.manifest().setup;
    let modes = setup.auth.iter().flat_map(|auth| &auth.modes);
    let kind = |kind: AuthKind| match kind {
        AuthKind::Managed => "managed",
        AuthKind::SelfHosted => "self_hosted",
        AuthKind::Text => "text",
    };
    let exact = modes
        .clone()
        .filter(|known| kind(known.kind) == mode)
        .find_map(|known| known.api_base_url.clone());
    exact.or_else(|| modes.clone().find_map(|known| known.api_base_url.clone()))
}

/// The backend and the token for it, read as one: a login that changes between the two must not mix them.
fn backend(host: &Host) -> Result<(Url, Option<SecretValue>), HostError> {
    let session = host.shared.ports.session.as_ref();
    let (base, token) = match session.and_then(|session| session.login()) {
        Some(login) => {
            let (text, token) = login.into_parts();
            let base = Url::parse(&text)
                .map_err(|error| HostError::Failed(format!("the backend address is not a URL: {error}")))?;
            (base, token)
        }
        None => {
            let base = host.shared.backend.clone().ok_or_else(|| {
                HostError::Failed("oauth.fetch: no backend is connected; log in first".to_owned())
            })?;
            (base, None)
        }
    };
    if base.cannot_be_a_base() || base.host_str().is_none() {
        return Err(HostError::Failed("the backend address has no host".to_owned()));
    }
    Ok((base, token))
}

/// Whether a path has a part that means this or the parent directory, also after decoding.
fn climbs(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut decoded = path.to_ascii_lowercase();
    for _ in 0..3 {
        decoded = decoded
            .replace("%25", "%")
            .replace("%2e", ".")
            .replace("%2f", "/")
            .replace("%5c", "\\");
    }
    decoded.split(['/', '\\']).any(|part| {
        matches!(
            part.trim_matches(|c: char| c.is_control() || c == ' '),
            "." | ".."
        )
    }) || path.contains(|c: char| c.is_control())
}

/// A request of the host itself, to the one address it chose.
fn trusted(host: &Host, url: &Url) -> Egress {
    let mut grant = Grant::none();
    if let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) {
        grant.allow_private(name, port);
    }
    let grant = Arc::new(grant);
    Egress {
        asked: Arc::clone(&grant),
        grant,
        ..host.egress()
    }
}

type Whole = (Answer, Vec<u8>);

fn send(host: &Host, egress: Egress, request: Request, what: &str) -> Result<Whole, HostError> {
    if request.timeout_was_ms {
        host.log(
            "warn",
            &format!("{what}: `timeout` is in seconds; a value of 1000 or more is read as milliseconds"),
        );
    }
    let shared = Arc::clone(&host.shared);
    let work = Box::pin(async move { shared.client.fetch(&egress, request).await });
    host.wait_for(work)?
        .map_err(|error| HostError::Failed(format!("{what}: {error}")))
}

/// Deletes a credential from the store and from this run.
fn forget(host: &Host, kind: CredentialKind) -> Result<(), HostError> {
    let (port, skill) = (Arc::clone(&host.shared.ports.credentials), host.skill.id.clone());
    let blocking = host.shared.blocking.clone();
    let deleted = host.wait_for(async move { blocking.run(move || port.delete(&skill, kind)).await })?;
    host.skill.credentials().set(kind, None);
    host.shared.emit(SkillEvent::Revoked {
        skill_id: host.skill.id.clone(),
        kind: kind.as_str().to_owned(),
    });
    match deleted {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(HostError::Failed(error.to_string())),
        Err(_) => Err(HostError::Failed(
            "the credential store ended unexpectedly".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::climbs;

    #[test]
    fn paths_that_climb_are_found() {
        for bad in [
            "..",
            "../auth/me",
            "v1/../../x",
            "v1/%2e%2e/x",
            "a/.%2E/b",
            "a%2f..%2fb",
            "a%5c..%5cb",
            "%252e%252e/x",
            "a/./b",
            "a\\..\\b",
            "..\t/x",
        ] {
            assert!(climbs(bad), "{bad}");
        }
        for good in [
            "v1/pages/a..b",
            "v1/search?q=../x",
            "messages/%2Babc",
            "v1/a.b/..c",
            "",
        ] {
            assert!(!climbs(good), "{good}");
        }
    }
}
