//! Secrets a skill may use without ever seeing them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use url::Host;
use zeroize::Zeroizing;

use crate::SkillId;

/// A secret in the clear. It does not print, and its memory is wiped when it is dropped.
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// Takes the value over.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value, to be used at once and copied nowhere.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

impl From<String> for SecretValue {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl From<&str> for SecretValue {
    fn from(value: &str) -> Self {
        Self::new(value.to_owned())
    }
}

/// Where a secret is about to be sent: a host in its one form (lower case, no trailing dot, no brackets,
/// international names encoded) and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    host: String,
    port: u16,
}

impl Destination {
    /// Brings a host name or address into its one form. What is not a host becomes a destination nothing is
    /// bound to.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let host = canonical(host).unwrap_or_default();
        Self { host, port }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether a secret bound to `binding` may go here. A binding is `host` (port 443) or `host:port`; it
    /// names exactly one host, never those below it, and has no wildcard.
    #[must_use]
    pub fn is_bound_by(&self, binding: &str) -> bool {
        let (host, port) = match binding.rsplit_once(':') {
            // An IPv6 address without brackets has colons but no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
                Ok(port) => (host, port),
                Err(_) => return false,
            },
            _ => (binding, 443),
        };
        self.port == port && canonical(host).is_some_and(|host| host == self.host)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

fn canonical(host: &str) -> Option<String> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse::<std::net::Ipv6Addr>() {
        return Some(address.to_string());
    }
    match Host::parse(bare.strip_suffix('.').unwrap_or(bare)).ok()? {
        Host::Domain(name) if !name.ends_with('.') && !name.contains('*') => Some(name),
        Host::Domain(_) => None,
        address => Some(address.to_string()),
    }
}

/// The values behind the handles a skill sees as `{{secret:ID}}`.
///
/// A value is asked for only when a request is about to leave, after every check, and never enters JavaScript.
/// The methods are called on runtime threads and must not block.
pub trait Secrets: Send + Sync {
    /// The value of `handle` for this skill if it may be sent to this destination; `None` refuses the request.
    fn reveal(&self, skill: &SkillId, handle: &str, to: &Destination) -> Option<SecretValue>;

    /// Keeps a value a user entered for a skill (for example during its setup), bound to these destinations
    /// (see [`Destination::is_bound_by`]). A value stored before under this handle is replaced.
    ///
    /// # Errors
    /// When the store cannot keep it; the text says why. The default refuses: a store may be read-only.
    fn store(
        &self,
        skill: &SkillId,
        handle: &str,
        bindings: &[String],
        value: SecretValue,
    ) -> Result<(), String> {
        let _ = (skill, handle, bindings, value);
        Err("this host keeps no secrets for skills".to_owned())
    }

    /// Forgets a handle of a skill; it is no error when there is none.
    ///
    /// # Errors
    /// When the store cannot be written; the text says why.
    fn forget(&self, skill: &SkillId, handle: &str) -> Result<(), String> {
        let _ = (skill, handle);
        Ok(())
    }
}

/// Secrets held in memory, each for one skill and bound to some destinations.
#[derive(Default)]
pub struct MemorySecrets(Mutex<BTreeMap<(String, String), Kept>>);

struct Kept {
    bindings: Vec<String>,
    value: Zeroizing<String>,
}

impl MemorySecrets {
    /// Adds a secret that `skill` may send to `binding`, which is `host` (port 443) or `host:port`. A handle
    /// may be added again with the same value and another binding.
    #[must_use]
    pub fn with(self, skill: &SkillId, handle: &str, binding: &str, value: &str) -> Self {
        self.add(skill, handle, binding, value);
        self
    }

    fn add(&self, skill: &SkillId, handle: &str, binding: &str, value: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept
            .entry((skill.to_string(), handle.to_owned()))
            .or_insert(Kept {
                bindings: Vec::new(),
                value: Zeroizing::default(),
            });
        if *entry.value != value {
            entry.bindings.clear();
            entry.value = Zeroizing::new(value.to_owned());
        }
        entry.bindings.push(binding.to_owned());
    }
}

impl fmt::Debug for MemorySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "MemorySecrets({} redacted)", kept.len())
    }
}

impl Secrets for MemorySecrets {
    fn reveal(&self, skill: &SkillId, handle: &str, to: &Destination) -> Option<SecretValue> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(&(skill.to_string(), handle.to_owned()))?;
        let bound = kept.bindings.iter().any(|binding| to.is_bound_by(binding));
        bound.then(|| SecretValue::from(kept.value.as_str()))
    }

    fn store(
        &self,
        skill: &SkillId,
        handle: &str,
        bindings: &[String],
        value: SecretValue,
    ) -> Result<(), String> {
        let kept = Kept {
            bindings: bindings.to_vec(),
            value: value.0,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((skill.to_string(), handle.to_owned()), kept);
        Ok(())
    }

    fn forget(&self, skill: &SkillId, handle: &str) -> Result<(), String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(skill.to_string(), handle.to_owned()));
        Ok(())
    }
}

/// Checks that an implementation of [`Secrets`] keeps values apart as this crate relies on. Call it from a test
/// with a function that makes an empty store; the store must support [`Secrets::store`].
///
/// ```
/// openhuman_skills::secrets_conformance(openhuman_skills::MemorySecrets::default);
/// ```
///
/// # Panics
/// When a rule does not hold; the message names it.
pub fn secrets_conformance<S: Secrets>(make: impl Fn() -> S) {
    let skill = SkillId::new("first").unwrap_or_else(|_| unreachable!("the id is valid"));
    let other = SkillId::new("second").unwrap_or_else(|_| unreachable!("the id is valid"));
    let secrets = make();
    let store = |skill: &SkillId, handle: &str, bindings: &[&str], value: &str| {
        let bindings: Vec<_> = bindings.iter().map(|&binding| binding.to_owned()).collect();
        let stored = secrets.store(skill, handle, &bindings, SecretValue::from(value));
        assert_eq!(stored, Ok(()), "a value can be stored");
    };
    let reveal = |skill: &SkillId, handle: &str, host: &str, port: u16| {
        let value = secrets.reveal(skill, handle, &Destination::new(host, port));
        value.map(|value| value.expose().to_owned())
    };
    let is = |expected: &str| Some(expected.to_owned());
    store(
        &skill,
        "key",
        &["api.example.com", "[2606:4700::1111]:8443"],
        "s3cret ü",
    );
    store(&skill, "dev", &["127.0.0.1:8080", "Localhost.:81"], "local");
    store(&other, "key", &["api.example.com"], "another's");

    assert_eq!(
        reveal(&skill, "key", "api.example.com", 443),
        is("s3cret ü"),
        "the bound host gets the value"
    );
    assert_eq!(
        reveal(&skill, "key", "API.Example.COM.", 443),
        is("s3cret ü"),
        "case and a trailing dot do not matter"
    );
    assert_eq!(
        reveal(&skill, "key", "[2606:4700:0::1111]", 8443),
        is("s3cret ü"),
        "every binding counts"
    );
    assert_eq!(
        reveal(&skill, "dev", "127.0.0.1", 8080),
        is("local"),
        "a port can be bound"
    );
    assert_eq!(
        reveal(&skill, "dev", "localhost", 81),
        is("local"),
        "bindings are read without case"
    );
    assert_eq!(
        reveal(&other, "key", "api.example.com", 443),
        is("another's"),
        "each skill has its own"
    );
    for (handle, host, port, rule) in [
        ("key", "api.example.com", 80, "a binding without a port means 443"),
        (
            "key",
            "api.example.com",
            8443,
            "a binding without a port means 443",
        ),
        ("key", "x.api.example.com", 443, "a subdomain is another host"),
        ("key", "example.com", 443, "the parent domain is another host"),
        (
            "key",
            "evilapi.example.com",
            443,
            "a longer label is another host",
        ),
        (
            "key",
            "api.example.com.evil.org",
            443,
            "a longer name is another host",
        ),
        ("key", "api.example.com..", 443, "two trailing dots are no host"),
        ("key", "2606:4700::1111", 443, "the port of an address counts"),
        ("key", "2606:4700::1112", 8443, "another address is another host"),
        ("key", "", 443, "an empty host gets nothing"),
        ("key", "*", 443, "a wildcard is no host"),
        ("KEY", "api.example.com", 443, "handles are compared exactly"),
        ("key ", "api.example.com", 443, "handles are compared exactly"),
        ("", "api.example.com", 443, "an empty handle is unknown"),
        ("none", "api.example.com", 443, "an unknown handle has no value"),
        ("dev", "127.0.0.1", 443, "the bound port is the only one"),
        ("dev", "127.0.0.2", 8080, "another address is another host"),
    ] {
        assert_eq!(
            reveal(&skill, handle, host, port),
            None,
            "{rule}: `{handle}` to {host}:{port}"
        );
    }
    assert_eq!(
        reveal(&other, "dev", "127.0.0.1", 8080),
        None,
        "another skill's handle is unknown"
    );

    store(&skill, "key", &["new.example.com"], "second");
    assert_eq!(
        reveal(&skill, "key", "new.example.com", 443),
        is("second"),
        "storing again replaces the value"
    );
    assert_eq!(
        reveal(&skill, "key", "api.example.com", 443),
        None,
        "storing again replaces the bindings"
    );
    store(
        &skill,
        "wild",
        &[
            "*.example.com",
            "*",
            "",
            "api.example.com:x",
            "api.example.com:99999",
        ],
        "never",
    );
    for host in ["api.example.com", "example.com", "*.example.com", "a"] {
        assert_eq!(
            reveal(&skill, "wild", host, 443),
            None,
            "a pattern binds to nothing: {host}"
        );
    }
    assert_eq!(secrets.forget(&skill, "key"), Ok(()), "a value can be forgotten");
    assert_eq!(
        secrets.forget(&skill, "key"),
        Ok(()),
        "forgetting twice is no error"
    );
    assert_eq!(
        reveal(&skill, "key", "new.example.com", 443),
        None,
        "a forgotten value is gone"
    );
    assert_eq!(
        reveal(&other, "key", "api.example.com", 443),
        is("another's"),
        "forgetting one leaves the others"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_secrets_conform() {
        secrets_conformance(MemorySecrets::default);
    }

    #[test]
    fn nothing_prints_a_value() {
        let skill = SkillId::new("a").unwrap();
        let secrets = MemorySecrets::default().with(&skill, "k", "a.org", "hidden");
        let value = secrets
            .reveal(&skill, "k", &Destination::new("a.org", 443))
            .unwrap();
        assert_eq!(value.expose(), "hidden");
        assert!(!format!("{secrets:?} {value:?}").contains("hidden"));
    }

    #[test]
    fn destinations_are_shown_like_hosts() {
        assert_eq!(Destination::new("::1", 9).to_string(), "[::1]:9");
        assert_eq!(
            Destination::new("BÜCHER.example", 1).to_string(),
            "xn--bcher-kva.example:1"
        );
    }
}
