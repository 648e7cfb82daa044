//! What the user allows a skill to do.

mod credentials;
mod diff;
mod rule;
mod sealed;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

#[cfg(feature = "runtime")]
pub(crate) use credentials::api_authorities;
pub(crate) use credentials::new_destinations;
pub use diff::{GrantDiff, Permission, PermissionKind};
pub(crate) use rule::METHODS;
pub use rule::{HostRule, SocketRule};
pub use sealed::{Consent, SealedGrant};

use crate::Manifest;

/// The default and the ceiling of the database's and the data files' size, in MB.
const SIZE_MB: u64 = 256;
/// Environment values that no grant can open: they hold credentials of the host.
const NEVER_ENV: [&str; 1] = ["JWT_TOKEN"];
/// What skills from before permissions existed may read.
const LEGACY_ENV: [&str; 4] = ["BACKEND_URL", "VITE_BACKEND_URL", "NODE_ENV", "PLATFORM"];

/// What the user allows one skill to do. Everything else is denied.
///
/// It is plain data: compare two with [`Grant::difference`], store it with serde (usually as a
/// [`SealedGrant`], bound to the package), and change that of a running skill with
/// [`Engine::set_grant`](crate::Engine::set_grant).
///
/// ```
/// use openhuman_skills::{Grant, Manifest};
/// let manifest = Manifest::parse(r#"{"id":"a","name":"A","permissions":{"net":[{"host":"api.example.com"}]}}"#)?;
/// let mut grant = Grant::from_manifest(&manifest);
/// grant.allow_private("127.0.0.1", 8080).allow_event("price:changed");
/// assert_eq!(
///     Grant::none().difference(&grant).to_string(),
///     "+ reach api.example.com\n+ reach 127.0.0.1:8080 on this machine or network\n+ receive the event price:changed"
/// );
/// # Ok::<(), openhuman_skills::PackageError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grant {
    #[serde(rename = "net", skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<HostRule>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) private: BTreeSet<(String, u16)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) websocket: Vec<SocketRule>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) env: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) tools: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) events: BTreeSet<String>,
    #[serde(skip_serializing_if = "rule::is_false")]
    pub(crate) notify: bool,
    pub(crate) memory: MemoryAccess,
    #[serde(skip_serializing_if = "rule::is_false")]
    pub(crate) model: bool,
    #[serde(skip_serializing_if = "rule::is_false")]
    pub(crate) webhooks: bool,
    pub(crate) db: Size,
    pub(crate) data: Size,
}

/// What of the assistant's memory is open to a skill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MemoryAccess {
    pub(crate) insert: bool,
    pub(crate) recall: bool,
}

/// A size a skill may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Size {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_mb: Option<u64>,
}

impl Grant {
    /// Allows nothing but computing, and the skill's own database and data files.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What the manifest asks for, without private and loopback hosts: those need [`Grant::allow_private`].
    ///
    /// A manifest from before permissions existed gets the hosts of its `apiBaseUrl` entries, the harmless
    /// environment values and adding to the memory. [`Engine::proposed_grant`](crate::Engine::proposed_grant)
    /// adds the backend's host to that. The caller shows the result to the user before using it.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let Some(permissions) = &manifest.permissions else {
            return Self::legacy(manifest);
        };
        let hosts = permissions.net.iter().map(|wish| {
            let mut rule = HostRule::new(&wish.host)
                .methods(wish.methods.iter().map(String::as_str))
                .ports(wish.ports.iter().copied());
            rule.http = wish.http;
            rule.secret.clone_from(&wish.secret);
            rule
        });
        let sockets = permissions.websocket.iter();
        Self {
            hosts: hosts.collect(),
            private: BTreeSet::new(),
            websocket: sockets
                .map(|wish| SocketRule::new(&wish.host).ports(wish.ports.iter().copied()))
                .collect(),
            env: permissions.env.iter().cloned().collect(),
            tools: permissions.tools.iter().cloned().collect(),
            events: permissions.events.iter().cloned().collect(),
            notify: permissions.notify,
            memory: MemoryAccess {
                insert: permissions.memory.insert,
                recall: permissions.memory.recall,
            },
            model: permissions.model,
            webhooks: permissions.webhooks,
            db: Size {
                max_mb: permissions.db.max_mb,
            },
            data: Size {
                max_mb: permissions.data.max_mb,
            },
        }
    }

    fn legacy(manifest: &Manifest) -> Self {
        let mut grant = Self {
            env: LEGACY_ENV.map(str::to_owned).into(),
            ..Self::none()
        };
        grant.memory.insert = true;
        let setup = &manifest.setup;
        let oauth = setup
            .oauth
            .iter()
            .filter_map(|oauth| oauth.api_base_url.as_deref());
        let modes = setup.auth.iter().flat_map(|auth| &auth.modes);
        for base in oauth.chain(modes.filter_map(|mode| mode.api_base_url.as_deref())) {
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

    /// Allows one host and port that may resolve to a private or loopback address, over https, http, wss or ws
    /// and with every method. This is the only way to reach such an address.
    pub fn allow_private(&mut self, host: &str, port: u16) -> &mut Self {
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.');
        // In the form of `net::request::host_name`: `::0:1` and `0x7f.1` are written once.
        let host = match bare.parse::<std::net::Ipv6Addr>() {
            Ok(address) => address.to_string(),
            Err(_) => Host::parse(bare).map_or_else(|_| bare.to_ascii_lowercase(), |host| host.to_string()),
        };
        self.private.insert((host, port));
        self
    }

    /// Allows the host of a backend the user chose: a public host over https, or exactly this host and port when
    /// the address is http or that of this machine.
    pub fn allow_backend(&mut self, backend: &Url) -> &mut Self {
        match rule_for(backend) {
            Some(rule) => self.hosts.push(rule),
            None => {
                if let (Some(host), Some(port)) = (backend.host_str(), backend.port_or_known_default()) {
                    self.allow_private(host, port);
                }
            }
        }
        self
    }

    /// Allows WebSocket connections to a public host.
    pub fn allow_websocket(&mut self, rule: impl Into<SocketRule>) -> &mut Self {
        self.websocket.push(rule.into());
        self
    }

    /// Allows one environment value, read with `platform.env(name)`. The host's session token stays closed.
    pub fn allow_env(&mut self, name: &str) -> &mut Self {
        self.env.insert(name.to_owned());
        self
    }

    /// Allows one tool of another skill, as `skill.tool`, or `skill.*` for all of that skill.
    pub fn allow_tool(&mut self, name: &str) -> &mut Self {
        self.tools.insert(name.to_owned());
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

    /// Allows adding to the assistant's memory, and searching it.
    pub fn allow_memory(&mut self, insert: bool, recall: bool) -> &mut Self {
        self.memory.insert |= insert;
        self.memory.recall |= recall;
        self
    }

    /// Allows asking the language model.
    pub fn allow_model(&mut self) -> &mut Self {
        self.model = true;
        self
    }

    /// Allows receiving requests from outside.
    pub fn allow_webhooks(&mut self) -> &mut Self {
        self.webhooks = true;
        self
    }

    /// Limits the database, in MB. Default and ceiling: 256.
    pub fn limit_db(&mut self, mb: u64) -> &mut Self {
        self.db.max_mb = Some(mb);
        self
    }

    /// Limits the data files, in MB. Default and ceiling: 256.
    pub fn limit_data(&mut self, mb: u64) -> &mut Self {
        self.data.max_mb = Some(mb);
        self
    }

    /// What changes from this grant to `other`, for people and for deciding whether to ask.
    #[must_use]
    pub fn difference(&self, other: &Self) -> GrantDiff {
        GrantDiff {
            widened: diff::beyond(self, other),
            narrowed: diff::beyond(other, self),
        }
    }

    pub(crate) fn receives(&self, event: &str) -> bool {
        self.events.contains(event) || self.events.contains("*")
    }

    /// Whether the skill may write to the user's memory.
    #[must_use]
    pub fn allows_memory(&self) -> bool {
        self.memory.insert
    }

    pub(crate) fn may_read_env(&self, name: &str) -> bool {
        self.env.contains(name) && !NEVER_ENV.iter().any(|never| never.eq_ignore_ascii_case(name))
    }

    /// Whether `skill.tool` (or, as a wish, `skill.*`) may be called.
    pub(crate) fn may_call(&self, name: &str) -> bool {
        let all = name.split_once('.').map(|(skill, _)| format!("{skill}.*"));
        self.tools.contains(name) || all.is_some_and(|all| self.tools.contains(&all))
    }

    /// Whether any tool of a skill may be called.
    pub(crate) fn may_call_into(&self, skill: &str) -> bool {
        let target = |tool: &String| tool.split_once('.').is_some_and(|(target, _)| target == skill);
        self.tools.iter().any(target)
    }

    pub(crate) fn db_mb(&self) -> u64 {
        self.db.max_mb.unwrap_or(SIZE_MB).min(SIZE_MB)
    }

    pub(crate) fn data_mb(&self) -> u64 {
        self.data.max_mb.unwrap_or(SIZE_MB).min(SIZE_MB)
    }
}

fn rule_for(url: &Url) -> Option<HostRule> {
    match (url.scheme(), url.host()) {
        ("https", Some(Host::Domain(name))) if name != "localhost" && !name.ends_with(".localhost") => {
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
    fn old_manifests_get_their_api_hosts_only() {
        let manifest = Manifest::parse(
            r#"{"id":"a","name":"A","setup":{"oauth":{"apiBaseUrl":"http://plain.example.com"},"auth":{"modes":[
                {"type":"managed","apiBaseUrl":"https://api.example.com/v1"},{"type":"text","apiBaseUrl":"https://127.0.0.1/"}]}}}"#,
        )
        .unwrap();
        let grant = Grant::from_manifest(&manifest);
        assert_eq!(grant.hosts, [HostRule::new("api.example.com")]);
        assert!(
            grant.private.is_empty() && grant.may_read_env("BACKEND_URL") && !grant.may_read_env("JWT_TOKEN")
        );
        let mut grant = Grant::none();
        grant.allow_backend(&Url::parse("https://api.backend.example/v2").unwrap());
        grant.allow_backend(&Url::parse("http://127.0.0.1:8080/").unwrap());
        assert_eq!(grant.hosts, [HostRule::new("api.backend.example")]);
        assert!(grant.private.contains(&("127.0.0.1".to_owned(), 8080)));
        grant.allow_env("JWT_TOKEN");
        assert!(!grant.may_read_env("JWT_TOKEN"));
    }

    #[test]
    fn every_kind_of_permission_is_read_compared_and_stored() {
        let manifest = Manifest::parse(
            r#"{"id":"a","name":"A","permissions":{"net":[{"host":"api.example.com","methods":["GET"],"ports":[443,8443],
                "secret":"key"}],"websocket":[{"host":"live.example.com"}],"env":["MODE"],"tools":["mail.send","notes.*"],
                "events":["tick"],"notify":true,"model":true,"webhooks":true,"memory":{"insert":true,"recall":true},
                "db":{"max_mb":8},"data":{"max_mb":4}}}"#,
        )
        .unwrap();
        let grant = Grant::from_manifest(&manifest);
        let mut base = Grant::none();
        base.limit_db(1).limit_data(1);
        let diff = base.difference(&grant);
        assert_eq!(
            diff.to_string(),
            "+ reach api.example.com, port 443 or 8443, only GET, with the secret `key`\n\
             + stay connected to live.example.com\n+ call the tool mail.send\n+ call the tool notes.*\n\
             + read the setting MODE\n+ receive the event tick\n+ show notifications\n+ add to the memory\n\
             + search the memory\n+ ask the language model\n+ receive requests from outside\n\
             + keep a database of up to 8 MB\n+ keep files of up to 4 MB"
        );
        let back = grant.difference(&base);
        assert_eq!((back.widened.len(), back.narrowed.len()), (0, diff.widened.len()));
        assert!(grant.difference(&grant.clone()).is_empty());
        let stored = serde_json::to_string(&grant).unwrap();
        assert_eq!(serde_json::from_str::<Grant>(&stored).unwrap(), grant);
        assert!(grant.may_call("notes.add") && grant.may_call("mail.send") && !grant.may_call("mail.delete"));
        assert!(!grant.may_call("*") && !Grant::none().may_call("a.b"));
    }

    #[test]
    fn an_unknown_or_missing_field_of_a_stored_grant_grants_nothing() {
        let grant: Grant = serde_json::from_str(r#"{"root":true,"memory":{"erase":true}}"#).unwrap();
        assert_eq!(grant, Grant::none());
    }

    #[test]
    fn a_grant_serves_only_the_content_it_was_given_for() {
        let mut grant = Grant::none();
        grant
            .allow_host("api.example.com")
            .allow_private("127.0.0.1", 1234);
        let sealed = SealedGrant::new("one", grant.clone());
        assert!(sealed.open("two").is_none());
        // The manifest asks for less: no question, and what the user granted by hand stays.
        let narrower = sealed.rebind("two", &Grant::none()).unwrap();
        assert_eq!(narrower.open("two").unwrap().private, grant.private);
        assert!(narrower.open("two").unwrap().hosts.is_empty());
        let mut wider = grant.clone();
        wider.allow_host("*");
        let consent = sealed.rebind("two", &wider).unwrap_err();
        assert_eq!(consent.difference().widened.len(), 1);
        assert_eq!(consent.give().open("two").unwrap().hosts.len(), 2);
        let stored = serde_json::to_string(&sealed).unwrap();
        assert_eq!(serde_json::from_str::<SealedGrant>(&stored).unwrap(), sealed);
    }
}
