//! One link, driven by polling: reading, writing, timers and credentials in turn, so that no part can hold up
//! another, and no namespace another.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Sleep;

use crate::driver::random;
use crate::error::{AuthError, ConnectError, ProtocolError};
use crate::hub::{Crew, Hub, Member, Standing};
use crate::lifecycle::End;
use crate::session::{Session, SpaceId};
use crate::state::{Disconnect, DisconnectReason, State};
use crate::transport::{Failure, Frame, Received, Transport};

mod acting;
mod writing;

/// Frames read or written before the other direction gets its turn, and frames read before the task gives way to those
/// that the events are for: as many as stay in the processor's cache until they are used.
const BATCH: usize = 64;
/// Turns before the task gives way to others.
const TURNS: usize = 8;
/// Frames that may wait to go before everything else; a server that reads leaves none waiting.
const MAX_URGENT: usize = 64;
/// Longest time for writing what waits and closing when the application disconnects.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Longest time for telling the server that a link is over.
const FAREWELL_WAIT: Duration = Duration::from_millis(250);

/// Progress of an orderly close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// Writing the transport's good-bye.
    Farewell,
    /// Waiting for the server to close the stream.
    Waiting,
}

pub(crate) struct Link<'a> {
    transport: Transport,
    session: Session,
    hub: Arc<Hub>,
    crew: &'a mut Crew,
    /// Tasks that ask the application for credentials; aborted with the link.
    asking: JoinSet<Result<Value, AuthError>>,
    askers: Vec<(AbortHandle, SpaceId)>,
    /// Frames that go before everything else: PONG.
    urgent: VecDeque<Frame>,
    /// Packets that go before those of the application: CONNECT, DISCONNECT.
    control: VecDeque<Frame>,
    /// The attachments of the packet that is being written.
    rest: VecDeque<Frame>,
    /// The namespace whose turn it is to write.
    turn: usize,
    max_payload: Option<usize>,
    needs_flush: bool,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires; `None` when it is not set.
    armed: Option<Instant>,
    closing: Option<(Closing, Instant)>,
    over: bool,
}

impl<'a> Link<'a> {
    /// `deadline` is that of the attempt that led to this link.
    pub(crate) fn new(transport: Transport, session: Session, crew: &'a mut Crew, deadline: Instant) -> Self {
        let mut link = Self {
            transport,
            session,
            hub: Arc::clone(&crew.hub),
            crew,
            asking: JoinSet::new(),
            askers: Vec::new(),
            urgent: VecDeque::new(),
            control: VecDeque::new(),
            rest: VecDeque::new(),
            turn: 0,
            max_payload: None,
            needs_flush: false,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            closing: None,
            over: false,
        };
        link.join_due(deadline);
        link
    }

    /// Works until nothing is left to do; ready when the link is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.hub.bell.register(cx.waker());
        let mut taken = 0;
        for _ in 0..TURNS {
            if self.hub.bell.answered() {
                self.look_at_members();
            }
            self.poll_credentials(cx);
            let read = self.poll_read(cx);
            taken += read;
            let fired = self.poll_timer(cx);
            // Everything that the other parts want to say is known by now.
            self.act();
            let wrote = self.poll_write(cx);
            if self.over {
                return Poll::Ready(());
            }
            if read == 0 && !wrote && !fired {
                return Poll::Pending;
            }
            if taken >= BATCH {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells the server that the link is over, if that can be done quickly.
    pub(crate) async fn finish(mut self) {
        let farewell = std::future::poll_fn(|cx| self.transport.poll_close(cx));
        // It may be gone already.
        drop(tokio::time::timeout(FAREWELL_WAIT, farewell).await);
    }

    /// Brings the namespaces on the link that have to be connected now.
    fn join_due(&mut self, deadline: Instant) {
        let now = now();
        if self.closing.is_some() || self.over {
            return;
        }
        for member in self.crew.members.iter_mut().filter(|member| member.is_due(now)) {
            member.standing = Standing::Joined;
            member.shared.set_state(State::Connecting);
            member.shared.outbox.set_max_payload(self.max_payload);
            let namespace = Arc::clone(&member.shared.outbox.namespace);
            self.session.join(member.id, namespace, deadline);
        }
    }

    /// Takes in namespaces that came, and sees to those that want to go.
    fn look_at_members(&mut self) {
        self.hub.take_arriving(&mut self.crew.members);
        self.crew.drop_unwanted();
        let wait = self
            .hub
            .settings
            .connect_timeout
            .min(crate::driver::LONGEST_TIMEOUT);
        self.join_due(now() + wait);
        let leaving: Vec<SpaceId> = self
            .crew
            .members
            .iter()
            .filter(|member| member.standing == Standing::Joined && member.shared.outbox.close_requested())
            .map(|member| member.id)
            .collect();
        for id in leaving {
            if !self.session.is_connected(id) {
                self.give_up(id, ConnectError::Closed);
            } else if let Some(member) = self.member(id) {
                member.standing = Standing::Leaving {
                    deadline: now() + CLOSE_WAIT,
                    said: false,
                };
            }
        }
    }

    fn member(&mut self, id: SpaceId) -> Option<&mut Member> {
        self.crew.members.iter_mut().find(|member| member.id == id)
    }

    /// Ends one namespace; the link goes on while another is on it.
    fn end_member(&mut self, id: SpaceId, end: End) {
        let (now, random) = (now(), random());
        self.session.leave(id);
        self.askers.retain(|(asker, space)| {
            if *space == id {
                asker.abort();
            }
            *space != id
        });
        let mut end = Some(end);
        self.crew
            .retain(|member| member.id == id && end.take().is_some_and(|end| member.ended(end, now, random)));
        if !self.crew.members.iter().any(Member::is_on_link) {
            self.close();
        }
    }

    fn give_up(&mut self, id: SpaceId, error: ConnectError) {
        self.end_member(id, End::NotConnected(error));
    }

    fn close(&mut self) {
        if self.closing.is_none() {
            // Whoever waits for the end of its connection gets it in order; the next attempt is not held up.
            let waited_for = self.crew.members.iter().any(Member::is_on_link);
            let wait = if waited_for { CLOSE_WAIT } else { FAREWELL_WAIT };
            self.closing = Some((Closing::Farewell, now() + wait));
        }
    }

    /// Ends the link for all namespaces on it.
    fn over(&mut self, unsupported: Option<&'static str>, disconnect: &Disconnect) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let (now, random) = (now(), random());
        let closing = self.closing.is_some();
        self.crew.retain(|member| {
            let end = match (member.standing, member.link) {
                (Standing::Waiting(_), _) => return false,
                (Standing::Leaving { .. }, Some(_)) => {
                    End::Lost(Disconnect::new(DisconnectReason::ClientDisconnect))
                }
                (Standing::Leaving { .. }, None) => End::NotConnected(ConnectError::Closed),
                (Standing::Joined, Some(_)) => End::Lost(disconnect.clone()),
                (Standing::Joined, None) if closing => End::NotConnected(ConnectError::Closed),
                (Standing::Joined, None) => End::NotConnected(match unsupported {
                    Some(what) => ConnectError::UnsupportedServer { what },
                    None => ConnectError::Lost(disconnect.clone()),
                }),
            };
            member.ended(end, now, random)
        });
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let closing = self.closing.map(|(_, deadline)| deadline);
        let leaving = self
            .crew
            .members
            .iter()
            .filter_map(|member| match member.standing {
                Standing::Leaving { deadline, .. } => Some(deadline),
                _ => None,
            });
        let due = self.crew.next_due().filter(|_| self.closing.is_none());
        let deadlines = leaving.chain(closing).chain(due).chain(self.session.deadline());
        let Some(deadline) = deadlines.min() else {
            return false;
        };
        // A deadline that moves away, as with every frame, needs no new timer before the old one fires.
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.timer.as_mut().reset(deadline.into());
            self.armed = Some(deadline);
        }
        if self.timer.poll_unpin(cx).is_pending() {
            return false;
        }
        self.armed = None;
        let now = now();
        self.session.handle_timeout(now);
        self.act();
        let wait = self
            .hub
            .settings
            .connect_timeout
            .min(crate::driver::LONGEST_TIMEOUT);
        self.join_due(now + wait);
        let late = |member: &Member| matches!(member.standing, Standing::Leaving { deadline, .. } if now >= deadline);
        if closing.is_some_and(|deadline| now >= deadline) || self.crew.members.iter().any(late) {
            // A server that does not read does not read for the other namespaces either.
            self.over(None, &Disconnect::new(DisconnectReason::TransportClose));
        }
        true
    }

    /// Returns how often it came further.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> usize {
        let now = now();
        for taken in 0..BATCH {
            if self.over {
                return taken.max(1);
            }
            let polling = matches!(self.transport, Transport::Polling(_));
            match self.transport.poll_receive(cx) {
                // What was taken can have given the other parts something to do.
                Poll::Pending => return taken,
                Poll::Ready(Ok(Received::Frame(frame))) => self.take(now, frame),
                Poll::Ready(Ok(Received::Progress)) => {
                    if polling && matches!(self.transport, Transport::WebSocket { .. }) {
                        self.hub.counters.add_upgrade();
                    }
                    self.needs_flush = true;
                }
                Poll::Ready(Err(failure)) => self.failed(failure),
            }
        }
        BATCH
    }

    fn take(&mut self, now: Instant, frame: Frame) {
        self.hub.counters.received(frame.len());
        match frame {
            Frame::Text(frame) => self.session.handle_text(now, &frame),
            Frame::Binary(frame) => self.session.handle_binary(now, frame),
        }
        self.act();
    }

    fn failed(&mut self, failure: Failure) {
        let disconnect = match failure {
            Failure::Closed => Disconnect::new(DisconnectReason::TransportClose),
            Failure::ClosedWith { code, reason } => Disconnect::because(
                DisconnectReason::TransportClose,
                ProtocolError::Closed { code, reason },
            ),
            Failure::TooLarge { size, max } => Disconnect::because(
                DisconnectReason::TransportError,
                ProtocolError::FrameTooLarge { size, max },
            ),
            Failure::Other(message) => Disconnect::because(
                DisconnectReason::TransportError,
                ProtocolError::Transport { message },
            ),
        };
        self.over(None, &disconnect);
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
