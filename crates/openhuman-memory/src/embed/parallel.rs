//! Work on many texts, spread over the processor's cores.

use std::num::NonZero;

/// More threads than these gain little beside the one that writes.
const THREADS: usize = 4;

/// Does the same to each item, in order; with `least` items or more on several threads.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    least: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let threads = std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(THREADS);
    if items.len() < least.max(2) || threads == 1 {
        return items.iter().map(work).collect();
    }
    let share = items.len().div_ceil(threads);
    let (own, others) = items.split_at(share.min(items.len()));
    let work = &work;
    let mut done = Vec::with_capacity(items.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = others
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()))
            .collect();
        done.extend(own.iter().map(work));
        for thread in others {
            match thread.join() {
                Ok(results) => done.extend(results),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays() {
        for count in [0, 1, 2, 7, 100] {
            let numbers: Vec<usize> = (0..count).collect();
            let doubled = in_parallel(&numbers, 2, |number| number * 2);
            assert_eq!(
                doubled,
                numbers.iter().map(|number| number * 2).collect::<Vec<_>>()
            );
        }
    }
}
