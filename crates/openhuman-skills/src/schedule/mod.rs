//! When schedules fire. Pure: the time is an argument, and nothing here waits, spawns or stores.
//!
//! - [`Fields`](fields::Fields): the six fields of an expression, matched against a wall clock's time.
//! - [`Plan`]: the fields in a time zone, so that summer time is dealt with in one place.
//! - [`Entry`]: a plan with what has happened so far; [`due`] says what it owes now.
//! - [`Agenda`]: who has to be looked at next, among thousands.

mod agenda;
mod entry;
mod fields;
mod plan;

pub(crate) use self::agenda::Agenda;
#[cfg(test)]
pub(crate) use self::entry::due;
pub use self::entry::{CatchUp, Overlap, ScheduleInfo};
pub(crate) use self::entry::{Entry, MAX_SCHEDULES};
pub(crate) use self::plan::{Options, Plan};
