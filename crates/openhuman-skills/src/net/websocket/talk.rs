//! One open connection, until both sides have said goodbye or one of them is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{CLOSING, Incoming, MAX_MESSAGE, MAX_TOTAL, Out, Place, QUIET, REFUSED};
use crate::net::client::Egress;
use crate::net::note::Note;
use crate::net::transport::BoxedConnection;

/// One open connection. Dropping it cuts it off and writes its record.
pub(super) struct Talk {
    pub(super) stream: WebSocketStream<BoxedConnection>,
    pub(super) outgoing: mpsc::UnboundedReceiver<Out>,
    pub(super) heard: mpsc::Sender<Incoming>,
    pub(super) queued: Arc<AtomicUsize>,
    pub(super) note: Note,
    pub(super) egress: Egress,
    pub(super) total: u64,
    pub(super) _place: Place,
}

impl Talk {
    pub(super) async fn run(mut self) {
        let (code, reason, clean) = self.talk().await;
        self.note.ended(code);
        let reason = String::from_utf8_lossy(&self.clean(reason.as_bytes())).into_owned();
        let heard = self.heard.clone();
        // The record and the place are free before the skill has read its last message.
        drop(self);
        let _ = heard.send(Incoming::Closed { code, reason, clean }).await;
    }

    /// Until the end: its code, its reason, and whether both sides agreed.
    async fn talk(&mut self) -> (u16, String, bool) {
        let mut asked = false;
        let mut quiet = Instant::now() + QUIET;
        loop {
            // While the skill has not taken what came, nothing more is read: the other side waits.
            let room = self.heard.clone();
            let step = tokio::select! {
                out = self.outgoing.recv() => Step::Out(out),
                heard = async {
                    let place = room.reserve().await;
                    (place, self.stream.next().await)
                } => Step::In(heard.1),
                () = tokio::time::sleep_until(quiet) => Step::Quiet,
            };
            match step {
                Step::Out(Some(Out::Refused(reason))) => {
                    let recorded = self.note.refused(reason).await;
                    self.queued.fetch_sub(REFUSED, Ordering::AcqRel);
                    if let Err(error) = recorded {
                        return (1006, error.message, false);
                    }
                }
                Step::Out(Some(Out::Message(message, length, secrets))) => {
                    if let Err(error) = self.note.uses(&secrets).await {
                        return (1006, error.message, false);
                    }
                    self.note.sent_more(length);
                    self.total += length as u64;
                    let sent = self.stream.send(message).await;
                    self.queued.fetch_sub(length, Ordering::AcqRel);
                    if let Err(error) = sent {
                        return lost(&error);
                    }
                }
                Step::Out(Some(Out::Close(frame))) => return self.say_goodbye(frame).await,
                Step::Out(None) => return (1006, String::new(), false),
                Step::In(Some(Ok(message))) => {
                    (asked, quiet) = (false, Instant::now() + QUIET);
                    self.note.received(message.len());
                    self.total += message.len() as u64;
                    let heard = match message {
                        Message::Text(text) => Incoming::Text(
                            String::from_utf8_lossy(&self.clean(text.as_str().as_bytes())).into_owned(),
                        ),
                        Message::Binary(bytes) => Incoming::Binary(self.clean(&bytes)),
                        Message::Close(frame) => return self.answer_goodbye(frame).await,
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                    };
                    // There is room: only this task fills it.
                    if self.heard.send(heard).await.is_err() {
                        return (1006, String::new(), false);
                    }
                }
                Step::In(Some(Err(error))) => return lost(&error),
                Step::In(None) => return (1006, String::new(), false),
                Step::Quiet if asked => return (1006, "the other side does not answer".to_owned(), false),
                Step::Quiet => {
                    (asked, quiet) = (true, Instant::now() + QUIET);
                    if let Err(error) = self.stream.send(Message::Ping(bytes::Bytes::new())).await {
                        return lost(&error);
                    }
                }
            }
            if self.total > MAX_TOTAL {
                let frame = CloseFrame {
                    code: CloseCode::Size,
                    reason: "the connection has used up its bytes".into(),
                };
                return self.say_goodbye(Some(frame)).await;
            }
        }
    }

    /// We close first.
    async fn say_goodbye(&mut self, frame: Option<CloseFrame>) -> (u16, String, bool) {
        let goodbye = async {
            if self.stream.close(frame).await.is_err() {
                return None;
            }
            while let Some(Ok(message)) = self.stream.next().await {
                if let Message::Close(frame) = message {
                    return Some(described(frame));
                }
            }
            None
        };
        match timeout(CLOSING, goodbye).await {
            Ok(Some((code, reason))) => (code, reason, true),
            _ => (1006, String::new(), false),
        }
    }

    /// The other side closes first; tungstenite answers while the stream is read to its end.
    async fn answer_goodbye(&mut self, frame: Option<CloseFrame>) -> (u16, String, bool) {
        let rest = async { while let Some(Ok(_)) = self.stream.next().await {} };
        let _ = timeout(CLOSING, rest).await;
        let (code, reason) = described(frame);
        (code, reason, true)
    }

    fn clean(&self, text: &[u8]) -> Vec<u8> {
        match self.egress.run.revealed.scanner() {
            Some(scanner) => scanner.redact(text).into_owned(),
            None => text.to_vec(),
        }
    }
}

enum Step {
    Out(Option<Out>),
    In(Option<Result<Message, Error>>),
    Quiet,
}

fn described(frame: Option<CloseFrame>) -> (u16, String) {
    frame.map_or((1005, String::new()), |frame| {
        (frame.code.into(), frame.reason.as_str().to_owned())
    })
}

fn lost(error: &Error) -> (u16, String, bool) {
    match error {
        Error::Capacity(_) => (
            1009,
            format!("a message has more than {MAX_MESSAGE} bytes"),
            false,
        ),
        Error::Utf8(_) => (1007, "the text is not UTF-8".to_owned(), false),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => (1006, String::new(), false),
        Error::Protocol(_) => (1002, error.to_string(), false),
        _ => (1006, String::new(), false),
    }
}
