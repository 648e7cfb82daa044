//! What a link does for the session: credentials, connections, events and acknowledgements.

use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::Value;
use tokio::task::JoinError;

use super::{Link, MAX_URGENT};
use crate::ack::AckReply;
use crate::builder::Auth;
use crate::driver::timed_out;
use crate::error::{AuthError, ConnectError, ProtocolError};
use crate::event::AckSender;
use crate::hub::{Member, Standing};
use crate::lifecycle::End;
use crate::packet::{self, Encoded};
use crate::session::{Incoming, Output, SpaceId};
use crate::state::{Disconnect, DisconnectReason, State};
use crate::transport::{Failure, Frame};

impl Link<'_> {
    /// Does what the session asks for.
    pub(super) fn act(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) if self.urgent.len() < MAX_URGENT => {
                    self.urgent.push_back(Frame::Text(frame));
                }
                Output::Send(_) => self.failed(Failure::Other(
                    "the server sends pings and does not read the answers".to_owned(),
                )),
                Output::Control(frame) => {
                    let packet = Encoded {
                        text: frame,
                        attachments: Vec::new(),
                    };
                    let frames = self.frames(packet);
                    self.control.extend(frames);
                }
                Output::Opened(opened) => {
                    self.max_payload = opened.max_payload;
                    for member in self.crew.members.iter().filter(|member| member.is_on_link()) {
                        member.shared.outbox.set_max_payload(self.max_payload);
                    }
                    self.transport.opened(&opened);
                }
                Output::Authenticate(id) => self.ask_for_credentials(id),
                Output::Connected { space, sid, pid } => self.connected(space, sid, pid),
                Output::Event(space, event) => self.deliver(space, event),
                Output::Ack { space, id, payload } => {
                    let Some(member) = self.member(space) else {
                        continue;
                    };
                    if member.shared.acks.expects(id) {
                        if payload.is_json() {
                            member.shared.acks.resolve(id, Ok(AckReply::new(payload)));
                        } else {
                            self.session.violation(ProtocolError::InvalidPacket {
                                what: "malformed JSON",
                            });
                        }
                    }
                }
                Output::Rejected(id, rejection) => {
                    let packet::Rejection { message, data } = rejection;
                    self.give_up(id, ConnectError::Rejected { message, data });
                }
                Output::TimedOut(id) => {
                    let error = timed_out(&self.hub);
                    self.give_up(id, error);
                }
                Output::Left(id) => self.left(id),
                Output::Unsupported(what) => {
                    self.over(Some(what), &Disconnect::new(DisconnectReason::ParseError));
                }
                Output::Closed(disconnect) => self.over(None, &disconnect),
            }
        }
    }

    /// The server disconnected the namespace.
    fn left(&mut self, id: SpaceId) {
        let leaving = |member: &mut Member| matches!(member.standing, Standing::Leaving { .. });
        let reason = match self.member(id).map(leaving) {
            Some(true) => DisconnectReason::ClientDisconnect,
            _ => DisconnectReason::ServerDisconnect,
        };
        self.end_member(id, End::Lost(Disconnect::new(reason)));
    }

    fn ask_for_credentials(&mut self, id: SpaceId) {
        let Some(member) = self.member(id) else { return };
        match member.auth.clone() {
            Auth::None => self.authenticate(id, None),
            Auth::Fixed(auth) => match checked(auth) {
                Ok(auth) => self.authenticate(id, Some(auth)),
                Err(source) => self.give_up(id, ConnectError::Auth { source }),
            },
            Auth::Dynamic(auth) => {
                let asker = self.asking.spawn(async move { auth().await });
                self.askers.push((asker, id));
            }
        }
    }

    fn authenticate(&mut self, id: SpaceId, auth: Option<Value>) {
        let Some(member) = self.member(id) else { return };
        let payload = member.recovery.payload(auth);
        self.session.authenticate(id, payload.as_ref());
    }

    fn connected(&mut self, id: SpaceId, sid: String, pid: Option<String>) {
        let transport = self.transport.name();
        let Some(member) = self.member(id) else { return };
        tracing::debug!(namespace = %member.shared.outbox.namespace, transport, "connected");
        let recovered = member.recovery.connected(pid);
        if member.link.is_none() {
            member.link = Some(member.shared.outbox.link_up());
        }
        member.shared.set_state(State::Connected { sid, recovered });
        if let Some(ready) = member.ready.take() {
            // If the caller is gone, so is the last client, and the close request follows.
            let _ = ready.send(Ok(()));
        }
    }

    fn deliver(&mut self, id: SpaceId, event: Incoming) {
        let Incoming {
            name,
            payload,
            ack_id,
        } = event;
        let Some(member) = self.crew.members.iter_mut().find(|member| member.id == id) else {
            return;
        };
        if member.standing != Standing::Joined {
            return;
        }
        if member.recovery.is_offered()
            && let Some(offset) = payload.last_string()
        {
            member.recovery.received(offset);
        }
        let (shared, link) = (&member.shared, member.link);
        let ack = || {
            let (id, link) = ack_id.zip(link)?;
            Some(AckSender::new(Arc::clone(&shared.outbox), id, link))
        };
        let delivered = shared.registry.deliver(name, payload, ack, &shared.outbox.limits);
        if let Err(error) = delivered {
            self.session.violation(error);
        }
    }

    pub(super) fn poll_credentials(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(answer)) = self.asking.poll_join_next_with_id(cx) {
            let (task, answer) = match answer {
                Ok((task, answer)) => (task, Ok(answer)),
                Err(error) => (error.id(), Err(error)),
            };
            let Some(at) = self.askers.iter().position(|(asker, _)| asker.id() == task) else {
                continue;
            };
            let (_, space) = self.askers.swap_remove(at);
            match credentials(answer) {
                Ok(auth) => self.authenticate(space, Some(auth)),
                Err(source) => self.give_up(space, ConnectError::Auth { source }),
            }
            self.act();
        }
    }
}

/// The answer of the application's function, whatever became of it.
fn credentials(answer: Result<Result<Value, AuthError>, JoinError>) -> Result<Value, AuthError> {
    match answer {
        Ok(answer) => checked(answer?),
        Err(error) if error.is_panic() => Err("the authentication function panicked".into()),
        Err(error) => Err(error.into()),
    }
}

fn checked(auth: Value) -> Result<Value, AuthError> {
    if auth.is_object() {
        Ok(auth)
    } else {
        Err("the CONNECT payload must be a JSON object".into())
    }
}
