use std::str::FromStr as _;

use cron::{Schedule, TimeUnitSpec};
use jiff::civil::{Date, DateTime, Time};

/// The longest expression that is parsed, in bytes.
const MAX_EXPRESSION: usize = 128;
/// How far ahead a match is looked for: every combination of month, day and weekday comes within 40 years, also
/// over a year that leaves out its leap day.
const HORIZON_YEARS: i16 = 40;

/// The six fields as sets of numbers: 32 bytes instead of six trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
}

impl Fields {
    /// Parses `second minute hour day-of-month month day-of-week`. Day and weekday must both match.
    pub(crate) fn parse(expression: &str) -> Result<Self, String> {
        if expression.len() > MAX_EXPRESSION {
            return Err(format!(
                "the expression is longer than {MAX_EXPRESSION} characters"
            ));
        }
        let fields = expression.split_whitespace().count();
        if fields != 6 {
            return Err(format!(
                "`{expression}` has {fields} fields, but six are needed: second minute hour day-of-month month day-of-week"
            ));
        }
        let schedule = Schedule::from_str(expression)
            .map_err(|error| format!("`{expression}` is not a cron expression: {error}"))?;
        let set = |unit: &dyn Fn(u32) -> bool| {
            (0..64)
                .filter(|number| unit(*number))
                .fold(0, |set, number| set | 1 << number)
        };
        Ok(Self {
            seconds: set(&|number| schedule.seconds().includes(number)),
            minutes: set(&|number| schedule.minutes().includes(number)),
            hours: set(&|number| schedule.hours().includes(number)),
            days: set(&|number| schedule.days_of_month().includes(number)),
            months: set(&|number| schedule.months().includes(number)),
            weekdays: set(&|number| schedule.days_of_week().includes(number + 1)),
        })
    }

    /// Whether it fires in every hour of a day: an interval, rather than a time of day.
    pub(crate) fn every_hour(&self) -> bool {
        self.hours.count_ones() == 24
    }

    /// The first moment at or after `from` on a wall clock, in whole seconds.
    pub(crate) fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        let day = from.date();
        if self.has_day(day)
            && let Some(time) = self.time_from(from.hour(), from.minute(), from.second())
        {
            return Some(day.to_datetime(time));
        }
        let first = self.time_from(0, 0, 0)?;
        let mut day = day.tomorrow().ok()?;
        let last = day.year().checked_add(HORIZON_YEARS)?;
        while day.year() <= last {
            if self.months & bit(day.month()) == 0 {
                day = day.last_of_month().tomorrow().ok()?;
            } else if self.has_day(day) {
                return Some(day.to_datetime(first));
            } else {
                day = day.tomorrow().ok()?;
            }
        }
        None
    }

    fn has_day(&self, day: Date) -> bool {
        let weekday = day.weekday().to_sunday_zero_offset();
        self.months & bit(day.month()) != 0
            && self.days & bit(day.day()) != 0
            && self.weekdays & bit(weekday) != 0
    }

    fn time_from(&self, hour: i8, minute: i8, second: i8) -> Option<Time> {
        let same_hour = self.hours & bit(hour) != 0;
        let same_minute = self.minutes & bit(minute) != 0;
        if same_hour
            && same_minute
            && let Some(second) = from(self.seconds, second)
        {
            return Time::new(hour, minute, second, 0).ok();
        }
        let first = from(self.seconds, 0)?;
        if same_hour && let Some(minute) = from(self.minutes, minute + 1) {
            return Time::new(hour, minute, first, 0).ok();
        }
        Time::new(from(self.hours, hour + 1)?, from(self.minutes, 0)?, first, 0).ok()
    }
}

fn bit(number: i8) -> u64 {
    1_u64.checked_shl(u32::from(number.unsigned_abs())).unwrap_or(0)
}

/// The first number of a set that is not below `least`.
fn from(set: u64, least: i8) -> Option<i8> {
    let rest = set & u64::MAX.checked_shl(u32::from(least.unsigned_abs())).unwrap_or(0);
    (rest != 0).then(|| rest.trailing_zeros() as i8)
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike as _, TimeZone as _, Timelike as _, Utc};
    use jiff::civil::datetime;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_expressions_say_what_is_wrong() {
        assert!(Fields::parse("* * * * *").unwrap_err().contains("six are needed"));
        for bad in [
            "",
            "@daily",
            "a b c d e f",
            "0 0 0 0 0 0",
            "99 * * * * *",
            "* * * * * * *",
            &"*".repeat(500),
        ] {
            assert!(Fields::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_fields_mean() {
        let next = |expression: &str| {
            Fields::parse(expression)
                .unwrap()
                .at_or_after(datetime(2026, 2, 27, 10, 59, 59, 0))
        };
        assert_eq!(next("* * * * * *"), Some(datetime(2026, 2, 27, 10, 59, 59, 0)));
        assert_eq!(next("0 */20 * * * *"), Some(datetime(2026, 2, 27, 11, 0, 0, 0)));
        assert_eq!(next("0 0 9 * * Mon-Fri"), Some(datetime(2026, 3, 2, 9, 0, 0, 0)));
        // Sunday is 1, as the grammar has it.
        assert_eq!(next("0 0 9 * * 1"), Some(datetime(2026, 3, 1, 9, 0, 0, 0)));
        assert_eq!(next("0 0 0 29 2 *"), Some(datetime(2028, 2, 29, 0, 0, 0, 0)));
        assert_eq!(next("0 0 0 29 2 Mon"), Some(datetime(2044, 2, 29, 0, 0, 0, 0)));
        assert_eq!(next("0 0 0 30 2 *"), None);
        assert!(Fields::parse("0 0 */1 * * *").unwrap().every_hour());
        assert!(!Fields::parse("0 0 0-22 * * *").unwrap().every_hour());
    }

    fn field(range: std::ops::Range<u32>) -> impl Strategy<Value = String> {
        let (low, high) = (range.start, range.end);
        prop_oneof![
            3 => Just("*".to_owned()),
            2 => range.clone().prop_map(|at| at.to_string()),
            1 => (low..high, low..high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (1..high - low).prop_map(|step| format!("*/{step}")),
            1 => proptest::collection::vec(range, 1..4).prop_map(|all| {
                all.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
            }),
        ]
    }

    proptest! {
        // The crate whose grammar we take has an iterator of its own; both must agree where it looks.
        #[test]
        fn the_same_moments_as_the_cron_crate(
            second in field(0..60), minute in field(0..60), hour in field(0..24),
            day in field(1..29), month in field(1..13), weekday in field(1..8),
            at in 1_600_000_000i64..1_900_000_000,
        ) {
            let expression = format!("{second} {minute} {hour} {day} {month} {weekday}");
            let ours = Fields::parse(&expression).unwrap();
            let theirs = Schedule::from_str(&expression).unwrap();
            let start = Utc.timestamp_opt(at, 0).unwrap();
            let from = start.naive_utc();
            let from = datetime(
                from.year() as i16, from.month() as i8, from.day() as i8,
                from.hour() as i8, from.minute() as i8, from.second() as i8, 0,
            );
            let found = ours.at_or_after(from.checked_add(jiff::Span::new().seconds(1)).unwrap());
            let expected = theirs.after(&start).next().map(|next| next.format("%Y-%m-%dT%H:%M:%S").to_string());
            prop_assert_eq!(found.map(|found| found.to_string()), expected, "{}", expression);
        }
    }
}
