//! Drives a request through the stages, hop by hop, and records what happened.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures_util::StreamExt as _;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::authorise::{Authorised, authorise};
use super::body::{Body, Held};
use super::decode::Decoder;
use super::error::{NetError, NetErrorKind};
use super::note::{Note, Recorder};
use super::redirect::{MAX_REDIRECTS, destination, follow};
use super::request::Request;
use super::resolve::Names;
use super::run::{SkillNet, Wanted};
use super::scan::{Redactor, Scanner};
use super::seal::{Sealed, Sealer};
use super::transport::{Transport, TransportResponse};
use crate::ledger::EgressCause;
use crate::{Grant, NameResolver, Secrets, SkillEvent, SkillId};

/// One client for the whole engine. Skills share connections, never cookies: there are none.
pub(crate) struct Client {
    names: Names,
    pub(super) transport: Arc<dyn Transport>,
    in_flight: Arc<AtomicUsize>,
    pub(crate) recorder: Recorder,
    pub(crate) events: broadcast::Sender<SkillEvent>,
}

/// Who sends, what it may send, and why.
#[derive(Clone)]
pub(crate) struct Egress {
    pub(crate) skill: SkillId,
    pub(crate) grant: Arc<Grant>,
    /// What its manifest asks for.
    pub(crate) asked: Arc<Grant>,
    pub(crate) secrets: Option<Arc<dyn Secrets>>,
    pub(crate) run: Arc<SkillNet>,
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) cause: Arc<EgressCause>,
}

impl Egress {
    pub(super) fn sealer(&self) -> Sealer<'_> {
        Sealer {
            skill: &self.skill,
            secrets: self.secrets.as_ref(),
            revealed: &self.run.revealed,
        }
    }
}

/// The head of an answer, as a skill may see it, and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) status_text: String,
    pub(crate) url: String,
    pub(crate) redirected: bool,
    /// Names in lower case; repeated headers are kept apart.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) has_body: bool,
    pub(crate) body: Body,
}

impl Client {
    pub(crate) fn new(
        resolver: Arc<dyn NameResolver>,
        transport: Arc<dyn Transport>,
        recorder: Recorder,
    ) -> Self {
        Self {
            names: Names::new(resolver),
            transport,
            in_flight: Arc::default(),
            recorder,
            events: broadcast::Sender::new(1024),
        }
    }

    /// Sends a request and gives its whole answer, within the request's time limit.
    pub(crate) async fn fetch(
        &self,
        egress: &Egress,
        request: Request,
    ) -> Result<(Answer, Vec<u8>), NetError> {
        let limit = request.timeout;
        let whole = async {
            let mut answer = self.send(egress, request).await?;
            let body = std::mem::replace(&mut answer.body, Body::empty(&self.in_flight));
            Ok((answer, body.collect().await?))
        };
        tokio::time::timeout(limit, whole)
            .await
            .unwrap_or_else(|_| Err(late(limit)))
    }

    /// Sends a request and gives its answer as soon as the head is there. The caller limits the time.
    pub(crate) async fn send(&self, egress: &Egress, mut request: Request) -> Result<Answer, NetError> {
        let permit = egress.run.permit()?;
        for hop in 0..=MAX_REDIRECTS {
            let (sent, note, response) = self.send_once(egress, request).await?;
            let scanner = egress.run.revealed.scanner();
            match destination(&sent, response.status, &response.headers) {
                Ok(None) => return self.answer(&sent, hop > 0, note, response, scanner, permit),
                Ok(Some(next)) => {
                    let status = response.status;
                    drain(response).await;
                    request = follow(sent, status, next, scanner.as_deref())?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(NetError::failed(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// One hop through all stages.
    async fn send_once(
        &self,
        egress: &Egress,
        request: Request,
    ) -> Result<(Request, Note, TransportResponse), NetError> {
        let mut note = self.recorder.begin(egress, &request.method, &request.url).await?;
        match self.stages(egress, request, &mut note).await {
            Ok((request, response)) => Ok((request, note, response)),
            Err(error) => {
                let error = redacted(error, egress.run.revealed.scanner().as_deref());
                note.fail(&error);
                self.want(egress, &error);
                Err(error)
            }
        }
    }

    async fn stages(
        &self,
        egress: &Egress,
        request: Request,
        note: &mut Note,
    ) -> Result<(Request, TransportResponse), NetError> {
        let authorised = authorise(request, &egress.grant, &egress.asked)?;
        let (sealed, request) = self.seal(egress, authorised, note).await?;
        let response = self
            .transport
            .send(sealed.wire)
            .await
            .map_err(|error| NetError::failed(error.to_string()))?;
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NetError::failed(
                "the server changed the protocol, which nobody asked for",
            ));
        }
        note.answered(response.status);
        Ok((request, response))
    }

    /// The stages between the decision and the wire.
    pub(super) async fn seal(
        &self,
        egress: &Egress,
        authorised: Authorised,
        note: &mut Note,
    ) -> Result<(Sealed, Request), NetError> {
        note.reached(authorised.to());
        let resolved = {
            let _turn = egress.run.lookups.acquire().await;
            self.names.resolve(authorised).await?
        };
        let (sealed, request) = egress.sealer().seal(resolved)?;
        note.sent(sealed.wire.body.len(), &sealed.used);
        Ok((sealed, request))
    }

    fn answer(
        &self,
        request: &Request,
        redirected: bool,
        mut note: Note,
        response: TransportResponse,
        scanner: Option<Arc<Scanner>>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Answer, NetError> {
        let clean = |text: &[u8]| {
            let text = scanner
                .as_ref()
                .map_or(text.into(), |scanner| scanner.redact(text));
            match std::str::from_utf8(&text) {
                Ok(text) => text.to_owned(),
                Err(_) => text.iter().map(|&byte| char::from(byte)).collect(),
            }
        };
        let status = response.status;
        let bodiless = request.method == Method::HEAD || matches!(status.as_u16(), 204 | 205 | 304);
        let encoding = if bodiless {
            String::new()
        } else {
            content_encoding(&response.headers)
        };
        let decoder = Decoder::new(&encoding);
        let decoder = decoder.inspect_err(|error| note.fail(error))?;
        let status_text = response
            .reason
            .as_deref()
            .or(status.canonical_reason())
            .unwrap_or_default();
        let headers = response.headers.iter();
        Ok(Answer {
            status: status.as_u16(),
            status_text: clean(status_text.as_bytes()),
            url: clean(request.url.as_str().as_bytes()),
            redirected,
            headers: headers
                .map(|(name, value)| (clean(name.as_str().as_bytes()), clean(value.as_bytes())))
                .collect(),
            has_body: !bodiless,
            body: Body {
                wire: response.body,
                decoder,
                redactor: Redactor::new(scanner),
                held: Held::new(&self.in_flight),
                note,
                decoded: 0,
                ended: false,
                ready: Vec::new(),
                failed: None,
                permit: Some(permit),
            },
        })
    }

    /// Tells the host what a grant would have allowed.
    pub(super) fn want(&self, egress: &Egress, error: &NetError) {
        if let NetErrorKind::Refused(Some(permission)) = &error.kind {
            egress.wanted.tell(&self.events, &egress.skill, permission);
        }
    }
}

pub(crate) fn late(limit: std::time::Duration) -> NetError {
    NetError {
        kind: NetErrorKind::TimedOut,
        message: format!("no complete answer within {} s", limit.as_secs_f64()),
    }
}

fn content_encoding(headers: &HeaderMap) -> String {
    let all = headers.get_all(CONTENT_ENCODING).iter();
    all.map(|value| value.to_str().unwrap_or("?"))
        .collect::<Vec<_>>()
        .join(",")
}

/// Reads a short body to its end, so that the connection can be used again.
async fn drain(mut response: TransportResponse) {
    let mut left = 64 * 1024_usize;
    while let Some(Ok(bytes)) = response.body.next().await {
        match left.checked_sub(bytes.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn redacted(mut error: NetError, scanner: Option<&Scanner>) -> NetError {
    if let Some(scanner) = scanner {
        error.message = String::from_utf8_lossy(&scanner.redact(error.message.as_bytes())).into_owned();
    }
    error
}
