//! Where the account of each loaded skill may go, for the log that says so before it is handed out.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use openhuman_skills::{AuthKind, CredentialKind, Manifest, SkillId};
use url::Url;

/// The hosts of the accounts of loaded skills. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Destinations(Arc<RwLock<HashMap<SkillId, Hosts>>>);

#[derive(Debug, Default)]
struct Hosts {
    oauth: BTreeSet<String>,
    auth: BTreeSet<String>,
}

impl Destinations {
    /// Notes where a skill's accounts may go, as its manifest says.
    pub(crate) fn set(&self, manifest: &Manifest) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(manifest.id.clone(), Hosts::of(manifest));
    }

    /// The hosts in words: `for api.example.com`, or for which of them.
    pub(crate) fn named(&self, skill: &SkillId, kind: CredentialKind) -> String {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let hosts = all.get(skill).map(|hosts| match kind {
            CredentialKind::OAuth => &hosts.oauth,
            _ => &hosts.auth,
        });
        let names: Vec<&str> = hosts.into_iter().flatten().map(String::as_str).collect();
        match (names.as_slice(), kind) {
            ([], CredentialKind::OAuth) => "for the backend's connection".to_owned(),
            ([], _) => "for no host: the skill asks for none".to_owned(),
            (names, _) => format!("for {}", names.join(", ")),
        }
    }
}

impl Hosts {
    fn of(manifest: &Manifest) -> Self {
        let mut hosts = Self::default();
        let host = |base: &Option<String>| {
            let url = Url::parse(base.as_deref()?).ok()?;
            url.host_str().map(str::to_owned)
        };
        let setup = &manifest.setup;
        hosts
            .oauth
            .extend(setup.oauth.iter().filter_map(|oauth| host(&oauth.api_base_url)));
        for mode in setup.auth.iter().flat_map(|auth| &auth.modes) {
            let found = host(&mode.api_base_url);
            match mode.kind {
                AuthKind::Managed => hosts.oauth.extend(found),
                _ => hosts.auth.extend(found),
            }
        }
        // A host that the manifest binds a secret to, by name.
        let bound = manifest
            .permissions
            .iter()
            .flat_map(|permissions| &permissions.net);
        let bound = bound
            .filter(|wish| wish.secret.is_some())
            .map(|wish| wish.host.clone());
        hosts.auth.extend(bound);
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_an_account_are_those_the_manifest_binds_it_to() {
        let manifest = Manifest::parse(
            r#"{"id":"mail","name":"Mail","setup":{"auth":{"modes":[
                {"type":"managed","apiBaseUrl":"https://gmail.googleapis.com/gmail"},
                {"type":"text","apiBaseUrl":"https://api.mail.example/v1"}]}},
                "permissions":{"net":[{"host":"cdn.mail.example"},{"host":"upload.mail.example","secret":"token"}]}}"#,
        )
        .unwrap();
        let destinations = Destinations::default();
        destinations.set(&manifest);
        let named = |kind| destinations.named(&manifest.id, kind);
        assert_eq!(named(CredentialKind::OAuth), "for gmail.googleapis.com");
        assert_eq!(
            named(CredentialKind::Auth),
            "for api.mail.example, upload.mail.example"
        );
        let other = "other".parse().unwrap();
        assert!(
            destinations
                .named(&other, CredentialKind::Auth)
                .starts_with("for no host")
        );
    }
}
