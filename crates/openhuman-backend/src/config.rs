//! Settings of a backend from a file and the environment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openhuman_vault::Key;
use serde::Deserialize;

use crate::error::BackendError;
use crate::limits::Limits;
use crate::tls::TlsFiles;

/// Where a backend listens when nothing is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8787";

/// Settings of a backend. Read by [`BackendConfig::load`], used by
/// [`BackendBuilder::config`](crate::BackendBuilder::config).
///
/// ```toml
/// listen = "0.0.0.0:8787"
/// key_file = "/etc/openhuman/backend.key"   # 64 hexadecimal digits
/// redis = "redis://127.0.0.1:6379/0"
/// tls = { certificate = "/etc/openhuman/chain.pem", key = "/etc/openhuman/key.pem" }
///
/// [limits]
/// desktops = 4096
/// turns = 4
/// tool_deadline_s = 30
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BackendConfig {
    /// The address to listen on; [`DEFAULT_LISTEN`] when it is missing. `OPENHUMAN_BACKEND_LISTEN`.
    pub listen: Option<String>,
    /// Certificate and key; without them the backend speaks plain HTTP. `OPENHUMAN_BACKEND_TLS_CERT` and
    /// `OPENHUMAN_BACKEND_TLS_KEY`.
    pub tls: Option<TlsFiles>,
    /// A file with the key behind login tokens and sessions, as 64 hexadecimal digits; all instances need the same one.
    /// `OPENHUMAN_BACKEND_KEY_FILE`.
    pub key_file: Option<PathBuf>,
    /// The Redis server that instances share (feature `redis`). `OPENHUMAN_BACKEND_REDIS`.
    pub redis: Option<String>,
    /// How long a drain waits for running turns, in seconds; 30 when it is missing. `OPENHUMAN_BACKEND_DRAIN_S`.
    pub drain_s: Option<u64>,
    /// Limits that differ from the default.
    pub limits: LimitSettings,
}

/// Limits by name; what is missing keeps its default. See [`Limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitSettings {
    /// [`Limits::message_bytes`].
    pub message_bytes: Option<usize>,
    /// [`Limits::turns`].
    pub turns: Option<usize>,
    /// [`Limits::desktops`]. `OPENHUMAN_BACKEND_DESKTOPS`.
    pub desktops: Option<usize>,
    /// [`Limits::tools`].
    pub tools: Option<usize>,
    /// [`Limits::tool_deadline`], in seconds.
    pub tool_deadline_s: Option<u64>,
    /// [`Limits::session`], in seconds.
    pub session_s: Option<u64>,
    /// [`Limits::threads`].
    pub threads: Option<usize>,
}

impl BackendConfig {
    /// Reads `file` (TOML) when one is given, then the variables through `var`, which win.
    ///
    /// # Errors
    /// [`BackendError::Config`] with the setting, when the file cannot be read, has an unknown setting or a value of
    /// another kind, or when only one half of TLS is given.
    pub fn load(
        file: Option<&Path>,
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<BackendConfig, BackendError> {
        let wrong = |reason: String| BackendError::Config { reason };
        let mut config = match file {
            None => BackendConfig::default(),
            Some(path) => {
                let shown = path.display();
                let text =
                    std::fs::read_to_string(path).map_err(|error| wrong(format!("{shown}: {error}")))?;
                toml::from_str(&text).map_err(|error| wrong(format!("{shown}: {error}")))?
            }
        };
        let var = |name: &str| {
            let value = var(&format!("OPENHUMAN_BACKEND_{name}"));
            value
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let number = |name: &str| {
            let parse = |text: String| {
                let reason = format!("OPENHUMAN_BACKEND_{name} is `{text}`, which is no whole number");
                text.parse::<u64>().map_err(|_| wrong(reason))
            };
            var(name).map(parse).transpose()
        };
        config.listen = var("LISTEN").or(config.listen);
        config.key_file = var("KEY_FILE").map(PathBuf::from).or(config.key_file);
        config.redis = var("REDIS").or(config.redis);
        config.drain_s = number("DRAIN_S")?.or(config.drain_s);
        if let Some(desktops) = number("DESKTOPS")? {
            config.limits.desktops = usize::try_from(desktops).ok();
        }
        config.tls = match (var("TLS_CERT"), var("TLS_KEY")) {
            (None, None) => config.tls,
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: certificate.into(),
                key: key.into(),
            }),
            _ => {
                let reason =
                    "OPENHUMAN_BACKEND_TLS_CERT and OPENHUMAN_BACKEND_TLS_KEY belong together; set both";
                return Err(wrong(reason.to_owned()));
            }
        };
        Ok(config)
    }

    /// The address to listen on.
    pub fn listen(&self) -> &str {
        self.listen.as_deref().unwrap_or(DEFAULT_LISTEN)
    }

    /// How long a drain waits.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s.unwrap_or(30))
    }

    /// The limits: the default with what is set.
    pub fn limits(&self) -> Limits {
        let (set, default) = (&self.limits, Limits::default());
        Limits {
            message_bytes: set.message_bytes.unwrap_or(default.message_bytes),
            turns: set.turns.unwrap_or(default.turns),
            desktops: set.desktops.unwrap_or(default.desktops),
            tools: set.tools.unwrap_or(default.tools),
            tool_deadline: set
                .tool_deadline_s
                .map_or(default.tool_deadline, Duration::from_secs),
            session: set.session_s.map_or(default.session, Duration::from_secs),
            threads: set.threads.unwrap_or(default.threads),
            ..default
        }
    }

    /// The key in the key file; `None` when none is set.
    ///
    /// # Errors
    /// [`BackendError::Config`] when the file cannot be read or holds something else than 64 hexadecimal digits.
    pub fn key(&self) -> Result<Option<Key>, BackendError> {
        let Some(path) = &self.key_file else {
            return Ok(None);
        };
        let wrong = |reason: &dyn std::fmt::Display| BackendError::Config {
            reason: format!("key_file {}: {reason}", path.display()),
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let digits: Vec<u8> = text
            .trim()
            .chars()
            .filter_map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let mut bytes = [0u8; 32];
        if digits.len() != 64 || text.trim().len() != 64 {
            return Err(wrong(&"must hold 64 hexadecimal digits"));
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(Some(Key::from_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backend.toml");
        let text =
            "listen = \"0.0.0.0:1\"\nredis = \"redis://a\"\n[limits]\nturns = 9\ntool_deadline_s = 5\n";
        std::fs::write(&path, text).unwrap();
        let var = |name: &str| match name {
            "OPENHUMAN_BACKEND_LISTEN" => Some(" 127.0.0.1:2 ".to_owned()),
            "OPENHUMAN_BACKEND_DESKTOPS" => Some("7".to_owned()),
            "OPENHUMAN_BACKEND_REDIS" => Some(String::new()),
            _ => None,
        };
        let config = BackendConfig::load(Some(&path), var).unwrap();
        assert_eq!(config.listen(), "127.0.0.1:2");
        assert_eq!(config.redis.as_deref(), Some("redis://a"));
        let limits = config.limits();
        assert_eq!((limits.turns, limits.desktops), (9, 7));
        assert_eq!(limits.tool_deadline, Duration::from_secs(5));
        assert_eq!(limits.tools, Limits::default().tools);
        assert_eq!(
            BackendConfig::load(None, |_| None).unwrap().listen(),
            DEFAULT_LISTEN
        );
    }

    #[test]
    fn slips_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backend.toml");
        std::fs::write(&path, "lisen = \"x\"\n").unwrap();
        let error = BackendConfig::load(Some(&path), |_| None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("lisen") && error.contains("backend.toml"),
            "{error}"
        );
        let only = |wanted: &'static str| move |name: &str| (name == wanted).then(|| "x".to_owned());
        let half = BackendConfig::load(None, only("OPENHUMAN_BACKEND_TLS_CERT")).unwrap_err();
        assert!(half.to_string().contains("belong together"));
        let number = BackendConfig::load(None, only("OPENHUMAN_BACKEND_DRAIN_S")).unwrap_err();
        assert!(number.to_string().contains("no whole number"), "{number}");
    }

    #[test]
    fn a_key_file_holds_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            BackendConfig {
                key_file: Some(path.clone()),
                ..BackendConfig::default()
            }
            .key()
        };
        let digits = "0f".repeat(32);
        assert_eq!(
            with(&format!("{digits}\n")).unwrap().unwrap().expose()[..],
            [0x0f; 32]
        );
        for bad in ["", "0f0f", &digits[1..], &format!("{}zz", &digits[2..])] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }
}
