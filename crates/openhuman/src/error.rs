//! What can go wrong when the core is composed or used.

use std::path::PathBuf;

use thiserror::Error;

/// The kind of a [`CoreError`]: what a caller decides by, and what the command line turns into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something failed that has no kind of its own.
    Failed,
    /// The thing that was named does not exist.
    NotFound,
    /// The vault is locked, or the password is wrong.
    Locked,
    /// A rule or a missing grant forbids it.
    Denied,
    /// A peer, a port or the home directory is not available now.
    Unavailable,
    /// It took longer than its limit.
    Timeout,
}

/// Why an operation of the core failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CoreError {
    /// The vault could not be created, opened or used.
    #[error("{0}")]
    Vault(#[from] openhuman_vault::VaultError),
    /// What was typed is no recovery key.
    #[error("{0}")]
    RecoveryKey(#[from] openhuman_vault::RecoveryKeyError),
    /// What an earlier program left behind could not be taken over.
    #[error("{0}")]
    Legacy(#[from] openhuman_vault::legacy::LegacyError),
    /// The memory could not be opened, searched or written.
    #[error("{0}")]
    Memory(#[from] openhuman_memory::MemoryError),
    /// A sealed database could not be opened or copied.
    #[error("{0}")]
    Database(#[from] openhuman_sqlite::Error),
    /// The skills engine could not be started.
    #[error("{0}")]
    Engine(#[from] openhuman_skills::EngineError),
    /// A skill package could not be read.
    #[error("{0}")]
    Package(#[from] openhuman_skills::PackageError),
    /// A skill could not be installed, started or stopped.
    #[error("{0}")]
    Skill(#[from] openhuman_skills::SkillError),
    /// The log of what left the machine could not be read.
    #[error("the log of what skills sent cannot be read: {0}")]
    Egress(String),
    /// A skill was removed, and its data could not be deleted.
    #[error(
        "the data of '{skill}' is still in use and was not deleted; install the skill again and remove it once more"
    )]
    DataInUse {
        /// The skill.
        skill: String,
    },
    /// A call on a skill failed.
    #[error("{0}")]
    SkillCall(#[from] openhuman_skills::RpcError),
    /// An installed package could not be read, or a new one not be installed.
    #[error("{0}")]
    Store(#[from] openhuman_skills::registry::StoreError),
    /// A registry could not be reached or used.
    #[error("{0}")]
    Registry(#[from] openhuman_skills::registry::RegistryError),
    /// The model adapter could not be made.
    #[error("{0}")]
    Model(#[from] openhuman_agent::ModelError),
    /// No such skill, tool or document.
    #[error("{what} '{name}' was not found; {hint}")]
    NotFound {
        /// What kind of thing was looked for.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// What to do next.
        hint: String,
    },
    /// Another process holds the home directory.
    #[error(
        "the home directory {} is in use by another OpenHuman process; close it, or choose another directory with --home or OPENHUMAN_HOME", path.display()
    )]
    Busy {
        /// The home directory.
        path: PathBuf,
    },
    /// A file or directory of the home could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The login token was not accepted by the backend.
    #[error("the backend {url} refused the login: {reason}")]
    Login {
        /// The backend's address.
        url: String,
        /// What the backend said.
        reason: String,
    },
    /// No session is kept for a backend.
    #[error("nobody is logged in at {url} here; log in with `openhuman login {url}`")]
    LoggedOut {
        /// The backend's address.
        url: String,
    },
    /// A turn was asked for at a backend, and there is no link to one.
    #[error("there is no link to a backend: {0}")]
    NotConnected(String),
    /// A folder was remembered in part.
    #[error(
        "remembering stopped at {}, after {done} files, which stay remembered: {source}; run it again when that is \
         mended", file.display()
    )]
    ImportStopped {
        /// The file that could not be written into the memory.
        file: PathBuf,
        /// How many files were remembered before.
        done: usize,
        /// Why.
        source: Box<CoreError>,
    },
    /// A home has sealed data, and the vault that sealed it is gone.
    #[error(
        "the vault in {} is missing although there is data that it sealed; put vault.ohv back from a backup, or start \
         over in another directory with --home", path.display()
    )]
    VaultMissing {
        /// The directory that should hold the vault.
        path: PathBuf,
    },
    /// The backend cannot be reached.
    #[error("cannot reach the backend {url}: {reason}; check the address and that it is running")]
    Backend {
        /// The backend's address.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The vault knows of a memory whose file is gone.
    #[error(
        "the memory {} is missing or empty although the vault says that it exists; put the file back from a backup, or \
         start over in another directory with --home", path.display()
    )]
    MemoryMissing {
        /// The file that should be there.
        path: PathBuf,
    },
    /// A sealed database is not the one that was closed last.
    #[error(
        "the database '{name}' is not the one that OpenHuman closed last: an older copy of it was put back, or another \
         program wrote to it. What was stored since that copy is not in it. Put the newest copy of {} back, or accept \
         this one with `openhuman vault accept {name}`", path.display()
    )]
    RolledBack {
        /// The name of the database.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Which session of writing was the last one known.
        generation: u64,
    },
    /// The home, or a part of it, is older than what is kept outside of it.
    #[error(
        "this home is an older copy, or a part of it is: what was stored since then is not in it. Put the newest copy back, \
         or accept this one with `openhuman vault accept --all`"
    )]
    OlderHome,
    /// The log of a sealed database does not open.
    #[error(
        "the log of the database '{name}' is damaged: what was written last cannot be read. Put {} and its log back from \
         a backup, or give up what the log holds with `openhuman vault discard-log {name}`", path.display()
    )]
    LogDamaged {
        /// The name of the database.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// A page of a sealed database does not open.
    #[error(
        "page {page} of the database '{name}' is damaged: bits rotted, or somebody changed the file. Put {} back from a \
         backup", path.display()
    )]
    PageDamaged {
        /// The name of the database.
        name: String,
        /// Its file.
        path: PathBuf,
        /// The page, counted from 1.
        page: u64,
    },
    /// A skill was not connected to an account.
    #[error("the account was not connected: {0}")]
    Account(String),
    /// A link to log in with was refused.
    #[error("{0}")]
    LoginLink(#[from] openhuman_vault::tokens::LoginLinkError),
    /// The vault's notes about the sealed databases are gone or were changed.
    #[error(
        "{} is {}: it says which state of each database is the newest. Put it back from a backup, or accept all \
         databases as they are with `openhuman vault accept --all`", path.display(), if *missing { "missing" } else { "damaged" }
    )]
    Ledger {
        /// The file.
        path: PathBuf,
        /// Whether there is no file at all.
        missing: bool,
    },
    /// The stored grants cannot be read.
    #[error("the stored permission grants cannot be read: {0}; grant again with `openhuman skills allow`")]
    Grants(String),
    /// The notes of whose data lies where cannot be read.
    #[error(
        "the notes of which publisher's data is which cannot be read: {0}; put the vault's secrets back from a backup"
    )]
    Owners(String),
    /// A setting has a value that cannot be used.
    #[error("{setting} is not usable: {reason}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A background task of the core ended unexpectedly.
    #[error(
        "a background task of the core ended unexpectedly ({0}); start again, and report this if it repeats"
    )]
    Task(String),
}

impl CoreError {
    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        use openhuman_skills::registry::{FetchError, RegistryError, StoreError};
        use openhuman_skills::{HookError, RpcError, SkillError, ToolError};
        use openhuman_vault::VaultError;
        match self {
            Self::Vault(
                VaultError::WrongPassword
                | VaultError::TooManyAttempts { .. }
                | VaultError::WrongRecoveryKey
                | VaultError::NoRecoveryKey
                | VaultError::KeyStore(_),
            ) => ErrorKind::Locked,
            Self::Vault(VaultError::NotFound { .. } | VaultError::SecretMissing { .. })
            | Self::NotFound { .. }
            | Self::VaultMissing { .. }
            | Self::MemoryMissing { .. } => ErrorKind::NotFound,
            Self::Skill(SkillError::Unknown { .. })
            | Self::SkillCall(
                RpcError::Skill(SkillError::Unknown { .. })
                | RpcError::Hook(HookError::UnknownSkill { .. })
                | RpcError::Tool(ToolError::UnknownSkill { .. } | ToolError::UnknownTool { .. }),
            ) => ErrorKind::NotFound,
            Self::Memory(openhuman_memory::MemoryError::Embedding(error)) if error.is_transient() => {
                ErrorKind::Unavailable
            }
            Self::Memory(openhuman_memory::MemoryError::Graph(error)) if error.is_transient() => {
                ErrorKind::Unavailable
            }
            Self::Database(openhuman_sqlite::Error::Missing { .. }) => ErrorKind::NotFound,
            Self::Database(openhuman_sqlite::Error::InUse { .. }) => ErrorKind::Unavailable,
            Self::Io { source, .. } if is_about_access(source) => ErrorKind::Unavailable,
            Self::Busy { .. } | Self::Backend { .. } | Self::NotConnected(_) => ErrorKind::Unavailable,
            Self::Login { .. } | Self::LoggedOut { .. } => ErrorKind::Locked,
            Self::LoginLink(_) => ErrorKind::Denied,
            Self::Store(StoreError::NotInstalled { .. } | StoreError::NoPrevious { .. }) => {
                ErrorKind::NotFound
            }
            Self::Store(StoreError::NeedsConsent { .. } | StoreError::Refused { .. }) => ErrorKind::Denied,
            Self::Store(StoreError::Busy { .. }) => ErrorKind::Unavailable,
            Self::Registry(RegistryError::Fetch(FetchError::Failed { .. } | FetchError::Status { .. })) => {
                ErrorKind::Unavailable
            }
            _ => ErrorKind::Failed,
        }
    }

    /// A stable word for what went wrong, where a front end offers a way out of its own; `None` for everything else.
    #[must_use]
    pub fn word(&self) -> Option<&'static str> {
        use openhuman_memory::MemoryError;
        use openhuman_sqlite::Error as Sealed;
        use openhuman_vault::VaultError;
        Some(match self {
            Self::Vault(VaultError::WrongPassword) => "wrong_password",
            Self::Vault(VaultError::TooManyAttempts { .. }) => "too_many_attempts",
            Self::Vault(VaultError::WrongRecoveryKey) => "wrong_recovery_key",
            Self::Vault(VaultError::NoRecoveryKey) => "no_recovery_key",
            Self::RecoveryKey(_) => "recovery_key_typo",
            Self::Vault(VaultError::HeaderTampered | VaultError::Damaged { .. }) => "vault_damaged",
            Self::VaultMissing { .. } => "vault_missing",
            Self::MemoryMissing { .. } => "memory_missing",
            Self::RolledBack { .. } | Self::OlderHome => "rolled_back",
            Self::LogDamaged { .. } => "log_corrupt",
            Self::PageDamaged { .. } => "page_corrupt",
            Self::Ledger { missing: true, .. } => "notes_missing",
            Self::Ledger { .. } => "notes_damaged",
            Self::Busy { .. } => "busy",
            Self::LoginLink(_) => "login_link",
            Self::LoggedOut { .. } => "logged_out",
            Self::Account(_) => "account",
            Self::Io { source, .. } => return word_of(source),
            Self::Vault(VaultError::Io { source, .. }) => return word_of(source),
            Self::Database(error) | Self::Memory(MemoryError::Database(error)) => match error {
                Sealed::DiskFull { .. } => "disk_full",
                Sealed::ReadOnly { .. } => "read_only",
                Sealed::PageCorrupt { .. } | Sealed::Truncated { .. } => "page_corrupt",
                Sealed::LogCorrupt { .. } => "log_corrupt",
                Sealed::WrongKey { .. } => "wrong_key",
                Sealed::InUse { .. } => "busy",
                Sealed::Io { source, .. } => return word_of(source),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// The name of the database that the error is about, where one is named.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        match self {
            Self::RolledBack { name, .. }
            | Self::LogDamaged { name, .. }
            | Self::PageDamaged { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether the password was wrong.
    #[must_use]
    pub fn is_wrong_password(&self) -> bool {
        matches!(self, Self::Vault(openhuman_vault::VaultError::WrongPassword))
    }

    /// How many milliseconds to wait before a password is tried again, where too many wrong ones came before.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Vault(openhuman_vault::VaultError::TooManyAttempts { wait_ms }) => Some(*wait_ms),
            _ => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }
}

/// Whether the place itself is the problem: not ours to write, read-only, or full.
fn is_about_access(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Io;
    matches!(
        error.kind(),
        Io::PermissionDenied | Io::ReadOnlyFilesystem | Io::StorageFull | Io::QuotaExceeded
    )
}

/// A full disk and a read-only place are for the user to mend.
fn word_of(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind as Io;
    match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => Some("disk_full"),
        Io::ReadOnlyFilesystem | Io::PermissionDenied => Some("read_only"),
        _ => None,
    }
}

impl From<tokio::task::JoinError> for CoreError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task(error.to_string())
    }
}
