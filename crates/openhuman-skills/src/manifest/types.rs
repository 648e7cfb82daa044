//! What a manifest says, as values.

use serde_json::Value;

/// The `setup` block of a manifest.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Setup {
    /// Whether the skill is unusable until its setup is complete.
    pub required: bool,
    /// The label of the setup button.
    pub label: Option<String>,
    /// The older form of a managed connection.
    pub oauth: Option<OAuthSetup>,
    /// The ways to connect an account.
    pub auth: Option<AuthSetup>,
}

/// A managed OAuth connection.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OAuthSetup {
    /// The provider's name.
    pub provider: Option<String>,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// The base address of the provider's API.
    pub api_base_url: Option<String>,
}

/// The ways to connect an account; at least one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuthSetup {
    /// The ways, in the order they are offered.
    pub modes: Vec<AuthMode>,
}

/// One way to connect an account.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuthMode {
    /// `managed`, `self_hosted` or `text`.
    pub kind: AuthKind,
    /// The label shown for this way.
    pub label: Option<String>,
    /// A sentence about this way.
    pub description: Option<String>,
    /// The provider's name, for a managed connection.
    pub provider: Option<String>,
    /// The scopes asked for, for a managed connection.
    pub scopes: Vec<String>,
    /// The base address of the API this way talks to.
    pub api_base_url: Option<String>,
    /// What the user fills in, for a self-hosted connection.
    pub fields: Vec<SetupField>,
    /// What the pasted text is, for a text connection.
    pub text_description: Option<String>,
    /// The placeholder of the input for the pasted text.
    pub text_placeholder: Option<String>,
}

/// The kind of an [`AuthMode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthKind {
    /// The backend holds the credentials.
    Managed,
    /// The user's own application credentials.
    SelfHosted,
    /// A token the user pastes.
    Text,
}

/// One input of a setup form.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SetupField {
    /// The key under which the value is handed to the skill.
    pub name: String,
    /// `text`, `number`, `password`, `select`, `multiselect`, `boolean`, `textarea` or a kind a later host knows.
    /// Default `text`.
    pub kind: String,
    /// The label; the name when there is none.
    pub label: String,
    /// A sentence about the input.
    pub description: Option<String>,
    /// Whether the input must be filled in.
    pub required: bool,
    /// The value before the user changes it.
    pub default: Option<Value>,
    /// The placeholder of an empty input.
    pub placeholder: Option<String>,
    /// The choices of a `select` or `multiselect`.
    pub options: Vec<SetupOption>,
}

/// One choice of a [`SetupField`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SetupOption {
    /// What the user sees.
    pub label: String,
    /// What the skill gets.
    pub value: Value,
}

/// What a skill asks for. Nothing here is granted by itself: see [`Grant`](crate::Grant).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permissions {
    /// Hosts it wants to reach.
    pub net: Vec<NetPermission>,
    /// Hosts it wants to hold WebSocket connections to.
    pub websocket: Vec<WebSocketPermission>,
    /// Names of environment values it wants to read.
    pub env: Vec<String>,
    /// Tools of other skills it wants to call, as `skill.tool`, or `skill.*` for all of one skill.
    pub tools: Vec<String>,
    /// Events it wants to receive.
    pub events: Vec<String>,
    /// Whether it wants to show notifications.
    pub notify: bool,
    /// Whether it wants to ask the language model.
    pub model: bool,
    /// Whether it wants to receive webhooks.
    pub webhooks: bool,
    /// What it wants to do with the user's memory.
    pub memory: MemoryPermission,
    /// Its database.
    pub db: DbPermission,
    /// Its data directory.
    pub data: DataPermission,
}

/// A host a skill wants to reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetPermission {
    /// A host name or address, or `*.example.com` for every name below it, or `*` for every host.
    pub host: String,
    /// The methods; empty means all.
    pub methods: Vec<String>,
    /// The ports; empty means 443 (and 80 with `http`).
    pub ports: Vec<u16>,
    /// Whether unencrypted http is wanted.
    pub http: bool,
    /// The secret that may be sent to this host.
    pub secret: Option<String>,
}

/// A host a skill wants to hold WebSocket connections to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketPermission {
    /// A host name or address, or `*.example.com` for every name below it, or `*` for every host.
    pub host: String,
    /// The ports; empty means 443.
    pub ports: Vec<u16>,
}

/// What a skill wants to do with the user's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPermission {
    /// Add to it.
    pub insert: bool,
    /// Read from it.
    pub recall: bool,
}

/// The size of the database a skill asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DbPermission {
    /// The size in MB; `None` leaves it to the engine's default, which is also the ceiling.
    pub max_mb: Option<u64>,
}

/// The size of the data directory a skill asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataPermission {
    /// The size in MB; `None` leaves it to the engine's default, which is also the ceiling.
    pub max_mb: Option<u64>,
}

/// Opt-in quirks of earlier runtimes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compat {
    /// Return TEXT columns that hold JSON as parsed values.
    pub db_text_as_json: bool,
}
