//! Received events and the replies to them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{DecodeError, EmitError};
use crate::outbox::Outbox;
use crate::packet::Name;
use crate::payload::{self, Payload, Shape};

/// An event from the server.
///
/// Its arguments are read from the received frame when they are asked for, so an event that is only
/// forwarded or dropped costs no parsing. Cloning shares the frame.
#[derive(Clone)]
pub struct Event {
    name: Name,
    payload: Payload,
    ack: Option<AckSender>,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name())
            .field("payload", &self.payload)
            .field("ack", &self.ack)
            .finish()
    }
}

impl Event {
    pub(crate) fn new(name: Name, payload: Payload, ack: Option<AckSender>) -> Self {
        Self { name, payload, ack }
    }

    pub(crate) fn size(&self) -> usize {
        self.payload.size()
    }

    /// The event's name. A server may use a number as name; this is its text.
    pub fn name(&self) -> &str {
        self.name.as_str(self.payload.frame.as_str())
    }

    /// All arguments behind the name as a tuple or list. A tuple longer than the list is filled with null;
    /// surplus arguments are ignored. Strings can be borrowed from the frame.
    ///
    /// # Errors
    /// [`DecodeError`] when an argument has another type.
    pub fn args<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        self.payload.args(1)
    }

    /// The first argument as `T`.
    ///
    /// # Errors
    /// [`DecodeError`] when it is missing or has another type.
    pub fn arg<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        self.payload.args::<(T,)>(1).map(|(value,)| value)
    }

    /// The first argument, or null when there is none or it is nested too deeply to build. Binary values
    /// appear as their placeholder objects; see [`attachments`](Self::attachments).
    pub fn data(&self) -> Value {
        self.payload.first(1)
    }

    /// The binary attachments, in the order of their numbers.
    pub fn attachments(&self) -> &[Bytes] {
        &self.payload.attachments
    }

    /// True when the server waits for an acknowledgement.
    pub fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Acknowledges the event with one value. Does nothing when the server does not wait for it.
    ///
    /// The reply is put into the send buffer without waiting.
    ///
    /// # Errors
    /// As [`AckSender::send`].
    pub fn ack<T: Serialize + ?Sized>(self, data: &T) -> Result<(), EmitError> {
        self.ack.map_or(Ok(()), |ack| ack.send(data))
    }

    /// As [`ack`](Self::ack), with several values: a tuple, an array or a list.
    ///
    /// # Errors
    /// As [`AckSender::send_args`].
    pub fn ack_args<T: Serialize + ?Sized>(self, args: &T) -> Result<(), EmitError> {
        self.ack.map_or(Ok(()), |ack| ack.send_args(args))
    }

    /// Takes the means of replying out of the event, to reply later or from elsewhere.
    pub fn take_ack(&mut self) -> Option<AckSender> {
        self.ack.take()
    }
}

/// The right to acknowledge one event, once. Dropping it leaves the event without a reply.
///
/// It does not keep the connection open.
#[derive(Clone)]
pub struct AckSender {
    outbox: Arc<Outbox>,
    id: u64,
    link: u64,
    used: Arc<AtomicBool>,
}

impl fmt::Debug for AckSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckSender")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl AckSender {
    pub(crate) fn new(outbox: Arc<Outbox>, id: u64, link: u64) -> Self {
        Self {
            outbox,
            id,
            link,
            used: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Sends the acknowledgement with one value, without waiting.
    ///
    /// # Errors
    /// [`EmitError::ConnectionReplaced`] when the connection that asked is gone,
    /// [`EmitError::AlreadyAcknowledged`] when another subscriber was faster, [`EmitError::BufferFull`],
    /// [`EmitError::Closed`], or one of the errors about the value itself.
    pub fn send<T: Serialize + ?Sized>(self, data: &T) -> Result<(), EmitError> {
        self.reply((data, Shape::One))
    }

    /// Sends the acknowledgement with several values: a tuple, an array or a list.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`EmitError::ArgsNotList`].
    pub fn send_args<T: Serialize + ?Sized>(self, args: &T) -> Result<(), EmitError> {
        self.reply((args, Shape::Spread))
    }

    fn reply<T: Serialize + ?Sized>(self, data: (&T, Shape)) -> Result<(), EmitError> {
        let encoded = payload::encode_ack(&self.outbox.namespace, self.id, data, &self.outbox.limits)?;
        if self.used.swap(true, Ordering::AcqRel) {
            return Err(EmitError::AlreadyAcknowledged);
        }
        self.outbox.send_reply(encoded, self.link)
    }
}
