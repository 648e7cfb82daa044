use serde::Deserialize;

use crate::{PackageError, SkillId};

/// The largest manifest that is read, in bytes.
pub(crate) const MAX_MANIFEST: usize = 256 * 1024;
/// The default memory limit and its ceiling, in MB.
const MEMORY_MB: (u64, u64) = (64, 256);

/// What a skill says about itself in `manifest.json`.
///
/// Unknown fields are tolerated, so that manifests written for other versions keep loading.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Manifest {
    /// The identifier; unique within an engine.
    pub id: SkillId,
    /// The name shown to people.
    pub name: String,
    /// The version, as the author writes it.
    pub version: Option<String>,
    /// What the skill does, in a sentence.
    pub description: Option<String>,
    /// The script, relative to the package directory. Default `index.js`.
    pub entry: String,
    /// The JavaScript memory limit in MB. Default 64, at most 256.
    pub memory_limit_mb: u64,
    /// Whether a host should start the skill by itself. The engine only reports it.
    pub auto_start: bool,
    /// The operating systems the skill supports; empty means all.
    pub platforms: Vec<String>,
    /// What must be set up before the skill is useful.
    pub setup: Setup,
    /// What the skill asks for; `None` in manifests from before permissions existed.
    pub permissions: Option<Permissions>,
    /// Opt-in quirks of earlier runtimes.
    pub compat: Compat,
}

/// The `setup` block of a manifest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
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
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct AuthSetup {
    /// The ways, in the order they are offered.
    pub modes: Vec<AuthMode>,
}

/// One way to connect an account.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AuthMode {
    /// `managed`, `self_hosted` or `text`.
    #[serde(rename = "type")]
    pub kind: AuthKind,
    /// The label shown for this way.
    #[serde(default)]
    pub label: Option<String>,
    /// The base address of the API this way talks to.
    #[serde(default)]
    pub api_base_url: Option<String>,
}

/// The kind of an [`AuthMode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthKind {
    /// The backend holds the credentials.
    Managed,
    /// The user's own application credentials.
    SelfHosted,
    /// A token the user pastes.
    Text,
}

/// What a skill asks for. Nothing here is granted by itself: see [`Grant`](crate::Grant).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Permissions {
    /// Hosts it wants to reach.
    pub net: Vec<NetPermission>,
    /// Names of environment values it wants to read.
    pub env: Vec<String>,
    /// Events it wants to receive.
    pub events: Vec<String>,
    /// Whether it wants to show notifications.
    pub notify: bool,
    /// Its database.
    pub db: DbPermission,
}

/// A host a skill wants to reach.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NetPermission {
    /// A host name, or `*.example.com` for every name below it.
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

/// The size of the database a skill asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DbPermission {
    /// The size in MB; the engine's default and ceiling is 256.
    pub max_mb: Option<u64>,
}

/// Opt-in quirks of earlier runtimes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Compat {
    /// Return TEXT columns that hold JSON as parsed values.
    pub db_text_as_json: bool,
}

/// The manifest as it is written.
#[derive(Deserialize)]
struct Raw {
    id: String,
    name: String,
    version: Option<String>,
    description: Option<String>,
    runtime: Option<String>,
    entry: Option<String>,
    memory_limit_mb: Option<u64>,
    #[serde(default)]
    auto_start: bool,
    #[serde(default)]
    platforms: Option<Vec<String>>,
    #[serde(default)]
    setup: Option<Setup>,
    #[serde(default)]
    permissions: Option<Permissions>,
    #[serde(default)]
    compat: Option<Compat>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`PackageError::Manifest`] when the text is not JSON of the right shape, has no valid id, names a
    /// runtime other than JavaScript, leaves its directory with `entry`, or offers an empty list of ways to
    /// connect an account.
    pub fn parse(json: &str) -> Result<Self, PackageError> {
        if json.len() > MAX_MANIFEST {
            return Err(PackageError::TooLarge {
                what: "manifest.json",
                size: json.len(),
                limit: MAX_MANIFEST,
            });
        }
        let invalid = |reason: String| PackageError::Manifest { reason };
        let raw: Raw = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        let id = SkillId::new(&raw.id).map_err(|error| invalid(error.to_string()))?;
        if raw.name.trim().is_empty() || raw.name.len() > 200 {
            return Err(invalid("`name` must hold 1 to 200 characters".to_owned()));
        }
        if let Some(runtime) = &raw.runtime
            && !matches!(runtime.as_str(), "v8" | "javascript" | "quickjs")
        {
            return Err(invalid(format!(
                "`runtime` is `{runtime}`, but only JavaScript skills can run"
            )));
        }
        let entry = raw.entry.unwrap_or_else(|| "index.js".to_owned());
        if !is_confined(&entry) {
            return Err(invalid(format!(
                "`entry` is `{entry}`, which is not a plain path inside the package"
            )));
        }
        let setup = raw.setup.unwrap_or_default();
        if setup.auth.as_ref().is_some_and(|auth| auth.modes.is_empty()) {
            return Err(invalid(
                "`setup.auth.modes` is empty; list at least one way to connect".to_owned(),
            ));
        }
        Ok(Self {
            id,
            name: raw.name,
            version: raw.version,
            description: raw.description,
            entry,
            memory_limit_mb: raw.memory_limit_mb.unwrap_or(MEMORY_MB.0).clamp(1, MEMORY_MB.1),
            auto_start: raw.auto_start,
            platforms: raw.platforms.unwrap_or_default(),
            setup,
            permissions: raw.permissions,
            compat: raw.compat.unwrap_or_default(),
        })
    }

    /// Whether the skill runs on the operating system this library was built for.
    #[must_use]
    pub fn supports_this_platform(&self) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|name| name == platform_name())
    }
}

/// The operating system, in the words of manifests and of `platform.os()`.
pub(crate) fn platform_name() -> &'static str {
    match std::env::consts::OS {
        "windows" => "windows",
        "macos" => "macos",
        "linux" => "linux",
        _ => "unknown",
    }
}

/// Whether a path is relative, forward-slashed and free of `.` and `..`, also by the rules of Windows.
pub(crate) fn is_confined(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 255
        && !path.contains(['\\', ':', '\0'])
        && path.split('/').all(|part| {
            !part.is_empty() && part != "." && part != ".." && !part.ends_with('.') && !part.ends_with(' ')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Manifest, PackageError> {
        Manifest::parse(json)
    }

    #[test]
    fn a_small_manifest_gets_the_defaults() {
        let manifest =
            parse(r#"{"id":"server-ping","name":"Ping","unknown":{"x":[1]},"tick_interval":5}"#).unwrap();
        assert_eq!(manifest.entry, "index.js");
        assert_eq!(manifest.memory_limit_mb, 64);
        assert!(manifest.permissions.is_none() && !manifest.auto_start && manifest.supports_this_platform());
    }

    #[test]
    fn memory_is_capped() {
        let manifest = parse(r#"{"id":"a","name":"A","memory_limit_mb":99999}"#).unwrap();
        assert_eq!(manifest.memory_limit_mb, 256);
    }

    #[test]
    fn entries_cannot_leave_the_package() {
        for entry in [
            "../x.js",
            "/etc/passwd",
            "a/../../b.js",
            "C:x.js",
            "a\\b.js",
            "",
            "./x.js",
            "a//b",
            "x.js. ",
            "a/..",
        ] {
            let json = serde_json::json!({"id": "a", "name": "A", "entry": entry}).to_string();
            assert!(parse(&json).is_err(), "{entry:?}");
        }
        assert_eq!(
            parse(r#"{"id":"a","name":"A","entry":"dist/main.js"}"#)
                .unwrap()
                .entry,
            "dist/main.js"
        );
    }

    #[test]
    fn what_cannot_run_is_refused() {
        for json in [
            "",
            "[]",
            "{",
            r#"{"name":"A"}"#,
            r#"{"id":"a_b","name":"A"}"#,
            r#"{"id":"a"}"#,
            r#"{"id":"a","name":"A","runtime":"python"}"#,
            r#"{"id":"a","name":"A","setup":{"auth":{"modes":[]}}}"#,
            r#"{"id":"a","name":"A","setup":{"auth":{"modes":[{"type":"magic"}]}}}"#,
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn permissions_are_read() {
        let manifest = parse(
            r#"{"id":"a","name":"A","permissions":{"net":[{"host":"api.example.com","methods":["GET"],"ports":[8443],"secret":"key"}],
                "env":["PRICES_URL"],"events":["tick"],"notify":true,"db":{"max_mb":8},"websocket":[],"tools":[]}}"#,
        )
        .unwrap();
        let permissions = manifest.permissions.unwrap();
        assert_eq!(permissions.net[0].ports, [8443]);
        assert_eq!(permissions.net[0].secret.as_deref(), Some("key"));
        assert!(permissions.notify);
    }
}
