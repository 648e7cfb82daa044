//! The author's kit: a simulator with its own time and network, and what is built on it.

mod check;
mod diff;
mod directory;
mod net;
mod prelude;
mod scan;
mod schema;
mod session;
mod simulator;
pub mod template;
mod tests;
pub(crate) mod time;
mod wire;

use std::sync::Arc;

pub use self::check::{CheckReport, Finding, Level, check, is_test};
pub use self::diff::DiffLine;
pub use self::directory::DirectoryDbOpener;
pub use self::net::SeenRequest;
pub use self::simulator::{LogLine, Notice, Simulator, SimulatorError};
pub use self::tests::{Failure, FileReport, Outcome, TestFile, TestReport, run_tests};
use self::time::VirtualTime;

/// What the kit changes in an engine. By default nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    /// The time that timers, sleepers and `Date` follow instead of the real one.
    pub(crate) time: Option<Arc<VirtualTime>>,
    /// A script every skill finds its globals prepared by: a function that is called with nothing.
    pub(crate) script: Option<&'static str>,
}
