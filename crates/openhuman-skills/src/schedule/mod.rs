//! When schedules fire. Pure: the time is an argument, and nothing here waits, spawns or stores.
//!
//! - [`Fields`](fields::Fields): the six fields of an expression, matched against a wall clock's time.
//! - [`Plan`]: the fields in a time zone, so that summer time is dealt with in one place.
//! - [`Entry`]: a plan with what has happened so far; [`due`](entry::due) says what it owes now.
//! - [`Timetable`]: the entries of one skill.
//! - [`Agenda`]: who has to be looked at next, among thousands.

mod agenda;
mod entry;
mod fields;
mod plan;
mod timetable;

#[cfg(feature = "runtime")]
pub(crate) use self::agenda::Agenda;
pub use self::entry::{CatchUp, Overlap, ScheduleInfo};
pub(crate) use self::entry::{Entry, MAX_SCHEDULES};
pub(crate) use self::plan::{Options, Plan};
#[cfg(feature = "runtime")]
pub(crate) use self::timetable::Timetable;
