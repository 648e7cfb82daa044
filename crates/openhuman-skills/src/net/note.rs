//! The record of an attempt while it is made: no attempt ends without one, and none is lost on the way to the host.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use url::Url;

use super::client::Egress;
use super::error::{NetError, NetErrorKind};
use crate::ledger::{EgressOutcome, EgressRecord, Ledger};
use crate::{Clock, Destination};

/// The longest path in a record, in characters.
const MAX_PATH: usize = 256;
/// How long the end of the engine waits for connections to write their last record.
const LAST: Duration = Duration::from_secs(2);

/// Where a host keeps records beyond the engine's life.
pub(crate) type Log = mpsc::Sender<Arc<EgressRecord>>;

/// Makes records, and puts them where they are kept.
pub(crate) struct Recorder {
    pub(crate) ledger: Arc<Ledger>,
    log: Option<Log>,
    clock: Arc<dyn Clock>,
    alive: Mutex<Alive>,
}

/// Every note holds the sender, so the receiver tells when there is none any more.
struct Alive {
    sender: Option<mpsc::Sender<Infallible>>,
    ended: Option<mpsc::Receiver<Infallible>>,
}

impl Recorder {
    pub(crate) fn new(clock: Arc<dyn Clock>, log: Option<Log>) -> Self {
        let (sender, ended) = mpsc::channel(1);
        Self {
            ledger: Arc::default(),
            log,
            clock,
            alive: Mutex::new(Alive {
                sender: Some(sender),
                ended: Some(ended),
            }),
        }
    }

    /// Begins a record, after its place in the host's log is sure.
    pub(super) async fn begin(&self, egress: &Egress, method: &Method, url: &Url) -> Result<Note, NetError> {
        let place = match &self.log {
            Some(log) => Some(log.clone().reserve_owned().await.map_err(|_| closed())?),
            None => None,
        };
        let path = url.path().replace("%7B%7B", "{{").replace("%7D%7D", "}}");
        let path = match egress.run.revealed.scanner() {
            Some(scanner) => String::from_utf8_lossy(&scanner.redact(path.as_bytes())).into_owned(),
            None => path,
        };
        let record = EgressRecord {
            time_ms: self.clock.now_ms(),
            duration_ms: 0,
            skill_id: egress.skill.clone(),
            cause: (*egress.cause).clone(),
            scheme: url.scheme().to_owned(),
            method: method.as_str().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
            path: path.chars().take(MAX_PATH).collect(),
            outcome: EgressOutcome::Aborted,
            bytes_out: 0,
            bytes_in: 0,
            secrets: Vec::new(),
        };
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Note(Some(Noted {
            record,
            since: Instant::now(),
            ledger: Arc::clone(&self.ledger),
            log: self.log.clone(),
            place,
            _alive: alive.sender.clone(),
        })))
    }

    /// Waits until every record that was begun is written. Those begun later are not waited for.
    pub(crate) async fn settle(&self) {
        let ended = {
            let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
            alive.sender = None;
            alive.ended.take()
        };
        if let Some(mut ended) = ended {
            let _ = tokio::time::timeout(LAST, ended.recv()).await;
        }
    }
}

fn closed() -> NetError {
    NetError::failed("nothing leaves while what leaves cannot be recorded: the log is closed")
}

/// A record that is being made; written when it is dropped.
pub(crate) struct Note(Option<Noted>);

struct Noted {
    record: EgressRecord,
    since: Instant,
    ledger: Arc<Ledger>,
    log: Option<Log>,
    /// Where the record will be in the host's log. A connection that has written one before has none.
    place: Option<mpsc::OwnedPermit<Arc<EgressRecord>>>,
    _alive: Option<mpsc::Sender<Infallible>>,
}

impl Noted {
    fn finished(&self) -> Arc<EgressRecord> {
        let duration_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Arc::new(EgressRecord {
            duration_ms,
            ..self.record.clone()
        })
    }
}

impl Note {
    /// A note nobody reads.
    pub(super) fn none() -> Self {
        Self(None)
    }

    fn edit(&mut self, change: impl FnOnce(&mut EgressRecord)) {
        if let Some(noted) = &mut self.0 {
            change(&mut noted.record);
        }
    }

    pub(super) fn reached(&mut self, to: &Destination) {
        self.edit(|record| to.host().clone_into(&mut record.host));
    }

    pub(super) fn sent(&mut self, bytes: usize, secrets: &[String]) {
        self.edit(|record| {
            record.bytes_out += bytes as u64;
            record.secrets = secrets.to_vec();
        });
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.edit(|record| {
            record.outcome = EgressOutcome::Answered {
                status: status.as_u16(),
            }
        });
    }

    pub(super) fn received(&mut self, bytes: usize) {
        self.edit(|record| record.bytes_in += bytes as u64);
    }

    pub(super) fn sent_more(&mut self, bytes: usize) {
        self.edit(|record| record.bytes_out += bytes as u64);
    }

    pub(super) fn bytes_in(&self) -> u64 {
        self.0.as_ref().map_or(0, |noted| noted.record.bytes_in)
    }

    pub(super) fn scheme(&mut self, scheme: &str) {
        self.edit(|record| scheme.clone_into(&mut record.scheme));
    }

    pub(super) fn fail(&mut self, error: &NetError) {
        let reason = error.message.clone();
        self.edit(|record| {
            record.outcome = match error.kind {
                NetErrorKind::Refused(_) | NetErrorKind::Invalid => EgressOutcome::Refused { reason },
                NetErrorKind::Failed | NetErrorKind::TimedOut => EgressOutcome::Failed { reason },
            }
        });
    }

    /// A connection stands: that is written now, and once more when it ends.
    pub(super) async fn opened(&mut self) -> Result<(), NetError> {
        self.write_now(EgressOutcome::Answered {
            status: StatusCode::SWITCHING_PROTOCOLS.as_u16(),
        })
        .await?;
        self.ended(1006);
        Ok(())
    }

    /// How the connection will have ended, unless more is said.
    pub(super) fn ended(&mut self, code: u16) {
        self.edit(|record| record.outcome = EgressOutcome::Closed { code });
    }

    /// The values of these secrets are about to leave over an open connection. The first time, that is written before
    /// they do.
    pub(super) async fn uses(&mut self, secrets: &[String]) -> Result<(), NetError> {
        let mut is_new = false;
        self.edit(|record| {
            for secret in secrets {
                if !record.secrets.contains(secret) {
                    record.secrets.push(secret.clone());
                    is_new = true;
                }
            }
        });
        if is_new {
            self.write_now(EgressOutcome::Open).await?;
        }
        Ok(())
    }

    /// A message over an open connection was refused.
    pub(super) async fn refused(&mut self, reason: String) -> Result<(), NetError> {
        self.write_now(EgressOutcome::Refused { reason }).await
    }

    /// Writes how things stand, and goes on.
    async fn write_now(&mut self, outcome: EgressOutcome) -> Result<(), NetError> {
        let Some(noted) = &mut self.0 else {
            return Ok(());
        };
        let place = match (noted.place.take(), &noted.log) {
            (Some(place), _) => Some(place),
            (None, Some(log)) => Some(log.clone().reserve_owned().await.map_err(|_| closed())?),
            (None, None) => None,
        };
        let record = Arc::new(EgressRecord {
            outcome,
            ..(*noted.finished()).clone()
        });
        noted.ledger.add(Arc::clone(&record));
        if let Some(place) = place {
            place.send(record);
        }
        Ok(())
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let Some(mut noted) = self.0.take() else {
            return;
        };
        let record = noted.finished();
        noted.ledger.add(Arc::clone(&record));
        match (noted.place.take(), noted.log.take()) {
            (Some(place), _) => drop(place.send(record)),
            // The end of a connection, of which a skill has a few: it waits for its place, and the engine's end for it.
            (None, Some(log)) => match (log.try_reserve_owned(), Handle::try_current()) {
                (Ok(place), _) => drop(place.send(record)),
                (Err(mpsc::error::TrySendError::Full(log)), Ok(handle)) => {
                    handle.spawn(async move {
                        let _noted = noted;
                        let _ = log.send(record).await;
                    });
                }
                (Err(_), _) => {
                    tracing::warn!(skill = %record.skill_id, "the end of a connection is not in the log");
                }
            },
            (None, None) => {}
        }
    }
}
