use std::collections::BTreeSet;

use url::{Host, Url};

use crate::Manifest;

/// What the user allows one skill to do. Everything else is denied.
///
/// ```
/// use openhuman_skills::{Grant, Manifest};
/// let manifest = Manifest::parse(r#"{"id":"a","name":"A","permissions":{"net":[{"host":"api.example.com"}]}}"#)?;
/// let mut grant = Grant::from_manifest(&manifest);
/// grant.allow_private("127.0.0.1", 8080).allow_event("price:changed");
/// # Ok::<(), openhuman_skills::PackageError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Grant {
    pub(crate) hosts: Vec<HostRule>,
    pub(crate) private: BTreeSet<(String, u16)>,
    pub(crate) env: BTreeSet<String>,
    pub(crate) events: BTreeSet<String>,
    pub(crate) notify: bool,
}

/// A public host a skill may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    pattern: String,
    methods: Vec<String>,
    ports: Vec<u16>,
    http: bool,
    secret: Option<String>,
}

impl HostRule {
    /// Allows https on port 443 with every method, to one host name or, with `*.example.com`, to every name
    /// below it. A pattern that is not a host name matches nothing.
    #[must_use]
    pub fn new(host: &str) -> Self {
        let name = host.trim();
        // A bare `*` means every host; it must be written as such, not be what is left of something else.
        let pattern = match name.trim_end_matches('.') {
            "*" if name != "*" => String::new(),
            pattern => pattern.to_ascii_lowercase(),
        };
        Self {
            pattern,
            methods: Vec::new(),
            ports: Vec::new(),
            http: false,
            secret: None,
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

    /// Also allows http without encryption (port 80 unless ports are given).
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
        let scheme = secure || self.http;
        let name = match self.pattern.strip_prefix("*.") {
            Some(parent) => {
                !parent.is_empty()
                    && host
                        .strip_suffix(parent)
                        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            None => self.pattern == "*" || self.pattern == host,
        };
        let port = if self.ports.is_empty() {
            port == if secure { 443 } else { 80 }
        } else {
            self.ports.contains(&port)
        };
        scheme
            && name
            && port
            && (self.methods.is_empty() || self.methods.iter().any(|allowed| allowed == method))
    }

    pub(crate) fn secret_handle(&self) -> Option<&str> {
        self.secret.as_deref()
    }
}

impl From<&str> for HostRule {
    fn from(host: &str) -> Self {
        Self::new(host)
    }
}

impl Grant {
    /// Allows nothing but computing and the skill's own database.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What the manifest asks for, without private and loopback hosts: those need [`Grant::allow_private`].
    ///
    /// A manifest from before permissions existed gets the hosts of its `apiBaseUrl` entries and nothing else.
    /// The caller shows the result to the user before using it.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let mut grant = Self::none();
        if let Some(permissions) = &manifest.permissions {
            for wish in &permissions.net {
                let mut rule = HostRule::new(&wish.host)
                    .methods(wish.methods.iter().map(String::as_str))
                    .ports(wish.ports.iter().copied());
                rule.http = wish.http;
                rule.secret.clone_from(&wish.secret);
                grant.hosts.push(rule);
            }
            grant.env.extend(permissions.env.iter().cloned());
            grant.events.extend(permissions.events.iter().cloned());
            grant.notify = permissions.notify;
            return grant;
        }
        let setup = &manifest.setup;
        let legacy = setup
            .oauth
            .iter()
            .filter_map(|oauth| oauth.api_base_url.as_deref());
        let modes = setup
            .auth
            .iter()
            .flat_map(|auth| &auth.modes)
            .filter_map(|mode| mode.api_base_url.as_deref());
        for base in legacy.chain(modes) {
            if let Some(rule) = Url::parse(base).ok().as_ref().and_then(rule_for)
                && !grant.hosts.contains(&rule)
            {
                grant.hosts.push(rule);
            }
        }
        grant
    }

    /// Allows a public host.
    pub fn allow_host(&mut self, rule: impl Into<HostRule>) -> &mut Self {
        self.hosts.push(rule.into());
        self
    }

    /// Allows one host and port that may resolve to a private or loopback address, over https or http and with
    /// every method. This is the only way to reach such an address.
    pub fn allow_private(&mut self, host: &str, port: u16) -> &mut Self {
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        self.private.insert((host, port));
        self
    }

    /// Allows one environment value, read with `platform.env(name)`.
    pub fn allow_env(&mut self, name: &str) -> &mut Self {
        self.env.insert(name.to_owned());
        self
    }

    /// Allows one server event, or every event with `*`.
    pub fn allow_event(&mut self, name: &str) -> &mut Self {
        self.events.insert(name.to_owned());
        self
    }

    /// Allows notifications.
    pub fn allow_notify(&mut self) -> &mut Self {
        self.notify = true;
        self
    }

    pub(crate) fn receives(&self, event: &str) -> bool {
        self.events.contains(event) || self.events.contains("*")
    }
}

fn rule_for(url: &Url) -> Option<HostRule> {
    match (url.scheme(), url.host()) {
        ("https", Some(Host::Domain(name))) => {
            let rule = HostRule::new(name);
            Some(match url.port() {
                Some(port) => rule.ports([port]),
                None => rule,
            })
        }
        _ => None,
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
        assert!(!HostRule::new("*.").allows("GET", true, "example.com", 443));
    }

    #[test]
    fn methods_ports_and_http_narrow_or_widen() {
        let rule = HostRule::new("a.org").methods(["get"]).http().ports([8080]);
        assert!(rule.allows("GET", false, "a.org", 8080) && !rule.allows("POST", true, "a.org", 8080));
        assert!(!rule.allows("GET", true, "a.org", 443));
    }

    #[test]
    fn old_manifests_get_their_api_hosts_only() {
        let manifest = Manifest::parse(
            r#"{"id":"a","name":"A","setup":{"oauth":{"apiBaseUrl":"http://plain.example.com"},"auth":{"modes":[
                {"type":"managed","apiBaseUrl":"https://api.example.com/v1"},{"type":"text","apiBaseUrl":"https://127.0.0.1/"}]}}}"#,
        )
        .unwrap();
        assert_eq!(
            Grant::from_manifest(&manifest).hosts,
            [HostRule::new("api.example.com")]
        );
    }
}
