use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::super::plan::Options;
use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn plan(expression: &str, zone: &str) -> Plan {
    let options = Options {
        timezone: Some(zone.to_owned()),
        ..Options::default()
    };
    Plan::new(expression, options).unwrap()
}

fn entry(expression: &str, options: Options, now: i64) -> Entry {
    Entry::new(
        Plan::new(expression, options).unwrap(),
        7,
        ["skill", "schedule"],
        now,
    )
}

/// Looks every five seconds from `from` to `to`, runs what is owed at once; when it fired.
fn watch(entry: &mut Entry, from: i64, to: i64) -> Vec<i64> {
    let mut fired = Vec::new();
    let mut now = from;
    while now <= to {
        entry.advance(now);
        fired.extend((0..entry.owed).map(|_| now));
        entry.owed = 0;
        now += 5_000;
    }
    fired
}

#[test]
fn a_week_fires_as_often_as_it_should() {
    let mut entry = entry("0 */20 * * * *", Options::default(), 0);
    let fired = watch(&mut entry, 0, 7 * DAY);
    assert_eq!(fired.len(), 7 * 24 * 3);
    assert!(fired.iter().all(|moment| moment % (20 * MINUTE) == 0));
}

#[test]
fn summer_time_in_berlin() {
    // Clocks go from 02:00 to 03:00 on 2026-03-29 at 01:00 UTC, and back from 03:00 to 02:00 on 2026-10-25.
    let (spring, autumn) = (at("2026-03-29T00:00:00Z"), at("2026-10-25T00:00:00Z"));
    let hours = |expression: &str, from: i64, hours: i64| {
        let plan = plan(expression, "Europe/Berlin");
        let next = |moment: &i64| plan.next_after(*moment);
        std::iter::successors(plan.next_after(from - 1), next)
            .take_while(|moment| *moment < from + hours * HOUR)
            .map(|moment| (moment - from) as f64 / HOUR as f64)
            .collect::<Vec<_>>()
    };
    // A time of day that is left out comes at the first moment after; one that is repeated comes once.
    assert_eq!(hours("0 30 2 * * *", spring, 30), [1.0, 24.5]);
    assert_eq!(hours("0 0,15,30,45 2 * * *", spring, 3), [1.0]);
    assert_eq!(hours("0 0 3 * * *", spring, 3), [1.0], "and not twice");
    assert_eq!(hours("0 30 2 * * *", autumn, 30), [0.5, 25.5]);
    assert_eq!(hours("0 30 1-4 * * *", autumn, 5), [0.5, 2.5, 3.5]);
    // An interval goes on.
    assert_eq!(hours("0 30 * * * *", spring, 3), [0.5, 1.5, 2.5]);
    assert_eq!(hours("0 30 * * * *", autumn, 3), [0.5, 1.5, 2.5]);
    // Started within the second pass.
    let plan = plan("0 30 2 * * *", "Europe/Berlin");
    assert_eq!(
        plan.next_after(autumn + HOUR),
        Some(autumn + DAY + HOUR + 30 * MINUTE)
    );
}

#[test]
fn zones_are_known_or_refused() {
    let refused = |options: Options| Plan::new("0 0 9 * * *", options).unwrap_err();
    for name in ["Mars/Base", "../etc/passwd", "", &"x".repeat(100)] {
        let options = Options {
            timezone: Some(name.to_owned()),
            ..Options::default()
        };
        assert!(refused(options).contains("time zone"), "{name}");
    }
    assert!(
        refused(Options {
            jitter_seconds: 90_000,
            ..Options::default()
        })
        .contains("jitter")
    );
    assert!(
        refused(Options {
            catch_up: CatchUp::All(0),
            ..Options::default()
        })
        .contains("catchUp")
    );
    // Half hours, and a zone without summer time.
    assert_eq!(
        plan("0 0 9 * * *", "Asia/Kolkata").next_after(0),
        Some(3 * HOUR + 30 * MINUTE)
    );
}

#[test]
fn missed_moments_are_made_up_for_as_declared() {
    for (catch_up, late, on_time) in [
        (CatchUp::Skip, 0, 1),
        (CatchUp::Once, 1, 1),
        (CatchUp::All(3), 3, 3),
        (CatchUp::All(100), 6, 7),
    ] {
        let options = Options {
            catch_up,
            ..Options::default()
        };
        let mut slept = entry("0 */10 * * * *", options.clone(), 0);
        slept.advance(HOUR + 5 * MINUTE);
        assert_eq!(slept.owed, late, "{catch_up:?} after a sleep");
        assert_eq!(slept.next_ms, Some(HOUR + 10 * MINUTE));
        let mut woke = entry("0 */10 * * * *", options, 0);
        woke.advance(HOUR + 10 * MINUTE + 4_000);
        assert_eq!(woke.owed, on_time, "{catch_up:?} just after a moment");
    }
}

#[test]
fn a_year_of_missed_seconds_is_quick() {
    let options = Options {
        catch_up: CatchUp::All(100),
        ..Options::default()
    };
    let mut entry = entry("* * * * * *", options, 0);
    let started = std::time::Instant::now();
    entry.advance(365 * DAY);
    assert_eq!(entry.owed, 100);
    assert!(started.elapsed() < std::time::Duration::from_millis(500));
}

#[test]
fn a_running_hook_is_not_overlapped() {
    for (overlap, waiting) in [(Overlap::Skip, 0), (Overlap::Queue, 1)] {
        let options = Options {
            overlap,
            catch_up: CatchUp::All(10),
            ..Options::default()
        };
        let mut entry = entry("0 * * * * *", options, 0);
        assert!(entry.advance(MINUTE));
        (entry.running, entry.owed) = (true, 0);
        for minute in 2..6 {
            assert!(!entry.advance(minute * MINUTE), "it runs");
        }
        assert_eq!(entry.owed, waiting, "{overlap:?}");
        entry.running = false;
        assert_eq!(
            entry.look_at_ms(),
            Some(if waiting == 1 { i64::MIN } else { 6 * MINUTE })
        );
    }
}

#[test]
fn a_busy_skill_keeps_its_firing() {
    let mut entry = entry("0 0 * * * *", Options::default(), 0);
    assert!(entry.advance(HOUR));
    assert!(entry.advance(HOUR + 5_000), "still owed");
    assert!(entry.advance(5 * HOUR));
    assert_eq!(entry.owed, 1);
}

#[test]
fn a_clock_that_is_set_back_does_not_repeat_a_time_of_day_nor_stall_an_interval() {
    let noon = 20_000 * DAY + 12 * HOUR;
    let mut daily = entry("0 30 11 * * *", Options::default(), noon - HOUR);
    assert_eq!(watch(&mut daily, noon - HOUR, noon).len(), 1);
    assert_eq!(watch(&mut daily, noon - HOUR, noon).len(), 0, "not again");
    assert_eq!(watch(&mut daily, noon, noon + DAY), [noon + DAY - 30 * MINUTE]);

    let mut often = entry("0 */5 * * * *", Options::default(), noon - HOUR);
    watch(&mut often, noon - HOUR, noon + MINUTE);
    let back = noon - HOUR + MINUTE;
    assert_eq!(
        watch(&mut often, back, back + 3 * MINUTE),
        Vec::<i64>::new(),
        "nothing at once"
    );
    assert_eq!(
        watch(&mut often, back, back + 10 * MINUTE).len(),
        2,
        "and then as before"
    );

    // A small correction repeats nothing.
    let mut often = entry("0 * * * * *", Options::default(), noon - HOUR);
    watch(&mut often, noon - MINUTE, noon + 1_000);
    assert_eq!(watch(&mut often, noon - 10_000, noon + 30_000), Vec::<i64>::new());

    // A clock that had been a year ahead.
    let mut daily = entry("0 30 11 * * *", Options::default(), noon + 365 * DAY);
    assert_eq!(watch(&mut daily, noon, noon + DAY).len(), 1);
}

#[test]
fn a_clock_that_jumps_ahead_fires_once_and_goes_on() {
    let mut entry = entry("0 */5 * * * *", Options::default(), 0);
    assert_eq!(watch(&mut entry, 0, HOUR).len(), 12);
    assert_eq!(watch(&mut entry, 30 * DAY, 30 * DAY + HOUR).len(), 13);
}

#[test]
fn a_date_that_never_comes_never_fires() {
    let mut entry = entry("0 0 0 30 2 *", Options::default(), 0);
    assert_eq!((entry.next_ms, entry.look_at_ms()), (None, None));
    for now in [i64::MIN, -1, 0, i64::MAX] {
        assert!(!entry.advance(now));
    }
}

#[test]
fn jitter_is_constant_and_bounded() {
    let options = Options {
        jitter_seconds: 60,
        ..Options::default()
    };
    let late = |seed: u64, id: &str| {
        let plan = Plan::new("0 0 * * * *", options.clone()).unwrap();
        Entry::new(plan, seed, ["skill", id], 0).info(id).next_ms.unwrap() % HOUR
    };
    assert_eq!(late(1, "a"), late(1, "a"));
    assert!((0..50).all(|seed| late(seed, "a") <= MINUTE));
    assert!(
        (0..50)
            .map(|seed| late(seed, "a"))
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            > 40
    );
    let mut entry = Entry::new(
        Plan::new("0 0 * * * *", options.clone()).unwrap(),
        1,
        ["skill", "a"],
        0,
    );
    let fired = watch(&mut entry, 0, 10 * HOUR);
    assert_eq!(fired.len(), 10);
    assert!(
        fired
            .iter()
            .all(|moment| moment % HOUR >= late(1, "a") && moment % HOUR < late(1, "a") + 5_000)
    );
}

// --- The model: every minute is looked at by itself.

/// Minutes since the epoch, the hours and minutes of an expression, and a zone.
struct Model {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    zone: TimeZone,
}

impl Model {
    fn matches(&self, minute: i64) -> bool {
        let interval = self.hours.len() == 24;
        let offset = |minute: i64| {
            let offset = self.zone.to_offset(Timestamp::from_second(minute * 60).unwrap());
            i64::from(offset.seconds() / 60)
        };
        let wall = minute + offset(minute);
        let named = |wall: i64| {
            let (hour, minute) = (wall.rem_euclid(1440) / 60, wall.rem_euclid(60));
            self.hours.contains(&(hour as u32)) && self.minutes.contains(&(minute as u32))
        };
        if interval {
            return named(wall);
        }
        let before = minute - 1 + offset(minute - 1);
        let left_out = (before + 1..wall).any(named);
        // Whether this wall time was shown before: by a minute within the last three hours.
        let shown = |back| minute - back + offset(minute - back) == wall;
        let repeated = offset(minute - 180) != offset(minute) && (1..=180).any(shown);
        left_out || (named(wall) && !repeated)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn due_agrees_with_looking_at_every_minute(
        minutes in proptest::collection::btree_set(0u32..60, 1..4),
        hours in prop_oneof![Just((0..24).collect()), proptest::collection::btree_set(0u32..24, 1..4)],
        // Summer time, by half an hour, by a negative hour, at midnight, and none.
        zone in prop_oneof![
            Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("Europe/Dublin"),
            Just("Africa/Cairo"), Just("America/Santiago"), Just("Africa/Casablanca"), Just("UTC"),
        ],
        // Around the changes of one year, and elsewhere.
        day in 0i64..365,
        looks in proptest::collection::vec(1i64..300, 1..40),
    ) {
        let list = |set: &std::collections::BTreeSet<u32>| set.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let expression = format!("0 {} {} * * *", list(&minutes), list(&hours));
        let zone_data = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let model = Model { minutes: minutes.into_iter().collect(), hours: hours.into_iter().collect(), zone: zone_data };
        let start = at("2026-01-01T00:00:00Z") + day * DAY;
        let options = Options { timezone: Some(zone.to_owned()), catch_up: CatchUp::All(100), ..Options::default() };
        let mut entry = entry(&expression, options, start);
        let mut last = start / MINUTE;
        for step in looks {
            let now = last + step;
            entry.advance(now * MINUTE);
            let expected = (last + 1..=now).filter(|minute| model.matches(*minute)).count();
            prop_assert_eq!(entry.owed as usize, expected, "{} {} until {}", expression, zone, Timestamp::from_second(now * 60).unwrap());
            entry.owed = 0;
            last = now;
        }
    }
}
