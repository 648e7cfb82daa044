//! Which event is sent next, and which again: pure logic.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::ack::AckReply;
use crate::error::DeliveryError;
use crate::packet::Encoded;

type Receipt = oneshot::Sender<Result<AckReply, DeliveryError>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sent,
    Acknowledged,
}

/// An event in the queue.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    encoded: Encoded,
    receipt: Option<Receipt>,
    stage: Stage,
    /// Acknowledgements that did not come in time.
    tries: u32,
}

impl Entry {
    pub(super) fn new(id: u64, encoded: Encoded, receipt: Option<Receipt>) -> Self {
        Self {
            id,
            encoded,
            receipt,
            stage: Stage::Waiting,
            tries: 0,
        }
    }
}

/// The events in order, the first `size` of which can be on their way.
#[derive(Debug)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    size: usize,
    max_tries: Option<u32>,
    last_id: u64,
}

impl Window {
    pub(super) fn new(size: usize, max_tries: Option<u32>) -> Self {
        Self {
            entries: VecDeque::new(),
            size,
            max_tries,
            last_id: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    /// Brings back an event of an earlier process, in the order of ids.
    pub(super) fn restore(&mut self, id: u64, encoded: Encoded) {
        self.last_id = self.last_id.max(id);
        self.push(Entry::new(id, encoded, None));
    }

    /// The next event to send; it is on its way then.
    pub(super) fn next(&mut self) -> Option<(u64, Encoded)> {
        let mut allowed = self.entries.iter_mut().take(self.size);
        let entry = allowed.find(|entry| entry.stage == Stage::Waiting)?;
        entry.stage = Stage::Sent;
        Some((entry.id, entry.encoded.clone()))
    }

    /// The event that was taken last could not be sent after all.
    pub(super) fn not_sent(&mut self, id: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.stage = Stage::Waiting;
        }
    }

    /// An event was acknowledged, perhaps before those ahead of it.
    pub(super) fn acknowledged(&mut self, id: u64) -> Option<Receipt> {
        let entry = self.entries.iter_mut().find(|entry| entry.id == id)?;
        entry.stage = Stage::Acknowledged;
        let receipt = entry.receipt.take();
        while self
            .entries
            .front()
            .is_some_and(|entry| entry.stage == Stage::Acknowledged)
        {
            self.entries.pop_front();
        }
        receipt
    }

    /// An event failed: everything on its way is to be sent again. Returns it if it is given up.
    pub(super) fn failed(&mut self, id: u64, counts: bool, hopeless: bool) -> Option<(u64, Option<Receipt>)> {
        for entry in &mut self.entries {
            if entry.stage == Stage::Sent {
                entry.stage = Stage::Waiting;
            }
        }
        let at = self.entries.iter().position(|entry| entry.id == id)?;
        let entry = self.entries.get_mut(at)?;
        if counts {
            entry.tries = entry.tries.saturating_add(1);
        }
        let given_up = hopeless || self.max_tries.is_some_and(|max| entry.tries >= max);
        let entry = given_up.then(|| self.entries.remove(at)).flatten()?;
        Some((entry.id, entry.receipt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(size: usize, max_tries: Option<u32>, events: u64) -> Window {
        let mut window = Window::new(size, max_tries);
        for _ in 0..events {
            let id = window.next_id();
            let encoded = Encoded {
                text: format!("{id}").into(),
                attachments: Vec::new(),
            };
            window.push(Entry::new(id, encoded, None));
        }
        window
    }

    fn sendable(window: &mut Window) -> Vec<u64> {
        std::iter::from_fn(|| window.next().map(|(id, _)| id)).collect()
    }

    #[test]
    fn one_at_a_time_is_head_of_line() {
        let mut window = window(1, None, 3);
        assert_eq!(sendable(&mut window), [1]);
        window.acknowledged(1);
        assert_eq!(sendable(&mut window), [2]);
        assert!(window.failed(2, true, false).is_none());
        assert_eq!(sendable(&mut window), [2]);
    }

    #[test]
    fn what_was_behind_a_failed_event_is_sent_again_unless_it_was_acknowledged() {
        let mut window = window(4, None, 6);
        assert_eq!(sendable(&mut window), [1, 2, 3, 4]);
        window.acknowledged(3);
        assert_eq!(window.len(), 6);
        assert!(window.failed(2, true, false).is_none());
        assert_eq!(sendable(&mut window), [1, 2, 4]);
        window.acknowledged(1);
        window.acknowledged(2);
        // The third was acknowledged before.
        assert_eq!(window.len(), 3);
        assert_eq!(sendable(&mut window), [5, 6]);
    }

    #[test]
    fn only_counted_failures_give_an_event_up() {
        let mut window = window(2, Some(2), 2);
        for _ in 0..5 {
            assert!(window.failed(1, false, false).is_none());
        }
        assert!(window.failed(1, true, false).is_none());
        assert_eq!(window.failed(1, true, false).map(|(id, _)| id), Some(1));
        assert_eq!(sendable(&mut window), [2]);
        assert_eq!(window.failed(2, false, true).map(|(id, _)| id), Some(2));
        assert!(window.is_empty());
    }

    #[test]
    fn restored_events_come_first_and_ids_go_on() {
        let mut window = window(9, None, 0);
        for id in [4, 7] {
            window.restore(
                id,
                Encoded {
                    text: "".into(),
                    attachments: Vec::new(),
                },
            );
        }
        assert_eq!(window.next_id(), 8);
        assert_eq!(sendable(&mut window), [4, 7]);
    }
}
