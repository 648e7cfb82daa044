//! Secrets of a test, and the wire that leads to prepared answers.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;

use super::net::{Answer, FakeNet, Reply, SeenRequest};
use super::time::VirtualTime;
use crate::{
    Destination, MemorySecrets, NameResolver, SecretValue, Secrets, SkillId, Transport, TransportError,
    TransportRequest, TransportResponse,
};

/// Secrets a test sets. They are remembered, so that what is shown of a request has the placeholder again.
#[derive(Default)]
pub(crate) struct TestSecrets {
    store: MemorySecrets,
    /// Handle and value.
    known: Mutex<Vec<(String, String)>>,
}

impl TestSecrets {
    /// Sets a value and the one host (or `host:port`) it may go to.
    pub(crate) fn set(&self, skill: &SkillId, handle: &str, to: &str, value: &str) -> Result<(), String> {
        self.store.store(skill, handle, &[to.to_owned()], value.into())?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push((handle.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The text with every known value replaced by its placeholder.
    pub(crate) fn hide(&self, text: &str) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(text.to_owned(), |text, (handle, value)| {
                text.replace(value, &format!("{{{{secret:{handle}}}}}"))
            })
    }
}

impl Secrets for TestSecrets {
    fn reveal(&self, skill: &SkillId, handle: &str, to: &Destination) -> Option<SecretValue> {
        self.store.reveal(skill, handle, to)
    }
}

/// A wire that leads to prepared answers. Every check of a real request comes before it.
pub(crate) struct FakeWire {
    net: Arc<FakeNet>,
    time: Arc<VirtualTime>,
    secrets: Arc<TestSecrets>,
}

impl FakeWire {
    pub(crate) fn new(net: &Arc<FakeNet>, time: &Arc<VirtualTime>, secrets: &Arc<TestSecrets>) -> Self {
        Self {
            net: Arc::clone(net),
            time: Arc::clone(time),
            secrets: Arc::clone(secrets),
        }
    }

    /// The request as the test may see it.
    fn seen(&self, request: &TransportRequest) -> SeenRequest {
        let endpoint = &request.endpoint;
        let scheme = if endpoint.secure { "https" } else { "http" };
        let url = format!("{scheme}://{}{}", endpoint.authority(), request.target);
        let headers = request.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), self.secrets.hide(&value))
        });
        let body = String::from_utf8_lossy(&request.body);
        SeenRequest {
            method: request.method.to_string(),
            url: self.secrets.hide(&url),
            headers: headers.collect(),
            body: (!body.is_empty()).then(|| self.secrets.hide(&body)),
        }
    }
}

impl Transport for FakeWire {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, TransportError>> {
        let seen = self.seen(&request);
        let line = format!("{} {}", seen.method, seen.url);
        let (answer, time) = (self.net.answer(seen), Arc::clone(&self.time));
        async move {
            let reply = match answer {
                Answer::Now(reply) => reply,
                Answer::Later(answered) => answered
                    .await
                    .map_err(|_| TransportError::Broken(format!("the test gave no answer to {line}")))?,
                Answer::Unmatched => {
                    return Err(TransportError::Broken(format!("nothing is prepared for {line}")));
                }
            };
            if let Some(delay) = reply.delay {
                time.sleep(Duration::from_millis(delay)).await;
            }
            response(&reply)
        }
        .boxed()
    }
}

fn response(reply: &Reply) -> Result<TransportResponse, TransportError> {
    if let Some(reason) = &reply.error {
        return Err(TransportError::Broken(reason.clone()));
    }
    let status = reply.status.unwrap_or(200);
    let status = StatusCode::from_u16(status)
        .map_err(|_| TransportError::Broken(format!("the test answers with the status {status}")))?;
    let mut response = TransportResponse::new(status);
    let typed = reply
        .headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("content-type"));
    if reply.json.is_some() && reply.body.is_none() && !typed {
        response = response.header("content-type", "application/json");
    }
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(reply.content()))
}

/// Every name has the same public address, to which nothing is ever sent.
pub(crate) struct FakeResolver;

impl NameResolver for FakeResolver {
    fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async { Ok(vec![IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1))]) }.boxed()
    }
}
