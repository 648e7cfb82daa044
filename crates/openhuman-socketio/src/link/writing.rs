//! What goes out: PONG first, then packets with their attachments, the namespaces in turn; and good-byes.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use crate::error::AckError;
use crate::hub::{Member, Standing};
use crate::lifecycle::End;
use crate::limits::Limits;
use crate::link::{BATCH, Closing, Link};
use crate::packet::{self, Body, Encoded, Parser};
use crate::session::SpaceId;
use crate::shared::Shared;
use crate::state::{Disconnect, DisconnectReason};
use crate::transport::{Failure, Frame, Transport};

impl Link<'_> {
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut wrote = false;
        for _ in 0..BATCH {
            if self.over || self.closing.is_some_and(|(stage, _)| stage == Closing::Waiting) {
                return self.over;
            }
            match self.transport.poll_ready(cx) {
                Poll::Pending => return wrote,
                Poll::Ready(Err(error)) => {
                    self.failed(error);
                    return true;
                }
                Poll::Ready(Ok(())) => {}
            }
            let Some(frame) = self.next_frame() else { break };
            wrote = true;
            self.needs_flush = true;
            self.hub.counters.sent(frame.len());
            if let Err(error) = self.transport.start_send(frame) {
                self.failed(error);
                return true;
            }
        }
        if self.needs_flush {
            match self.transport.poll_flush(cx) {
                Poll::Pending => return wrote,
                Poll::Ready(Err(error)) => {
                    self.failed(error);
                    return true;
                }
                Poll::Ready(Ok(())) => {
                    self.needs_flush = false;
                    // The upgrade can have waited for this request.
                    wrote |= matches!(self.transport, Transport::Polling(_));
                    if self.rest.is_empty() {
                        for member in self.crew.members.iter().filter(|member| member.link.is_some()) {
                            member.shared.outbox.mark_flushed();
                        }
                    }
                }
            }
        }
        self.poll_leave() || self.poll_close(cx) || wrote
    }

    /// The next frame to write. Only a PONG may come between a packet and its attachments.
    fn next_frame(&mut self) -> Option<Frame> {
        if let Some(frame) = self.urgent.pop_front() {
            return Some(frame);
        }
        if let Some(frame) = self.rest.pop_front() {
            return Some(frame);
        }
        if let Some(frame) = self.control.pop_front() {
            return Some(frame);
        }
        let members = self.crew.members.len();
        for _ in 0..members {
            self.turn = (self.turn + 1) % members;
            if let Some(packet) = self.crew.members.get(self.turn).and_then(next_packet) {
                if self.hub.settings.parser == Parser::Json {
                    self.rest
                        .extend(packet.attachments.into_iter().map(Frame::Binary));
                    return Some(Frame::Text(packet.text));
                }
                return self.frames(packet).pop_front();
            }
        }
        None
    }

    /// The frames of a packet, as this connection's parser writes them.
    pub(super) fn frames(&self, packet: Encoded) -> VecDeque<Frame> {
        match self.hub.settings.parser {
            Parser::Json => {
                let attachments = packet.attachments.into_iter().map(Frame::Binary);
                std::iter::once(Frame::Text(packet.text))
                    .chain(attachments)
                    .collect()
            }
            #[cfg(feature = "msgpack")]
            Parser::MessagePack => VecDeque::from([Frame::Binary(crate::msgpack::encode(&packet))]),
        }
    }

    /// Takes the namespaces that leave one step further.
    fn poll_leave(&mut self) -> bool {
        let nothing_waits =
            !self.needs_flush && self.urgent.is_empty() && self.rest.is_empty() && self.control.is_empty();
        if !nothing_waits || self.closing.is_some() {
            return false;
        }
        let mut progress = false;
        let leaving = |member: &Member| matches!(member.standing, Standing::Leaving { .. });
        let ids: Vec<SpaceId> = self
            .crew
            .members
            .iter()
            .filter(|member| leaving(member) && member.shared.outbox.is_empty())
            .map(|member| member.id)
            .collect();
        for id in ids {
            let on_link = self
                .crew
                .members
                .iter()
                .filter(|member| member.is_on_link())
                .count();
            let Some(member) = self.member(id) else { continue };
            match &mut member.standing {
                Standing::Leaving { said, .. } if !*said => {
                    *said = true;
                    self.session.leave(id);
                    self.act();
                }
                _ if on_link > 1 => {
                    let reason = Disconnect::new(DisconnectReason::ClientDisconnect);
                    self.end_member(id, End::Lost(reason));
                }
                // The last one is gone when the link is.
                _ => self.close(),
            }
            progress = true;
        }
        progress
    }

    /// Takes an orderly close one step further once everything before is written.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> bool {
        let nothing_waits = !self.needs_flush && self.urgent.is_empty() && self.control.is_empty();
        let Some((Closing::Farewell, deadline)) = self.closing.filter(|_| nothing_waits) else {
            return false;
        };
        match self.transport.poll_close(cx) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => {
                self.closing = Some((Closing::Waiting, deadline));
                if matches!(self.transport, Transport::Polling(_)) {
                    // The server has answered; nothing else will come.
                    self.failed(Failure::Closed);
                }
                true
            }
            Poll::Ready(Err(error)) => {
                self.failed(error);
                true
            }
        }
    }
}

/// The oldest packet of a namespace that may go out.
fn next_packet(member: &Member) -> Option<Encoded> {
    let may_write = match member.standing {
        Standing::Waiting(_) => false,
        Standing::Joined => true,
        Standing::Leaving { said, .. } => !said,
    };
    if !may_write || member.link.is_none() {
        return None;
    }
    let shared = &member.shared;
    loop {
        match shared.outbox.pop()? {
            Ok(group) => {
                if let Some(id) = group.ack {
                    shared.acks.mark_sent(id);
                }
                show(shared, &group.encoded);
                return Some(group.encoded);
            }
            Err((group, error)) => {
                tracing::warn!(%error, "a buffered packet was dropped");
                if let Some(id) = group.ack {
                    shared.acks.resolve(id, Err(AckError::Emit(error)));
                }
            }
        }
    }
}

/// Shows an event that goes out to those who want to see it.
fn show(shared: &Shared, encoded: &Encoded) {
    if shared.outgoing.is_unused() {
        return;
    }
    // It was within the limits for what is sent.
    let limits = Limits {
        max_attachments: usize::MAX,
        ..shared.outbox.limits.clone()
    };
    if let Ok(packet) = packet::decode(&encoded.text, 1, &limits)
        && let Body::Event { name, mut payload } = packet.body
    {
        encoded.attachments.clone_into(&mut payload.attachments);
        // It was written here, so that its JSON is right.
        let _ = shared.outgoing.deliver(name, payload, || None, &limits);
    }
}
