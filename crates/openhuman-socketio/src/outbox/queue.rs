//! The packets that wait, in order, and who waits for them.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::error::EmitError;
use crate::packet::Encoded;

/// A packet and its attachments, written with nothing between.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) encoded: Encoded,
    /// Id of the acknowledgement that the packet asks for.
    pub(crate) ack: Option<u64>,
    /// The link that the packet must go out on, if only one is right.
    pub(super) link: Option<u64>,
    pub(super) seq: u64,
    pub(super) cost: u32,
}

impl Group {
    pub(super) fn new(encoded: Encoded, ack: Option<u64>, link: Option<u64>, cost: u32) -> Self {
        Self {
            encoded,
            ack,
            link,
            seq: 0,
            cost,
        }
    }
}

/// Events that were dropped for a newer one.
#[derive(Debug, Default)]
pub(crate) struct Evicted {
    pub(crate) events: u64,
    /// The acknowledgements that they asked for.
    pub(crate) acks: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) queue: VecDeque<Group>,
    /// Number of the last packet accepted.
    pub(super) accepted: u64,
    /// Number of the last packet known to be written, or to need no writing.
    pub(super) flushed: u64,
    /// Number of the last packet given to the driver.
    pub(super) popped: u64,
    pub(super) waiters: Vec<(u64, oneshot::Sender<Result<(), EmitError>>)>,
    /// The connected link.
    pub(super) link: Option<u64>,
    pub(super) last_link: u64,
    pub(super) closed: bool,
}

impl Inner {
    /// Number of the last packet that has left the queue.
    pub(super) fn taken(&self) -> u64 {
        self.queue
            .front()
            .map_or(self.accepted, |group| group.seq.saturating_sub(1))
    }

    /// Answers everyone who waits for a packet up to `seq`.
    pub(super) fn answer(&mut self, seq: u64, result: impl Fn() -> Result<(), EmitError>) {
        self.flushed = self.flushed.max(seq);
        for (_, waiter) in self.waiters.extract_if(.., |(target, _)| *target <= seq) {
            // A caller that no longer waits needs no answer.
            let _ = waiter.send(result());
        }
    }

    /// Nobody has to wait for packets that were removed unwritten; nothing else would report them.
    pub(super) fn settle(&mut self) {
        if self.popped <= self.flushed {
            let taken = self.taken();
            self.answer(taken, || Ok(()));
        }
    }
}
