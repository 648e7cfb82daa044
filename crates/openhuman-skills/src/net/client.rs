//! Sending an allowed request: names resolved and checked here, redirects followed by hand, secrets put in last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::{Map, Value, json};
use url::Url;

use super::address::is_public;
use super::request::{NetError, Redirect, Request, Route, authorize};
use crate::{Destination, Grant, NameResolver, Secrets, SkillId};

/// The largest response body, in bytes.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// The response bytes held for all skills together.
const MAX_IN_FLIGHT: usize = 64 * 1024 * 1024;
const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One client for the whole engine. Skills share connections, never cookies: there are none.
pub(crate) struct Client {
    /// Connects to public addresses only.
    public: reqwest::Client,
    /// Connects anywhere; used only for a host and port the user granted explicitly.
    private: reqwest::Client,
    in_flight: Arc<AtomicUsize>,
}

/// Who sends, and what it may send.
#[derive(Clone)]
pub(crate) struct Egress {
    pub(crate) skill: SkillId,
    pub(crate) grant: Arc<Grant>,
    /// What its manifest asks for.
    pub(crate) asked: Arc<Grant>,
    pub(crate) secrets: Option<Arc<dyn Secrets>>,
}

/// Resolves names for the connector. Because the connector uses exactly the addresses it gets here, the address
/// that was checked is the address that is connected.
struct CheckedResolver {
    names: Arc<dyn NameResolver>,
    public_only: bool,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.names.resolve(name.as_str().to_owned());
        let public_only = self.public_only;
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found = found.await?;
            if found.is_empty() {
                return Err(format!("{name} has no address").into());
            }
            // One private address among several is enough to refuse: rebinding mixes them.
            if let Some(private) = found.iter().find(|address| public_only && !is_public(**address)) {
                return Err(format!(
                    "{name} resolves to {private}, which is a private address; it needs an explicit grant of this \
                     host and port"
                )
                .into());
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Counts response bytes while they are held.
struct Held {
    total: Arc<AtomicUsize>,
    mine: usize,
}

impl Held {
    fn add(&mut self, bytes: usize) -> Result<(), NetError> {
        self.mine += bytes;
        if self.total.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_IN_FLIGHT {
            return Err(NetError(
                "too many large responses are being received; try again later".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

impl Client {
    pub(crate) fn new(names: &Arc<dyn NameResolver>) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let tls = match builder.clone().with_platform_verifier() {
            Ok(verified) => verified.with_no_client_auth(),
            Err(error) => {
                // Without trusted roots every https request fails its verification; granted http still works.
                tracing::warn!(%error, "no trusted root certificates: skills cannot use https");
                builder
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth()
            }
        };
        let client = |public_only| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                // A proxy from the environment would resolve names itself, past the checks.
                .no_proxy()
                .redirect(Policy::none())
                .referer(false)
                .dns_resolver(Arc::new(CheckedResolver {
                    names: Arc::clone(names),
                    public_only,
                }))
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(8)
                .user_agent(concat!("openhuman-skills/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| error.to_string())
        };
        Ok(Self {
            public: client(true)?,
            private: client(false)?,
            in_flight: Arc::default(),
        })
    }

    /// Sends a request and returns `{status, statusText, ok, url, headers, body}`.
    pub(crate) async fn fetch(&self, egress: &Egress, request: Request) -> Result<Value, NetError> {
        let limit = request.timeout;
        tokio::time::timeout(limit, self.follow(egress, request))
            .await
            .unwrap_or_else(|_| {
                Err(NetError(format!(
                    "no complete answer within {} s",
                    limit.as_secs_f64()
                )))
            })
    }

    async fn follow(&self, egress: &Egress, mut request: Request) -> Result<Value, NetError> {
        for _ in 0..=MAX_REDIRECTS {
            let (response, sealed) = self.send_once(egress, &request).await?;
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let next = match location {
                Some(location)
                    if response.status().is_redirection() && request.redirect != Redirect::Manual =>
                {
                    if request.redirect == Redirect::Error {
                        return Err(NetError(format!(
                            "{} redirects, which the options forbid",
                            request.url
                        )));
                    }
                    request
                        .url
                        .join(location)
                        .map_err(|error| NetError(format!("bad redirect: {error}")))?
                }
                _ => return self.read(&request.url, response, &sealed).await,
            };
            redirect(&mut request, response.status(), next)?;
        }
        Err(NetError(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// Sends one request; also returns the secret values that went out with it.
    async fn send_once(
        &self,
        egress: &Egress,
        request: &Request,
    ) -> Result<(reqwest::Response, Sealed), NetError> {
        let route = authorize(&egress.grant, &egress.asked, &request.method, &request.url)?;
        let to = Destination::new(
            request.url.host_str().unwrap_or_default(),
            request.url.port_or_known_default().unwrap_or_default(),
        );
        let mut sealed = Sealed::default();
        let mut put = |text: &str, encode: bool| sealed.reveal(egress, &route, &to, text, encode);
        let url = put(request.url.as_str(), true)?;
        let url =
            Url::parse(&url).map_err(|_| NetError("the secret does not fit into the URL".to_owned()))?;
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            let text = value.to_str().unwrap_or_default();
            let mut revealed = HeaderValue::from_str(&put(text, false)?)
                .map_err(|_| NetError(format!("the secret does not fit into the header `{name}`")))?;
            revealed.set_sensitive(true);
            headers.append(name, revealed);
        }
        let body = request.body.as_deref().map(|body| put(body, false)).transpose()?;
        let client = if route == Route::Private {
            &self.private
        } else {
            &self.public
        };
        let mut outgoing = client.request(request.method.clone(), url).headers(headers);
        if let Some(body) = body {
            outgoing = outgoing.body(body);
        }
        let response = outgoing
            .send()
            .await
            .map_err(|error| NetError(sealed.redact(&describe(error))))?;
        Ok((response, sealed))
    }

    async fn read(
        &self,
        url: &Url,
        mut response: reqwest::Response,
        sealed: &Sealed,
    ) -> Result<Value, NetError> {
        let status = response.status();
        let headers = header_object(response.headers(), sealed);
        let mut held = Held {
            total: Arc::clone(&self.in_flight),
            mine: 0,
        };
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| NetError(sealed.redact(&describe(error))))?
        {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(NetError(format!("the response is larger than {MAX_BODY} bytes")));
            }
            held.add(chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        Ok(json!({
            "status": status.as_u16(),
            "statusText": status.canonical_reason().unwrap_or(""),
            "ok": status.is_success(),
            "url": url.as_str(),
            "headers": headers,
            "body": sealed.redact(&String::from_utf8_lossy(&body)),
        }))
    }
}

/// Turns a request into the one a redirect asks for.
fn redirect(request: &mut Request, status: StatusCode, next: Url) -> Result<(), NetError> {
    let becomes_get = status == StatusCode::SEE_OTHER
        || (matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND)
            && request.method == Method::POST);
    if becomes_get && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = None;
        request.headers.remove(reqwest::header::CONTENT_TYPE);
    }
    if next.origin() != request.url.origin() {
        let holds_secret = |text: &str| text.contains(OPEN);
        if request.body.as_deref().is_some_and(holds_secret) {
            return Err(NetError(
                "a request with a secret in its body was redirected to another origin".to_owned(),
            ));
        }
        let sensitive: Vec<_> = request
            .headers
            .iter()
            .filter(|(name, value)| {
                *name == AUTHORIZATION || *name == COOKIE || value.to_str().is_ok_and(holds_secret)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in sensitive {
            request.headers.remove(name);
        }
    }
    request.url = next;
    Ok(())
}

const OPEN: &str = "{{secret:";
const OPEN_ENCODED: &str = "%7B%7Bsecret:";

/// The secret values a request carried, so that an echo of them never enters JavaScript.
#[derive(Default)]
struct Sealed(Vec<(String, String)>);

impl Sealed {
    /// Replaces the placeholders in `text` by their values.
    fn reveal(
        &mut self,
        egress: &Egress,
        route: &Route,
        to: &Destination,
        text: &str,
        encode: bool,
    ) -> Result<String, NetError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        loop {
            let plain = rest.find(OPEN).map(|at| (at, OPEN, "}}"));
            let encoded = if encode {
                rest.find(OPEN_ENCODED).map(|at| (at, OPEN_ENCODED, "%7D%7D"))
            } else {
                None
            };
            let Some((at, open, close)) = [plain, encoded].into_iter().flatten().min_by_key(|found| found.0)
            else {
                out.push_str(rest);
                return Ok(out);
            };
            let (before, tail) = rest.split_at(at);
            let tail = tail.get(open.len()..).unwrap_or_default();
            let Some((handle, after)) = tail.split_once(close) else {
                return Err(NetError("a {{secret:..}} placeholder is not closed".to_owned()));
            };
            out.push_str(before);
            let value = self.value(egress, route, to, handle)?;
            out.push_str(&if encode { percent_encode(&value) } else { value });
            rest = after;
        }
    }

    fn value(
        &mut self,
        egress: &Egress,
        route: &Route,
        to: &Destination,
        handle: &str,
    ) -> Result<String, NetError> {
        let refused = || NetError(format!("the secret `{handle}` may not be sent to {to}"));
        if let Route::Public { secret: Some(bound) } = route
            && bound != handle
        {
            return Err(refused());
        }
        let secrets = egress.secrets.as_ref().ok_or_else(refused)?;
        let value = secrets.reveal(&egress.skill, handle, to).ok_or_else(refused)?;
        let value = value.expose().to_owned();
        self.0.push((value.clone(), format!("{OPEN}{handle}}}}}")));
        Ok(value)
    }

    /// Puts the placeholders back where the other side echoed a value.
    fn redact(&self, text: &str) -> String {
        self.0.iter().filter(|(value, _)| !value.is_empty()).fold(
            text.to_owned(),
            |text, (value, placeholder)| {
                let text = if text.contains(value.as_str()) {
                    text.replace(value.as_str(), placeholder)
                } else {
                    text
                };
                let encoded = percent_encode(value);
                if encoded != *value && text.contains(&encoded) {
                    text.replace(&encoded, placeholder)
                } else {
                    text
                }
            },
        )
    }
}

fn percent_encode(value: &str) -> String {
    use std::fmt::Write as _;
    value
        .bytes()
        .fold(String::with_capacity(value.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}

/// Lower-case names; repeated headers joined with `, `; `set-cookie` as an array.
fn header_object(headers: &HeaderMap, sealed: &Sealed) -> Value {
    let mut object = Map::new();
    for name in headers.keys() {
        let values = headers
            .get_all(name)
            .iter()
            .map(|value| sealed.redact(&String::from_utf8_lossy(value.as_bytes())));
        let value = if *name == SET_COOKIE {
            Value::from(values.collect::<Vec<_>>())
        } else {
            Value::from(values.collect::<Vec<_>>().join(", "))
        };
        object.insert(name.as_str().to_owned(), value);
    }
    Value::Object(object)
}

/// The whole chain of causes, without the URL: it may hold a secret.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySecrets;

    fn egress() -> Egress {
        let skill = SkillId::new("a").unwrap();
        let secrets = MemorySecrets::default().with(&skill, "key", "api.example.com", "s3cr/t");
        Egress {
            skill,
            grant: Arc::new(Grant::none()),
            asked: Arc::new(Grant::none()),
            secrets: Some(Arc::new(secrets)),
        }
    }

    #[test]
    fn placeholders_become_values_only_for_their_host() {
        let route = Route::Public { secret: None };
        let mut sealed = Sealed::default();
        let mut put = |host: &str, text: &str, encode| {
            sealed.reveal(&egress(), &route, &Destination::new(host, 443), text, encode)
        };
        assert_eq!(
            put("api.example.com", "Bearer {{secret:key}}!", false).unwrap(),
            "Bearer s3cr/t!"
        );
        let url = Url::parse("https://api.example.com/bot{{secret:key}}/x?q={{secret:key}}").unwrap();
        assert_eq!(
            put("api.example.com", url.as_str(), true).unwrap(),
            "https://api.example.com/bots3cr%2Ft/x?q=s3cr%2Ft"
        );
        assert!(put("evil.example.com", "{{secret:key}}", false).is_err());
        assert!(put("api.example.com", "{{secret:other}}", false).is_err());
        assert!(put("api.example.com", "{{secret:key", false).is_err());
        assert_eq!(
            sealed.redact("echo s3cr/t and s3cr%2Ft"),
            "echo {{secret:key}} and {{secret:key}}"
        );
    }

    #[test]
    fn a_rule_names_the_only_secret() {
        let route = Route::Public {
            secret: Some("other".into()),
        };
        assert!(
            Sealed::default()
                .reveal(
                    &egress(),
                    &route,
                    &Destination::new("api.example.com", 443),
                    "{{secret:key}}",
                    false
                )
                .is_err()
        );
    }

    #[test]
    fn a_hop_to_another_origin_loses_its_credentials() {
        let describe = serde_json::json!({"url": "https://api.example.com/a", "options": {"method": "POST", "body": "x",
            "headers": {"Authorization": "Bearer x", "X-Key": "{{secret:key}}", "X-Other": "kept", "Cookie": "c"}}});
        let mut request = Request::parse(&describe).unwrap();
        let mut same = request.clone();
        redirect(
            &mut same,
            StatusCode::TEMPORARY_REDIRECT,
            Url::parse("https://api.example.com/b").unwrap(),
        )
        .unwrap();
        assert_eq!((same.headers.len(), same.method), (4, Method::POST));
        redirect(
            &mut request,
            StatusCode::FOUND,
            Url::parse("https://other.example.com/b").unwrap(),
        )
        .unwrap();
        assert_eq!(request.headers.keys().collect::<Vec<_>>(), ["x-other"]);
        assert_eq!((request.method, request.body), (Method::GET, None));
    }

    #[tokio::test]
    async fn a_name_with_one_private_address_is_refused() {
        struct Fixed(Vec<std::net::IpAddr>);
        impl NameResolver for Fixed {
            fn resolve(
                &self,
                _: String,
            ) -> futures_util::future::BoxFuture<'static, std::io::Result<Vec<std::net::IpAddr>>>
            {
                let found = self.0.clone();
                Box::pin(async move { Ok(found) })
            }
        }
        let names: Arc<dyn NameResolver> = Arc::new(Fixed(vec![
            "1.1.1.1".parse().unwrap(),
            "127.0.0.1".parse().unwrap(),
        ]));
        let client = Client::new(&names).unwrap();
        let mut grant = Grant::none();
        grant.allow_host("rebind.example.com");
        let egress = Egress {
            grant: Arc::new(grant),
            ..egress()
        };
        let request = Request::parse(&json!({"url": "https://rebind.example.com/"})).unwrap();
        let error = client.fetch(&egress, request).await.unwrap_err();
        assert!(
            error
                .0
                .contains("127.0.0.1, which is a private address; it needs an explicit grant"),
            "{error}"
        );
    }
}
