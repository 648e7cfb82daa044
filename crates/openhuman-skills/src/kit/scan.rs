//! What a script's text says about the permissions it needs. A rough look, for hints: bundles hide much.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

/// What was found in the scripts of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Hosts of addresses in strings.
    pub(super) hosts: BTreeSet<String>,
    /// Handles in `{{secret:HANDLE}}`.
    pub(super) secrets: BTreeSet<String>,
    /// Names in `platform.env("NAME")`.
    pub(super) env: BTreeSet<String>,
    /// Uses of the bridges that need a permission, by the permission's name.
    pub(super) uses: BTreeSet<&'static str>,
    /// Whether some address or name is put together at run time, so that absence proves nothing.
    pub(super) dynamic_net: bool,
}

#[expect(clippy::expect_used, reason = "constant patterns, compiled by a test")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

static HOST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b(?:https?|wss?)://([a-z0-9][a-z0-9.-]*\.[a-z][a-z0-9-]*|localhost|\d+(?:\.\d+){3})")
});
static SECRET: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{\{secret:([A-Za-z0-9_.-]{1,64})\}\}"));
static ENV: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"\b(?:platform|tauri)\.env\(\s*["'`]([A-Za-z0-9_]{1,64})["'`]"#));
static NET: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bfetch\s*\("));
/// A bridge and the permission it needs.
static USES: LazyLock<[(Regex, &str); 6]> = LazyLock::new(|| {
    [
        (pattern(r"\b(?:platform|tauri)\.notify\s*\("), "notify"),
        (pattern(r"\bnew\s+WebSocket\s*\("), "websocket"),
        (pattern(r"\bmodel\.(?:generate|summarize)\s*\("), "model"),
        (pattern(r"\bwebhook\.(?:register|createTunnel)\s*\("), "webhooks"),
        (pattern(r"\bskills\.callTool\s*\("), "tools"),
        (pattern(r"\bmemory\.insert\s*\("), "memory.insert"),
    ]
});

/// Looks through a script.
pub(super) fn scan(script: &str) -> Scan {
    let code = without_comments(script);
    let all = |regex: &Regex| -> BTreeSet<String> {
        let found = regex.captures_iter(&code);
        found
            .filter_map(|found| found.get(1))
            .map(|text| text.as_str().to_owned())
            .collect()
    };
    Scan {
        hosts: all(&HOST)
            .into_iter()
            .map(|host| host.to_ascii_lowercase())
            .collect(),
        secrets: all(&SECRET),
        env: all(&ENV),
        uses: USES
            .iter()
            .filter(|(regex, _)| regex.is_match(&code))
            .map(|(_, name)| *name)
            .collect(),
        dynamic_net: NET.is_match(&code),
    }
}

impl Scan {
    /// Adds what another script of the package has.
    pub(super) fn merge(&mut self, other: Self) {
        self.hosts.extend(other.hosts);
        self.secrets.extend(other.secrets);
        self.env.extend(other.env);
        self.uses.extend(other.uses);
        self.dynamic_net |= other.dynamic_net;
    }
}

/// The script without comments. Strings stay; what looks like a comment inside a string or a template is none.
fn without_comments(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    let mut rest = script.chars().peekable();
    let mut quote = None;
    let mut before = '\n';
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                out.push(c);
                out.extend(rest.next());
                continue;
            }
            (Some(end), _) if c == end || (c == '\n' && end != '`') => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            // `://` in a regular expression or after a colon is an address, not a comment.
            (None, '/') if rest.peek() == Some(&'/') && before != ':' && before != '\\' => {
                for c in rest.by_ref() {
                    if c == '\n' {
                        break;
                    }
                }
                out.push('\n');
                continue;
            }
            (None, '/') if rest.peek() == Some(&'*') => {
                rest.next();
                let mut star = false;
                for c in rest.by_ref() {
                    if star && c == '/' {
                        break;
                    }
                    star = c == '*';
                }
                out.push(' ');
                continue;
            }
            (None, _) => {}
        }
        before = c;
        out.push(c);
    }
    out
}

/// The known name that was probably meant, if one is close.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = 1 + name.chars().count() / 5;
    known
        .iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The number of letters to insert, delete, replace or swap.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut new = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&old, j + 1) + 1)
                .min(at(&new, j) + 1)
                .min(at(&old, j) + usize::from(left != right));
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(right) && b.get(j - 1) == Some(left);
            if swapped {
                best = best.min(at(&older, j - 1) + 1);
            }
            new.push(best);
        }
        older = std::mem::replace(&mut old, new);
    }
    old.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_and_comments_are_not() {
        let found = scan(
            r#"
            // see https://docs.example.org
            /* and https://wiki.example.org */
            const base = "https://API.example.com/v1"; // trailing https://x.example.org
            net.fetch(`wss://live.example.com:8443/${path}`, { headers: { authorization: 'Bearer {{secret:api_key}}' } });
            platform.env("BACKEND_URL"); platform.notify('a'); const url = 'it\'s // no comment https://in.example.com';
            new WebSocket(url); fetch("http://127.0.0.1:8080/");
            "#,
        );
        let hosts: Vec<&str> = found.hosts.iter().map(String::as_str).collect();
        assert_eq!(
            hosts,
            [
                "127.0.0.1",
                "api.example.com",
                "in.example.com",
                "live.example.com"
            ]
        );
        assert_eq!(found.secrets, BTreeSet::from(["api_key".to_owned()]));
        assert_eq!(found.env, BTreeSet::from(["BACKEND_URL".to_owned()]));
        assert_eq!(found.uses, BTreeSet::from(["notify", "websocket"]));
        assert!(found.dynamic_net && !scan("1 + 1").dynamic_net);
    }

    #[test]
    fn slips_of_the_finger_are_recognised() {
        let known = ["onCronTrigger", "onServerEvent", "init", "start", "stop"];
        assert_eq!(nearest("onCrontrigger", &known), Some("onCronTrigger"));
        assert_eq!(nearest("onCornTrigger", &known), Some("onCronTrigger"));
        assert_eq!(nearest("onServerEvents", &known), Some("onServerEvent"));
        assert_eq!(nearest("strat", &known), Some("start"));
        assert_eq!(nearest("search", &known), None);
        assert_eq!(nearest("stops", &known), Some("stop"));
    }
}
