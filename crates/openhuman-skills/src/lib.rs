#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod clock;
mod cron;
mod db;
mod engine;
mod error;
#[expect(
    unsafe_code,
    reason = "stack switching and the stack limit of QuickJS; argued at each block"
)]
mod fiber;
mod grant;
mod id;
mod js;
mod manifest;
mod net;
mod package;
mod queues;
#[cfg(feature = "rusqlite")]
pub mod rusqlite;
mod seams;
mod shared;
mod snapshot;
mod source;
mod worker;

pub use clock::{Clock, ManualClock, SystemClock};
pub use db::{Database, DbError, DbOpener, DbRows, DbValue};
pub use engine::{CallOptions, Engine, EngineBuilder, ToolOutput};
pub use error::{EngineError, SkillError, ToolError};
pub use grant::{Grant, HostRule};
pub use id::{InvalidSkillId, SkillId};
pub use manifest::{
    AuthKind, AuthMode, AuthSetup, Compat, DataPermission, DbPermission, Lint, Manifest, ManifestError,
    MemoryPermission, NetPermission, OAuthSetup, Permissions, Setup, SetupField, SetupOption,
    WebSocketPermission,
};
pub use package::{PackageError, PathError, SkillPackage};
#[cfg(feature = "rusqlite")]
pub use rusqlite::MemoryDbOpener;
pub use seams::{HostModule, MemorySecrets, NameResolver, Secrets, SkillEvent, SystemResolver};
pub use snapshot::{SkillSnapshot, SkillStatus, ToolInfo};
pub use source::{Frame, SourceLine, Sources, Trace};
