#![cfg_attr(feature = "runtime", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "runtime"),
    doc = "Packages of JavaScript skills: manifests, permissions, signatures, the registry, installation. The engine \
           that runs them is behind the feature `runtime`."
)]
#![deny(unsafe_code)]
#![cfg_attr(
    not(feature = "runtime"),
    allow(dead_code, reason = "much of what is pure is used by the engine alone")
)]

#[cfg(feature = "runtime")]
#[expect(unsafe_code, reason = "memory of JavaScript runtimes; argued at each block")]
mod arena;
mod clock;
mod credentials;
#[cfg(feature = "runtime")]
mod data;
mod db;
#[cfg(feature = "runtime")]
mod engine;
mod error;
#[cfg(feature = "runtime")]
#[expect(
    unsafe_code,
    reason = "stack switching and the stack limit of QuickJS; argued at each block"
)]
mod fiber;
#[doc(hidden)]
pub mod fuzzing;
mod grant;
pub mod hooks;
mod id;
#[cfg(feature = "runtime")]
mod inspect;
#[cfg(feature = "runtime")]
mod js;
#[cfg(feature = "kit")]
pub mod kit;
mod ledger;
mod manifest;
mod net;
#[cfg(feature = "runtime")]
mod outbox;
mod package;
#[cfg(feature = "runtime")]
mod ports;
#[cfg(feature = "runtime")]
mod preferences;
mod quarantine;
#[cfg(feature = "runtime")]
mod queues;
pub mod registry;
#[cfg(feature = "rusqlite")]
pub mod rusqlite;
mod schedule;
mod seams;
mod secrets;
#[cfg(feature = "runtime")]
mod shared;
#[cfg(feature = "runtime")]
mod skill;
mod snapshot;
mod source;
#[cfg(feature = "runtime")]
mod stall;
#[cfg(feature = "runtime")]
mod tools;
#[cfg(feature = "runtime")]
mod webhooks;
#[cfg(feature = "runtime")]
mod worker;

pub use clock::{Clock, ManualClock, SystemClock};
pub use credentials::{Credential, CredentialError, CredentialKind, Credentials, MemoryCredentials};
#[cfg(feature = "runtime")]
pub use data::{DataDirectory, DataError, DataFiles, DataStats, MemoryDataFiles};
pub use db::{Database, DbError, DbOpener, DbOptions, DbRows, DbValue, let_others_run};
#[cfg(feature = "runtime")]
pub use engine::{CallOptions, Engine, EngineBuilder, ToolOutput};
pub use error::{EngineError, HookError, RpcError, ScheduleError, SkillError, ToolError};
pub use grant::{Consent, Grant, GrantDiff, HostRule, Permission, PermissionKind, SealedGrant, SocketRule};
pub use id::{InvalidSkillId, SkillId};
#[cfg(feature = "runtime")]
pub use inspect::BridgeCall;
pub use ledger::{EgressCause, EgressOutcome, EgressRecord, LedgerQuery};
pub use manifest::{
    AuthKind, AuthMode, AuthSetup, Compat, DataPermission, DbPermission, Lint, Manifest, ManifestError,
    MemoryPermission, NetPermission, OAuthSetup, Permissions, Setup, SetupField, SetupOption,
    WebSocketPermission,
};
#[cfg(feature = "runtime")]
pub use net::{BoxedConnection, Connection};
pub use net::{Endpoint, MemoryTransport, Transport, TransportError, TransportRequest, TransportResponse};
pub use package::{
    FileHash, InvalidKey, PackageError, PathError, PublicKey, Signature, SignatureError, SigningKey,
    SkillPackage,
};
#[cfg(feature = "runtime")]
pub use ports::{FixedSession, Login, MemoryDocument, MemorySink, ModelOptions, Models, Session, Tunnels};
#[cfg(feature = "runtime")]
pub use preferences::{FilePreferences, MemoryPreferences, Preferences, SkillPreference};
pub use quarantine::{Quarantine, QuarantinePolicy};
#[cfg(feature = "rusqlite")]
pub use rusqlite::MemoryDbOpener;
pub use schedule::{CatchUp, Overlap, ScheduleInfo};
#[cfg(feature = "runtime")]
pub use seams::SystemResolver;
pub use seams::{HostModule, NameResolver, SkillEvent, SnapshotTrigger};
pub use secrets::{Destination, MemorySecrets, SecretValue, Secrets, secrets_conformance};
pub use snapshot::{SkillSnapshot, SkillStatus, ToolInfo};
pub use source::{Frame, SourceLine, Sources, Trace};
#[cfg(feature = "runtime")]
pub use webhooks::{WebhookRegistration, WebhookRequest, WebhookResponse};
