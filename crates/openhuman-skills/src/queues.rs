//! Which activation runs next.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

/// Hashes the numbers that name instances: they are counted up by the engine, so nobody chooses them.
pub(crate) type Keys = BuildHasherDefault<Spread>;

/// Spreads consecutive numbers over all bits.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Two levels: activations that used up a slice go to the low one, which is guaranteed about a tenth of the time.
#[derive(Default)]
pub(crate) struct Queues {
    high: VecDeque<u64>,
    low: VecDeque<u64>,
    high_cpu: Duration,
    low_cpu: Duration,
}

impl Queues {
    pub(crate) fn push(&mut self, key: u64, low: bool) {
        if low {
            self.low.push_back(key);
        } else {
            self.high.push_back(key);
        }
    }

    /// The next activation, and whether it comes from the low queue.
    pub(crate) fn pop(&mut self) -> Option<(u64, bool)> {
        if self.low.is_empty() {
            // Time nobody competed for gives no credit later.
            self.high_cpu = Duration::ZERO;
            self.low_cpu = Duration::ZERO;
        }
        let low_turn = self.high.is_empty() || (self.low_cpu * 9 < self.high_cpu && !self.low.is_empty());
        if low_turn {
            self.low.pop_front().map(|key| (key, true))
        } else {
            self.high.pop_front().map(|key| (key, false))
        }
    }

    /// Accounts for time that was spent.
    pub(crate) fn charge(&mut self, low: bool, spent: Duration) {
        if low {
            self.low_cpu += spent;
        } else {
            self.high_cpu += spent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_queue_gets_about_a_tenth() {
        let mut queues = Queues::default();
        let slice = Duration::from_micros(200);
        let mut low_turns = 0;
        for key in [1, 2] {
            queues.push(key, false);
            queues.push(key + 10, true);
        }
        for _ in 0..1000 {
            let (key, low) = queues.pop().unwrap();
            low_turns += u32::from(low);
            queues.charge(low, slice);
            queues.push(key, low);
        }
        assert!((80..=120).contains(&low_turns), "{low_turns}");
    }

    #[test]
    fn an_idle_worker_serves_whatever_there_is() {
        let mut queues = Queues::default();
        assert_eq!(queues.pop(), None);
        queues.push(1, true);
        assert_eq!(queues.pop(), Some((1, true)));
    }
}
