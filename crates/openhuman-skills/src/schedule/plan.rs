use std::sync::LazyLock;

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::entry::{CatchUp, Overlap};
use super::fields::Fields;

/// Jitter of at most a day.
const MAX_JITTER_SECONDS: u32 = 86_400;
/// The most moments that are made up for.
const MAX_CATCH_UP: u32 = 100;
/// Offset changes that are followed in the search for one match: two a year for the horizon of the fields.
const MAX_CHANGES: usize = 100;

/// The zones this program was built with: the same everywhere, and no files are read.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// What a skill may say about a schedule beside its expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {
    /// An IANA name; `None` is UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timezone: Option<String>,
    pub(crate) catch_up: CatchUp,
    pub(crate) jitter_seconds: u32,
    pub(crate) overlap: Overlap,
}

/// An expression in a time zone.
///
/// What happens when clocks are changed depends on whether it fires in every hour. If it does, it is an interval:
/// it fires whenever the wall clock matches, also in both passes of a repeated hour. If it names hours, it is a
/// time of day: it fires in the first pass only, and a time that is left out is made up for, once, at the first
/// moment after the change.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) expression: String,
    pub(crate) options: Options,
    fields: Fields,
    zone: TimeZone,
}

impl Plan {
    pub(crate) fn new(expression: &str, options: Options) -> Result<Self, String> {
        let expression = expression.trim();
        let fields = Fields::parse(expression)?;
        if options.jitter_seconds > MAX_JITTER_SECONDS {
            return Err(format!("jitterSeconds is at most {MAX_JITTER_SECONDS}"));
        }
        if let CatchUp::All(count) = options.catch_up
            && !(1..=MAX_CATCH_UP).contains(&count)
        {
            return Err(format!("catchUp.all is 1 to {MAX_CATCH_UP}"));
        }
        let zone = match options.timezone.as_deref() {
            None => TimeZone::UTC,
            Some(name) if name.len() <= 64 => ZONES
                .get(name)
                .map_err(|_| format!("`{name}` is not a time zone; use an IANA name like Europe/Berlin"))?,
            Some(_) => return Err("a time zone has at most 64 characters".to_owned()),
        };
        Ok(Self {
            expression: expression.to_owned(),
            options,
            fields,
            zone,
        })
    }

    /// Whether it fires in every hour of a day.
    pub(crate) fn is_interval(&self) -> bool {
        self.fields.every_hour()
    }

    /// The first moment later than `after_ms`; `None` when it never fires again. Milliseconds since the epoch.
    pub(crate) fn next_after(&self, after_ms: i64) -> Option<i64> {
        let mut from = Timestamp::from_second(after_ms.div_euclid(1000).checked_add(1)?).ok()?;
        let mut offset = self.zone.to_offset(from);
        // Wall times below this one belong to the first pass of a repeated hour, which is over.
        let mut repeated_until = self.repeated_until(from, offset);
        for _ in 0..MAX_CHANGES {
            let wall = offset.to_datetime(from).max(repeated_until);
            let found = self.fields.at_or_after(wall);
            let change = self.zone.following(from).next();
            let found = found.and_then(|wall| offset.to_timestamp(wall).ok());
            let Some(change) = change else {
                return found.map(Timestamp::as_millisecond);
            };
            let at = change.timestamp();
            if let Some(found) = found.filter(|found| *found < at) {
                return Some(found.as_millisecond());
            }
            let (ends, begins) = (offset.to_datetime(at), change.offset().to_datetime(at));
            offset = change.offset();
            from = at;
            repeated_until = jiff::civil::DateTime::MIN;
            if !self.is_interval() {
                let left_out =
                    begins > ends && self.fields.at_or_after(ends).is_some_and(|wall| wall < begins);
                if left_out {
                    return Some(at.as_millisecond());
                }
                repeated_until = ends;
            }
        }
        None
    }

    /// Until when the wall clock shows times for the second time, for a plan that must not fire at them again.
    fn repeated_until(&self, now: Timestamp, offset: Offset) -> jiff::civil::DateTime {
        let ends = || {
            // The change that brought this offset; at the very moment of the change it counts too.
            let change = self
                .zone
                .preceding(now.checked_add(SignedDuration::from_secs(1)).ok()?)
                .next()?;
            let before = change
                .timestamp()
                .checked_sub(SignedDuration::from_secs(1))
                .ok()?;
            let old = self.zone.to_offset(before);
            (old > offset).then(|| old.to_datetime(change.timestamp()))
        };
        match self.is_interval() {
            true => None,
            false => ends(),
        }
        .unwrap_or(jiff::civil::DateTime::MIN)
    }
}
