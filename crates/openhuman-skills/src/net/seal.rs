//! Fourth stage: the request is searched for values that may not leave, then the values that may are put in.
//!
//! Our own copies of values are wiped when the request has been sent. Those in the request line and headers live in
//! the HTTP stack's and TLS' buffers until it frees them.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use url::Url;
use zeroize::Zeroizing;

use super::authorise::Route;
use super::decode::ACCEPTED;
use super::error::NetError;
use super::placeholder::{Context, Reference, Wiped, basic, fill, holds_placeholder, inside_basic};
use super::request::Request;
use super::resolve::Resolved;
use super::scan::{Revealed, Scanner};
use super::transport::{Endpoint, TransportRequest};
use crate::{Destination, Secrets, SkillId};

const AGENT: &str = concat!("openhuman-skills/", env!("CARGO_PKG_VERSION"));

/// A request ready to be sent, as nothing else can be. Only made here.
pub(crate) struct Sealed {
    pub(super) wire: TransportRequest,
    /// The handles whose values are inside.
    pub(super) used: Vec<String>,
}

/// Whose secrets may be put in, and where they are remembered.
pub(crate) struct Sealer<'a> {
    pub(crate) skill: &'a SkillId,
    pub(crate) secrets: Option<&'a Arc<dyn Secrets>>,
    pub(crate) revealed: &'a Revealed,
}

impl Sealer<'_> {
    /// Seals a request; also gives it back as it was, for a redirect.
    pub(crate) fn seal(&self, resolved: Resolved) -> Result<(Sealed, Request), NetError> {
        let (request, route, to, addresses) = resolved.into_parts();
        let secure = request.url.scheme() == "https";
        self.refuse_leaks(&request, &to)?;
        let mut used = Vec::new();
        let mut put = |text: &[u8], context| {
            let mut reveal = |reference: &Reference| self.reveal(reference, &route, &to, secure, &mut used);
            fill(text, context, &mut reveal)
        };
        let target = target(&request.url, &mut put)?;
        let mut headers = HeaderMap::with_capacity(request.headers.len() + request.host_headers.len() + 3);
        for (name, value) in &request.headers {
            let filled = match inside_basic(value.as_bytes()).filter(|_| *name == AUTHORIZATION) {
                Some(inner) => put(&inner, Context::Raw)?.map(|pair| in_basic(&pair)),
                None => put(value.as_bytes(), Context::Raw)?,
            };
            let value = match filled {
                None => value.clone(),
                Some(filled) => secret_header(&filled, name.as_str())?,
            };
            headers.append(name.clone(), value);
        }
        if !secure && matches!(route, Route::Public { .. }) && !request.host_headers.is_empty() {
            return Err(NetError::refused(format!(
                "a credential would go to {to} without encryption; use https"
            )));
        }
        for (name, value) in &request.host_headers {
            let reference = Reference::Value(format!("host/{name}"));
            self.revealed
                .remember(&reference, bearer(value.expose()).as_bytes());
            // An echo of `Basic` may be the pair behind it, or its second half.
            if let Some(pair) = inside_pair(value.expose()) {
                self.revealed.remember(&reference, &pair);
                if let Some(colon) = pair.iter().position(|&byte| byte == b':') {
                    self.revealed
                        .remember(&reference, pair.get(colon + 1..).unwrap_or_default());
                }
            }
            headers.insert(
                name.clone(),
                secret_header(value.expose().as_bytes(), name.as_str())?,
            );
        }
        let context = match () {
            () if request.is_json() => Context::Json,
            () if request.is_form() => Context::Percent,
            () => Context::Raw,
        };
        let body = match &request.body {
            None => Bytes::new(),
            Some(body) => match put(body, context)? {
                None => body.clone(),
                Some(filled) => Bytes::from_owner(filled),
            },
        };
        let endpoint = Endpoint {
            secure,
            host: to.host().to_owned(),
            port: to.port(),
            addresses,
        };
        let authority = HeaderValue::from_str(&endpoint.authority());
        headers.insert(
            HOST,
            authority.map_err(|_| NetError::invalid("the host does not fit into a header"))?,
        );
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        let wire = TransportRequest {
            endpoint,
            method: request.method.clone(),
            target,
            headers,
            body,
        };
        Ok((Sealed { wire, used }, request))
    }

    /// A value that got into JavaScript in whatever way still goes nowhere but to its own hosts.
    fn refuse_leaks(&self, request: &Request, to: &Destination) -> Result<(), NetError> {
        let Some(scanner) = self.revealed.scanner() else {
            return Ok(());
        };
        let search = |text: &[u8]| self.stray(&scanner, text, to);
        let found = search(request.url.as_str().as_bytes())
            .or_else(|| {
                let mut headers = request.headers.iter();
                headers.find_map(|(name, value)| {
                    search(name.as_str().as_bytes()).or_else(|| search(value.as_bytes()))
                })
            })
            .or_else(|| request.body.as_ref().and_then(|body| search(body)));
        match found {
            None => Ok(()),
            Some(label) => Err(NetError::refused(format!(
                "the request holds the value of {label}, which may not be sent to {to}"
            ))),
        }
    }

    /// A WebSocket message with values in place of placeholders, if it holds nothing that may not leave, and the
    /// handles of the secrets inside.
    pub(super) fn message(
        &self,
        message: Message,
        to: &Destination,
    ) -> Result<(Message, Vec<String>), NetError> {
        let (text, is_text) = match &message {
            Message::Text(text) => (text.as_str().as_bytes(), true),
            Message::Binary(bytes) => (&**bytes, false),
            _ => return Ok((message, Vec::new())),
        };
        if let Some(scanner) = self.revealed.scanner()
            && let Some(label) = self.stray(&scanner, text, to)
        {
            return Err(NetError::refused(format!(
                "the message holds the value of {label}, which may not be sent to {to}"
            )));
        }
        let json = text
            .trim_ascii_start()
            .first()
            .is_some_and(|&first| first == b'{' || first == b'[');
        let context = if json && is_text {
            Context::Json
        } else {
            Context::Raw
        };
        // A socket to a public host is always encrypted.
        let route = Route::Public { secret: None };
        let mut used = Vec::new();
        let mut reveal = |reference: &Reference| self.reveal(reference, &route, to, true, &mut used);
        let Some(filled) = fill(text, context, &mut reveal)? else {
            return Ok((message, used));
        };
        let filled = Bytes::from_owner(filled);
        let message = match Utf8Bytes::try_from(filled.clone()) {
            Ok(text) if is_text => Message::Text(text),
            _ => Message::Binary(filled),
        };
        Ok((message, used))
    }

    /// The first secret in a text that is not bound to the destination.
    pub(super) fn stray(&self, scanner: &Scanner, text: &[u8], to: &Destination) -> Option<String> {
        let bound = |handle: &str| {
            self.secrets
                .is_some_and(|secrets| secrets.reveal(self.skill, handle, to).is_some())
        };
        let mut found = scanner.find_all(text).into_iter();
        found
            .find(|reference| match reference {
                Reference::Value(handle) => !bound(handle),
                Reference::Basic(user, password) => !bound(user) || !bound(password),
            })
            .map(Reference::label)
    }

    fn reveal(
        &self,
        reference: &Reference,
        route: &Route,
        to: &Destination,
        secure: bool,
        used: &mut Vec<String>,
    ) -> Result<Wiped, NetError> {
        let mut value = |handle: &str| {
            let refused = || NetError::refused(format!("the secret `{handle}` may not be sent to {to}"));
            if let Route::Public { secret } = route {
                // A rule that names `auth` is for every part of that credential.
                let names = |bound: &str| {
                    bound == handle
                        || handle
                            .strip_prefix(bound)
                            .is_some_and(|rest| rest.starts_with('.'))
                };
                if secret.as_ref().is_some_and(|bound| !names(bound)) {
                    return Err(refused());
                }
                if !secure {
                    return Err(NetError::refused(format!(
                        "the secret `{handle}` may not be sent to {to} without encryption; use https"
                    )));
                }
            }
            let secrets = self.secrets.ok_or_else(refused)?;
            let value = secrets.reveal(self.skill, handle, to).ok_or_else(refused)?;
            let value = Wiped::new(value.expose().as_bytes().to_vec());
            self.revealed
                .remember(&Reference::Value(handle.to_owned()), &value);
            if !used.iter().any(|known| known == handle) {
                used.push(handle.to_owned());
            }
            Ok(value)
        };
        match reference {
            Reference::Value(handle) => value(handle),
            Reference::Basic(user, password) => {
                let (user, password) = (value(user)?, value(password)?);
                let pair = basic(&user, &password);
                self.revealed.remember(reference, &pair);
                Ok(pair)
            }
        }
    }
}

/// Puts values in place of placeholders; `None` when there are none.
type Put<'a> = dyn FnMut(&[u8], Context) -> Result<Option<Wiped>, NetError> + 'a;

/// The path and query, with values in them.
fn target(url: &Url, put: &mut Put<'_>) -> Result<String, NetError> {
    let text = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    match put(text.as_bytes(), Context::Percent)? {
        None => Ok(text),
        // A path such as `/{{secret:x}}/../y` must not change its shape: the value has no slashes any more.
        Some(filled) => String::from_utf8(filled.to_vec())
            .map_err(|_| NetError::invalid("the secret does not fit into the URL")),
    }
}

fn secret_header(value: &[u8], name: &str) -> Result<HeaderValue, NetError> {
    let mut value = HeaderValue::from_bytes(value)
        .map_err(|_| NetError::invalid(format!("the secret does not fit into the header `{name}`")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn in_basic(pair: &[u8]) -> Wiped {
    use base64::Engine as _;
    let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair));
    let mut header = Wiped::new(Vec::with_capacity(encoded.len() + 6));
    header.extend_from_slice(b"Basic ");
    header.extend_from_slice(encoded.as_bytes());
    header
}

/// The token of `Bearer TOKEN` or `Basic TOKEN`: that is what may be echoed.
fn bearer(value: &str) -> &str {
    let token = value
        .strip_prefix("Bearer ")
        .or_else(|| value.strip_prefix("Basic "));
    token.unwrap_or(value)
}

/// The user and password of `Basic TOKEN`.
fn inside_pair(value: &str) -> Option<Zeroizing<Vec<u8>>> {
    use base64::Engine as _;
    let token = value.strip_prefix("Basic ")?;
    let pair = base64::engine::general_purpose::STANDARD.decode(token).ok()?;
    Some(Zeroizing::new(pair))
}

/// Whether a header or body would carry a secret, as placeholder or value, to wherever the request goes.
pub(super) fn carries_secret(text: &[u8], scanner: Option<&Scanner>) -> bool {
    holds_placeholder(text)
        || inside_basic(text).is_some()
        || scanner.is_some_and(|scanner| scanner.find(text).is_some())
}
