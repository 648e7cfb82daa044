use std::time::Duration;

use crate::{CredentialError, DbError, SkillId, SkillStatus};

/// Why an [`Engine`](crate::Engine) could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// `build` was called outside a tokio runtime.
    #[error("the skills engine must be built inside a tokio runtime with time and I/O enabled")]
    NoRuntime,
    /// A thread could not be started.
    #[error("cannot start a thread of the skills engine: {0}")]
    Thread(#[source] std::io::Error),
    /// The HTTP client could not be built.
    #[error("cannot set up the network client: {0}")]
    Network(String),
    /// A host module has a name that is not free or not a JavaScript identifier.
    #[error("host module `{name}` cannot be installed: {reason}")]
    Module {
        /// The module's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Why a skill could not be installed, started, stopped or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SkillError {
    /// No skill has this id.
    #[error("Skill '{skill}' not found")]
    Unknown {
        /// The id.
        skill: SkillId,
    },
    /// The id is taken.
    #[error("Skill '{skill}' is already installed; remove it first")]
    AlreadyInstalled {
        /// The id.
        skill: SkillId,
    },
    /// The manifest leaves this operating system out.
    #[error("Skill '{skill}' does not support this platform ({platform})")]
    UnsupportedPlatform {
        /// The id.
        skill: SkillId,
        /// The operating system.
        platform: &'static str,
    },
    /// The skill is running already.
    #[error("Skill '{skill}' is already running")]
    AlreadyRunning {
        /// The id.
        skill: SkillId,
    },
    /// A step of the start threw or rejected, or the script defines no skill.
    #[error("Skill '{skill}' did not start: {message}")]
    Failed {
        /// The id.
        skill: SkillId,
        /// What JavaScript reported, with the position in the script.
        message: String,
    },
    /// A step did not end within its limit.
    #[error("Skill '{skill}': {step}() timed out after {}s", limit.as_secs_f64())]
    TimedOut {
        /// The id.
        skill: SkillId,
        /// `init`, `start` or `stop`.
        step: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The top level of the script did not end within the limit of `init`.
    #[error("Skill '{skill}': the script did not finish loading within {} s", limit.as_secs_f64())]
    LoadTimedOut {
        /// The id.
        skill: SkillId,
        /// The limit.
        limit: Duration,
    },
    /// A new version did not start, so the old one was started again.
    #[error("Skill '{skill}' was not updated: {new}{}", after_update(old.as_deref()))]
    Update {
        /// The id.
        skill: SkillId,
        /// Why the new version did not start.
        new: Box<SkillError>,
        /// Why the old version did not start again either; `None` when it runs.
        old: Option<Box<SkillError>>,
    },
    /// The skill's database cannot be opened or read.
    #[error("Skill '{skill}' has no usable database: {source}")]
    Database {
        /// The id.
        skill: SkillId,
        /// What the database reported.
        source: DbError,
    },
    /// The credentials of the skill cannot be read.
    #[error("Skill '{skill}' has no usable credentials: {source}")]
    Credentials {
        /// The id.
        skill: SkillId,
        /// What the store reports.
        source: CredentialError,
    },
    /// The preference for the skill cannot be read or stored.
    #[error("the preference for skill '{skill}' is not kept: {source}")]
    Preference {
        /// The id.
        skill: SkillId,
        /// What the store reports.
        source: std::io::Error,
    },
    /// The skill had to be ended by force too often and is kept from running for a while. See
    /// [`QuarantinePolicy`](crate::QuarantinePolicy) and `Engine::lift_quarantine`.
    #[error("Skill '{skill}' is in quarantine until {}: {reason}. It starts again by itself then; lift the quarantine to start it sooner", utc(*until_ms))]
    Quarantined {
        /// The id.
        skill: SkillId,
        /// When it may run again, in Unix milliseconds.
        until_ms: i64,
        /// What happened.
        reason: String,
    },
    /// The engine has been shut down.
    #[error("the skills engine has been shut down")]
    ShutDown,
}

/// Why a hook has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// No skill has this id.
    #[error("Skill '{skill}' not found")]
    UnknownSkill {
        /// The id.
        skill: SkillId,
    },
    /// The skill is not running.
    #[error("Skill '{skill}' is not running (status: {status})")]
    NotRunning {
        /// The id.
        skill: SkillId,
        /// The hook.
        hook: &'static str,
        /// Its status.
        status: SkillStatus,
    },
    /// The skill's mailbox is full. Try again later.
    #[error("Skill '{skill}' is busy: {limit} messages are waiting; try again later")]
    Busy {
        /// The id.
        skill: SkillId,
        /// The size of the mailbox.
        limit: usize,
    },
    /// The hook threw, rejected, or returned a promise that can never settle.
    #[error("{message}")]
    Failed {
        /// The hook.
        hook: &'static str,
        /// What JavaScript reported, with the position in the script.
        message: String,
    },
    /// The hook reached its limit and was ended.
    #[error("{hook}() timed out after {}s", limit.as_secs_f64())]
    TimedOut {
        /// The hook.
        hook: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The skill was stopped while the hook was waiting or running.
    #[error("Skill '{skill}' did not respond to {hook}(): it was stopped")]
    Stopped {
        /// The id.
        skill: SkillId,
        /// The hook.
        hook: &'static str,
    },
}

/// Why a front end's call on a skill has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// A parameter is missing or of the wrong type.
    #[error("{0}")]
    Params(String),
    /// The skill, or one of its hooks.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// A tool that cannot be called.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A step of the life cycle.
    #[error(transparent)]
    Skill(#[from] SkillError),
    /// The credential store.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

impl RpcError {
    pub(crate) fn missing(name: &str, what: &str) -> Self {
        Self::Params(format!("missing required param '{name}': {what}"))
    }
}

/// Why a schedule was not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// No skill has this id, or it has no such schedule.
    #[error("Skill '{skill}' has no schedule '{schedule}'")]
    Unknown {
        /// The skill.
        skill: SkillId,
        /// The schedule.
        schedule: String,
    },
    /// The skill is not running.
    #[error("Skill '{skill}' is not running (status: {status})")]
    NotRunning {
        /// The skill.
        skill: SkillId,
        /// Its status.
        status: SkillStatus,
    },
    /// The hook runs already, or the skill's mailbox is full. Try again later.
    #[error("Skill '{skill}' is busy; try again later")]
    Busy {
        /// The skill.
        skill: SkillId,
    },
    /// The hook failed.
    #[error("the schedule '{schedule}' failed: {message}")]
    Failed {
        /// The schedule.
        schedule: String,
        /// What JavaScript reported.
        message: String,
    },
}

fn after_update(old: Option<&SkillError>) -> String {
    match old {
        None => "; the old version runs again".to_owned(),
        Some(error) => format!("; the old version does not start any more: {error}"),
    }
}

/// Why a tool call has no result.
///
/// A failed tool is an error here; a tool that returns a text with `success: false` is a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// No skill has this id.
    #[error("Skill '{skill}' not found")]
    UnknownSkill {
        /// The id.
        skill: SkillId,
    },
    /// The skill is not running.
    #[error("Skill '{skill}' is not running (status: {status})")]
    NotRunning {
        /// The id.
        skill: SkillId,
        /// Its status.
        status: SkillStatus,
    },
    /// The skill has no such tool.
    #[error("Tool execution failed: Tool '{tool}' not found")]
    UnknownTool {
        /// The tool.
        tool: String,
    },
    /// The arguments are not a JSON object.
    #[error("Tool execution failed: the arguments of '{tool}' must be a JSON object")]
    InvalidArguments {
        /// The tool.
        tool: String,
    },
    /// The skill's mailbox is full. Try again later.
    #[error("Skill '{skill}' is busy: {limit} messages are waiting; try again later")]
    Busy {
        /// The id.
        skill: SkillId,
        /// The size of the mailbox.
        limit: usize,
    },
    /// The tool threw or rejected.
    #[error("Tool execution failed: {message}")]
    Failed {
        /// What JavaScript reported, with the position in the script.
        message: String,
    },
    /// The tool's promise can never settle: nothing is left that could settle it.
    #[error("Tool execution failed: the promise of '{tool}' never settles: no timer, request or job is left")]
    NeverSettles {
        /// The tool.
        tool: String,
    },
    /// The result is too large.
    #[error("Tool execution failed: the result of '{tool}' is larger than {limit} bytes")]
    ResultTooLarge {
        /// The tool.
        tool: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The call reached its wall limit and was ended.
    #[error("Tool async execution timed out")]
    TimedOut,
    /// The skill was stopped while the call was waiting or running.
    #[error("Skill '{skill}' did not respond to tool call '{tool}': it was stopped")]
    Stopped {
        /// The id.
        skill: SkillId,
        /// The tool.
        tool: String,
    },
    /// The skill called a tool that can only answer when the skill itself goes on.
    #[error("Cross-skill tool calls are forbidden: '{skill}' would wait for itself through '{through}'")]
    WouldDeadlock {
        /// The skill that called.
        skill: SkillId,
        /// The skill it called.
        through: SkillId,
    },
    /// The skill was ended by force while the call was waiting or running: another of its calls, or this one, did
    /// something that could not be ended otherwise. It is started again; try again later.
    #[error("Skill '{skill}' was ended during tool call '{tool}': {reason}")]
    Ended {
        /// The id.
        skill: SkillId,
        /// The tool.
        tool: String,
        /// What happened.
        reason: String,
    },
    /// The skill had to be ended by force too often and is kept from running for a while. See
    /// [`QuarantinePolicy`](crate::QuarantinePolicy) and `Engine::lift_quarantine`.
    #[error("Skill '{skill}' is in quarantine until {}: {reason}", utc(*until_ms))]
    Quarantined {
        /// The id.
        skill: SkillId,
        /// When it may run again, in Unix milliseconds.
        until_ms: i64,
        /// What happened.
        reason: String,
    },
    /// The engine has been shut down.
    #[error("Skill '{skill}' message channel closed")]
    ChannelClosed {
        /// The id.
        skill: SkillId,
    },
}

/// How an activation ended when it has no value. Internal: mapped to the public errors above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The function threw.
    Threw(String),
    /// The promise was rejected.
    Rejected(String),
    /// There is no such tool.
    NoSuchTool,
    NeverSettles,
    TooLarge,
    TimedOut,
    Stopped,
    /// The skill was ended by force.
    Ended(&'static str),
}

/// A moment for people.
fn utc(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).map_or_else(
        || "the end of time".to_owned(),
        |moment| moment.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

impl CallError {
    /// The text of a failed hook, in the words existing hosts use.
    pub(crate) fn describe(&self, hook: &str) -> String {
        match self {
            Self::Threw(message) => format!("{hook}() failed: {message}"),
            Self::Rejected(message) => format!("{hook}() rejected: {message}"),
            Self::NoSuchTool => format!("{hook}() does not exist"),
            Self::NeverSettles => format!("{hook}() returned a promise that never settles"),
            Self::TooLarge => format!("{hook}() returned too much"),
            Self::TimedOut => format!("{hook}() timed out"),
            Self::Stopped => format!("{hook}() was stopped"),
            Self::Ended(reason) => format!("{hook}() was ended with its skill: {reason}"),
        }
    }
}
