//! What a script does, against what its manifest asks for.

use std::collections::BTreeSet;

use super::super::scan::Scan;
use super::{Finding, Level};
use crate::{HostRule, Manifest};

pub(super) fn permissions(manifest: &Manifest, found: &Scan, findings: &mut Vec<Finding>) {
    let Some(asked) = &manifest.permissions else {
        findings.push(
            Finding::new(Level::Note, "permissions", "the manifest has no `permissions`")
                .help("write `\"permissions\": {}` if the skill needs none"),
        );
        return;
    };
    let mut warn = |code, message: String| findings.push(Finding::new(Level::Warning, code, message));
    let rules: Vec<(&str, HostRule)> = asked
        .net
        .iter()
        .map(|net| (net.host.as_str(), HostRule::new(&net.host)))
        .collect();
    let sockets: Vec<(&str, HostRule)> = asked
        .websocket
        .iter()
        .map(|socket| (socket.host.as_str(), HostRule::new(&socket.host)))
        .collect();
    let covers = |rules: &[(&str, HostRule)], host: &str| {
        rules.iter().any(|(_, rule)| rule.allows("GET", true, host, 443))
    };
    for host in &found.hosts {
        if !covers(&rules, host) && !covers(&sockets, host) {
            warn(
                "permission-missing",
                format!("the script names the host {host}, which `permissions.net` does not list"),
            );
        }
    }
    for (pattern, rule) in rules.iter().chain(&sockets) {
        let used = found.hosts.iter().any(|host| rule.allows("GET", true, host, 443));
        // An address put together at run time cannot be seen.
        let unseen = found.dynamic_net && pattern.contains('*');
        if !used && !unseen {
            warn(
                "permission-unused",
                format!("the manifest asks for the host {pattern}, which the script never names"),
            );
        }
    }
    let handles: BTreeSet<&str> = asked.net.iter().filter_map(|net| net.secret.as_deref()).collect();
    for secret in &found.secrets {
        if !handles.contains(secret.as_str()) {
            warn(
                "permission-missing",
                format!(
                    "the script uses {{{{secret:{secret}}}}}, but no host in `permissions.net` has this `secret`"
                ),
            );
        }
    }
    for handle in handles {
        if !found.secrets.contains(handle) && found.secrets.is_empty() {
            warn(
                "permission-unused",
                format!("the script never uses the secret '{handle}'"),
            );
        }
    }
    for name in &found.env {
        if !asked.env.contains(name) {
            warn(
                "permission-missing",
                format!(
                    "the script reads the environment value {name}, which `permissions.env` does not list"
                ),
            );
        }
    }
    let wishes = [
        ("notify", asked.notify),
        ("websocket", !asked.websocket.is_empty()),
        ("model", asked.model),
        ("webhooks", asked.webhooks),
        ("tools", !asked.tools.is_empty()),
        ("memory.insert", asked.memory.insert),
    ];
    for (name, wish) in wishes {
        match (wish, found.uses.contains(name)) {
            (false, true) => warn(
                "permission-missing",
                format!("the script needs `permissions.{name}`, which the manifest does not ask for"),
            ),
            (true, false) => warn(
                "permission-unused",
                format!("the manifest asks for `permissions.{name}`, which the script never needs"),
            ),
            _ => {}
        }
    }
}
