//! How much work a password guess costs on this machine.

use std::time::{Duration, Instant};

use super::password::{Argon2Params, derive};

/// What one unlock should take: the middle of 300 to 700 ms, lowered a little because large memories cost more
/// than in proportion.
const TARGET: Duration = Duration::from_millis(450);
/// More memory than this is not asked for by default: the vault may be opened on a smaller machine one day.
const MOST_KIB: u32 = 512 * 1024;
const STEP_KIB: u32 = 8 * 1024;
/// Of several runs the fastest counts: it is the one that other programs disturbed least.
const RUNS: usize = 2;

/// Parameters for which one unlock takes 300 to 700 ms on this machine, but never less than
/// [`Argon2Params::DEFAULT`]: a slow machine takes longer.
pub(super) fn measured() -> Argon2Params {
    let fastest = (0..RUNS).filter_map(|_| time(Argon2Params::DEFAULT)).min();
    let Some(fastest) = fastest else {
        // No memory for it; creating the slot says so.
        return Argon2Params::DEFAULT;
    };
    let planned = plan(fastest);
    // Caches make the first guess too high where the memory is slow, other programs too low.
    match time(planned) {
        Some(taken) => correct(planned, taken),
        None => Argon2Params::DEFAULT,
    }
}

fn time(params: Argon2Params) -> Option<Duration> {
    let started = Instant::now();
    derive(b"calibration", &[0; 16], params).ok()?;
    Some(started.elapsed())
}

/// From the time of [`Argon2Params::DEFAULT`]: memory first, passes only where the memory is at its limit.
fn plan(default_took: Duration) -> Argon2Params {
    let default = Argon2Params::DEFAULT;
    let wanted = scale(default.memory_kib, default_took);
    let memory_kib = wanted.clamp(default.memory_kib, MOST_KIB);
    let passes = u64::from(wanted) * u64::from(default.passes) / u64::from(memory_kib);
    Argon2Params {
        memory_kib,
        passes: u32::try_from(passes)
            .unwrap_or(u32::MAX)
            .clamp(default.passes, Argon2Params::CEILING.passes),
        ..default
    }
}

/// One step back or forth when the planned parameters took less than 300 or more than 600 ms.
fn correct(planned: Argon2Params, took: Duration) -> Argon2Params {
    if (TARGET * 2 / 3..=TARGET * 4 / 3).contains(&took) {
        return planned;
    }
    let least = Argon2Params::DEFAULT.memory_kib;
    Argon2Params {
        memory_kib: scale(planned.memory_kib, took).clamp(least, MOST_KIB),
        ..planned
    }
}

/// The memory that takes [`TARGET`] when `memory_kib` takes `took`, in whole steps.
fn scale(memory_kib: u32, took: Duration) -> u32 {
    let took = took.as_micros().max(1);
    let wanted = u128::from(memory_kib) * TARGET.as_micros() / took;
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    wanted - wanted % STEP_KIB
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn params(mib: u32, passes: u32) -> Argon2Params {
        Argon2Params {
            memory_kib: mib * 1024,
            passes,
            lanes: 1,
        }
    }

    #[test]
    fn memory_grows_first_and_then_the_passes() {
        for (took, planned) in [
            (5_000, params(64, 3)),
            (450, params(64, 3)),
            (225, params(128, 3)),
            (134, params(208, 3)),
            (56, params(512, 3)),
            (28, params(512, 6)),
            (1, params(512, 16)),
            (0, params(512, 16)),
        ] {
            assert_eq!(plan(ms(took)), planned, "{took} ms");
        }
    }

    #[test]
    fn what_takes_too_long_or_too_short_is_corrected_within_the_limits() {
        assert_eq!(correct(params(128, 3), ms(300)), params(128, 3));
        assert_eq!(correct(params(128, 3), ms(225)), params(256, 3));
        assert_eq!(correct(params(256, 3), ms(45)), params(512, 3));
        assert_eq!(correct(params(256, 3), ms(600)), params(256, 3));
        assert_eq!(correct(params(256, 3), ms(900)), params(128, 3));
        assert_eq!(correct(params(256, 3), ms(9_000)), params(64, 3));
        assert_eq!(correct(params(64, 3), ms(9_000)), params(64, 3));
    }

    #[test]
    fn every_plan_is_within_what_a_header_may_ask_for() {
        for took in 0..2_000 {
            let planned = plan(ms(took));
            planned.check().unwrap();
            assert!(!planned.is_weaker_than(Argon2Params::DEFAULT));
        }
    }
}
