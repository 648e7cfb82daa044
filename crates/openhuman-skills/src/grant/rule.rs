//! Rules that name hosts.

use serde::{Deserialize, Serialize};
use url::Host;

/// The methods a skill may use.
pub(crate) const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// A public host a skill may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostRule {
    pub(super) host: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ports: Vec<u16>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) http: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

impl HostRule {
    /// Allows https on port 443 with every method, to one host name or, with `*.example.com`, to every name
    /// below it. `*` alone is every public host. A pattern that is not a host name matches nothing.
    #[must_use]
    pub fn new(host: &str) -> Self {
        Self {
            host: pattern(host),
            ..Self::default()
        }
    }

    /// Limits the rule to these methods.
    #[must_use]
    pub fn methods<'a>(mut self, methods: impl IntoIterator<Item = &'a str>) -> Self {
        self.methods = methods.into_iter().map(str::to_ascii_uppercase).collect();
        self
    }

    /// Replaces the default port by these ports.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// Also allows http without encryption (port 80 unless ports are given). Secrets are never sent that way.
    #[must_use]
    pub fn http(mut self) -> Self {
        self.http = true;
        self
    }

    /// Names the only secret that may be sent to this host.
    #[must_use]
    pub fn secret(mut self, handle: &str) -> Self {
        self.secret = Some(handle.to_owned());
        self
    }

    pub(crate) fn allows(&self, method: &str, secure: bool, host: &str, port: u16) -> bool {
        let port = if self.ports.is_empty() {
            port == default_port(secure)
        } else {
            self.ports.contains(&port)
        };
        (secure || self.http)
            && port
            && names(&self.host, host)
            && (self.methods.is_empty() || self.methods.iter().any(|allowed| allowed == method))
    }

    pub(crate) fn secret_handle(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// Whether everything `other` allows is allowed by one of `rules`.
    pub(super) fn covered_by(&self, rules: &[Self]) -> bool {
        let every: Vec<String> = METHODS.map(str::to_owned).to_vec();
        let methods = if self.methods.is_empty() {
            &every
        } else {
            &self.methods
        };
        let schemes: &[bool] = if self.http { &[true, false] } else { &[true] };
        schemes.iter().all(|&secure| {
            let default = [default_port(secure)];
            let ports: &[u16] = if self.ports.is_empty() {
                &default
            } else {
                &self.ports
            };
            ports.iter().all(|&port| {
                methods.iter().all(|method| {
                    rules.iter().any(|rule| {
                        let secret = rule.secret.is_none() || rule.secret == self.secret;
                        secret
                            && pattern_covers(&rule.host, &self.host)
                            && rule.allows_at(method, secure, port)
                    })
                })
            })
        })
    }

    fn allows_at(&self, method: &str, secure: bool, port: u16) -> bool {
        let any = Self {
            host: "*".to_owned(),
            ..self.clone()
        };
        any.allows(method, secure, "", port)
    }

    /// What it allows, for people.
    pub(super) fn describe(&self) -> String {
        let mut text = match self.host.as_str() {
            "*" => "every public host".to_owned(),
            host => host.to_owned(),
        };
        if !self.ports.is_empty() {
            let ports: Vec<_> = self.ports.iter().map(u16::to_string).collect();
            text.push_str(&format!(", port {}", ports.join(" or ")));
        }
        if !self.methods.is_empty() {
            text.push_str(&format!(", only {}", self.methods.join(", ")));
        }
        if self.http {
            text.push_str(", also unencrypted");
        }
        if let Some(secret) = &self.secret {
            text.push_str(&format!(", with the secret `{secret}`"));
        }
        text
    }
}

impl From<&str> for HostRule {
    fn from(host: &str) -> Self {
        Self::new(host)
    }
}

/// A public host a skill may hold WebSocket connections to, always over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SocketRule {
    pub(super) host: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ports: Vec<u16>,
}

impl SocketRule {
    /// Allows `wss:` on port 443 to one host name or, with `*.example.com`, to every name below it.
    #[must_use]
    pub fn new(host: &str) -> Self {
        Self {
            host: pattern(host),
            ports: Vec::new(),
        }
    }

    /// Replaces the default port by these ports.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    pub(crate) fn allows(&self, host: &str, port: u16) -> bool {
        self.as_host().allows("GET", true, host, port)
    }

    pub(super) fn as_host(&self) -> HostRule {
        HostRule {
            host: self.host.clone(),
            ports: self.ports.clone(),
            methods: vec!["GET".to_owned()],
            ..HostRule::default()
        }
    }

    pub(super) fn describe(&self) -> String {
        HostRule {
            methods: Vec::new(),
            ..self.as_host()
        }
        .describe()
    }
}

impl From<&str> for SocketRule {
    fn from(host: &str) -> Self {
        Self::new(host)
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// A pattern in the one form hosts are compared in: lower case, no trailing dot, international names encoded.
/// Empty, which matches nothing, when it is not a host name.
fn pattern(text: &str) -> String {
    let text = text.trim();
    if text == "*" {
        return text.to_owned();
    }
    let (prefix, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    let name = name.trim_end_matches('.');
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<std::net::Ipv6Addr>() {
        return if prefix.is_empty() {
            address.to_string()
        } else {
            String::new()
        };
    }
    match Host::parse(name) {
        Ok(Host::Domain(name)) if !name.contains('*') => format!("{prefix}{}", name.trim_end_matches('.')),
        Ok(Host::Ipv4(address)) if prefix.is_empty() => address.to_string(),
        _ => String::new(),
    }
}

/// Whether a pattern names this host, which is in lower case and has no trailing dot.
fn names(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => {
            !parent.is_empty()
                && host
                    .strip_suffix(parent)
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        None => pattern == "*" || (!pattern.is_empty() && pattern == host),
    }
}

/// Whether every host of `narrow` is one of `wide`.
fn pattern_covers(wide: &str, narrow: &str) -> bool {
    if narrow.is_empty() || wide == "*" {
        return true;
    }
    match (wide.strip_prefix("*."), narrow.strip_prefix("*.")) {
        (Some(parent), Some(below)) => below == parent || names(wide, below),
        (None, Some(_)) => false,
        _ => names(wide, narrow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_labels() {
        let exact = HostRule::new("Api.Example.com.");
        assert!(exact.allows("GET", true, "api.example.com", 443));
        assert!(!exact.allows("GET", true, "xapi.example.com", 443));
        assert!(!exact.allows("GET", false, "api.example.com", 80));
        assert!(!exact.allows("GET", true, "api.example.com", 8443));
        let below = HostRule::new("*.example.com");
        assert!(below.allows("GET", true, "a.b.example.com", 443));
        for host in [
            "example.com",
            "evilexample.com",
            ".example.com",
            "example.com.evil.org",
        ] {
            assert!(!below.allows("GET", true, host, 443), "{host}");
        }
        assert!(HostRule::new("*").allows("GET", true, "example.com", 443));
        assert!(HostRule::new("bücher.example").allows("GET", true, "xn--bcher-kva.example", 443));
        assert!(HostRule::new("[2606:4700::1111]").allows("GET", true, "2606:4700::1111", 443));
        for nothing in [
            "*.",
            "*.*",
            "a*.org",
            "",
            "https://a.org",
            "a.org:8080",
            "a b.org",
            "*.1.1.1.1",
        ] {
            let rule = HostRule::new(nothing);
            for host in ["example.com", "a.org", "x.1.1.1.1", ""] {
                assert!(!rule.allows("GET", true, host, 443), "{nothing}: {host}");
            }
        }
    }

    #[test]
    fn methods_ports_and_http_narrow_or_widen() {
        let rule = HostRule::new("a.org").methods(["get"]).http().ports([8080]);
        assert!(rule.allows("GET", false, "a.org", 8080) && !rule.allows("POST", true, "a.org", 8080));
        assert!(!rule.allows("GET", true, "a.org", 443));
    }

    #[test]
    fn a_rule_is_covered_by_rules_that_allow_all_of_it() {
        let wide = [HostRule::new("*.a.org"), HostRule::new("b.org").methods(["GET"])];
        for covered in [
            HostRule::new("x.a.org"),
            HostRule::new("*.a.org").methods(["POST"]),
            HostRule::new("*.x.a.org").secret("k"),
            HostRule::new("b.org").methods(["GET"]),
        ] {
            assert!(covered.covered_by(&wide), "{covered:?}");
        }
        for wider in [
            HostRule::new("a.org"),
            HostRule::new("*"),
            HostRule::new("b.org"),
            HostRule::new("x.a.org").http(),
            HostRule::new("x.a.org").ports([443, 8443]),
        ] {
            assert!(!wider.covered_by(&wide), "{wider:?}");
        }
        let both = [
            HostRule::new("b.org").methods(["GET"]),
            HostRule::new("b.org").methods(["POST"]),
        ];
        assert!(HostRule::new("b.org").methods(["GET", "POST"]).covered_by(&both));
        let bound = [HostRule::new("b.org").secret("one")];
        assert!(
            !HostRule::new("b.org").secret("two").covered_by(&bound),
            "another secret"
        );
        assert!(!HostRule::new("b.org").covered_by(&bound), "any secret");
    }
}
