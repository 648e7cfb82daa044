//! Where the credentials of a skill go, as its manifest says.
//!
//! A credential that is stored already follows the manifest: an update that names another address would take it
//! there. So such a move is a permission of its own, whatever hosts the skill may reach anyway.

use std::collections::BTreeSet;

use url::Url;

use super::{HostRule, Permission, PermissionKind};
use crate::Manifest;

/// Hosts and ports of the manifest's `apiBaseUrl` entries: where the credentials of the skill belong.
pub(crate) fn api_authorities(manifest: &Manifest) -> BTreeSet<(String, u16)> {
    let setup = &manifest.setup;
    let oauth = setup
        .oauth
        .iter()
        .filter_map(|oauth| oauth.api_base_url.as_deref());
    let modes = setup
        .auth
        .iter()
        .flat_map(|auth| &auth.modes)
        .filter_map(|mode| mode.api_base_url.as_deref());
    let authority = |base: &str| {
        let url = Url::parse(base).ok()?;
        Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
    };
    oauth.chain(modes).filter_map(authority).collect()
}

/// The places that `new` sends credentials to and `old` does not; all of them without an `old`.
pub(crate) fn new_destinations(old: Option<&Manifest>, new: &Manifest) -> Vec<Permission> {
    let before = old.map(api_authorities).unwrap_or_default();
    let moved = api_authorities(new)
        .into_iter()
        .filter(|authority| !before.contains(authority))
        .map(|(host, port)| {
            if port == 443 {
                host
            } else {
                format!("{host}:{port}")
            }
        });
    let (rules_before, rules) = (old.map(bound_rules).unwrap_or_default(), bound_rules(new));
    let opened = rules
        .iter()
        .filter(|rule| {
            let same_secret: Vec<HostRule> = rules_before
                .iter()
                .filter(|before| before.secret == rule.secret)
                .cloned()
                .collect();
            !rule.covered_by(&same_secret)
        })
        .map(HostRule::describe);
    moved
        .chain(opened)
        .map(|what| Permission::new(PermissionKind::Credentials, what))
        .collect()
}

/// The rules that name a secret.
fn bound_rules(manifest: &Manifest) -> Vec<HostRule> {
    let mut rules = super::Grant::from_manifest(manifest).hosts;
    rules.retain(|rule| rule.secret.is_some());
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(rest: &str) -> Manifest {
        Manifest::parse(&format!(r#"{{"id":"a","name":"A",{rest}}}"#)).unwrap()
    }

    fn found(old: Option<&str>, new: &str) -> Vec<String> {
        let old = old.map(manifest);
        new_destinations(old.as_ref(), &manifest(new))
            .into_iter()
            .map(|permission| permission.what)
            .collect()
    }

    #[test]
    fn a_credential_that_goes_elsewhere_is_found_whatever_hosts_are_granted() {
        let api = |base: &str| {
            format!(
                r#""permissions":{{"net":[{{"host":"*"}}]}},"setup":{{"auth":{{"modes":[{{"type":"text","apiBaseUrl":"{base}"}}]}}}}"#
            )
        };
        let one = api("https://api.a.org/v1");
        assert_eq!(found(None, &one), ["api.a.org"]);
        assert!(found(Some(&one), &one).is_empty());
        assert!(found(Some(&one), &api("https://api.a.org/v2")).is_empty());
        assert_eq!(found(Some(&one), &api("https://b.org/v1")), ["b.org"]);
        assert_eq!(
            found(Some(&one), &api("https://api.a.org:8443")),
            ["api.a.org:8443"]
        );
        let older = r#""setup":{"oauth":{"provider":"p","apiBaseUrl":"https://c.org"}}"#;
        assert_eq!(found(Some(&one), older), ["c.org"]);
    }

    #[test]
    fn a_secret_bound_to_a_host_that_was_reachable_without_it_is_found() {
        let net = |rules: &str| format!(r#""permissions":{{"net":[{rules}]}}"#);
        let plain = net(r#"{"host":"x.org"}"#);
        let bound = net(r#"{"host":"x.org","secret":"auth"}"#);
        assert_eq!(found(Some(&plain), &bound), ["x.org, with the secret `auth`"]);
        assert!(found(Some(&bound), &bound).is_empty());
        let other = net(r#"{"host":"x.org","secret":"other"}"#);
        assert_eq!(found(Some(&bound), &other).len(), 1);
        let wide = net(r#"{"host":"*.x.org","secret":"auth"}"#);
        let inside = net(r#"{"host":"a.x.org","secret":"auth","methods":["GET"]}"#);
        assert!(found(Some(&wide), &inside).is_empty());
        assert_eq!(found(Some(&inside), &wide).len(), 1);
    }
}
