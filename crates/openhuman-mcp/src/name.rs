//! The names tools have for the outside.
//!
//! Clients are stricter than the specification: some accept only `[A-Za-z0-9_-]{1,64}`, and some put their
//! own prefix in front, which leaves 48 characters. So a name is `skillId__toolName` when that fits and
//! `prefix_<8 hex of sha256>` when it does not; the catalog keeps the reverse map.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

/// The longest name that is shown to a client.
pub const MAX_NAME: usize = 48;

/// What separates the toolset from the tool.
pub const SEPARATOR: &str = "__";

const HASH_DIGITS: usize = 8;
const MAX_ID_PART: usize = 24;

/// Splits a name at the first `__`. Both parts must be non-empty.
///
/// ```
/// use openhuman_mcp::name::split;
/// assert_eq!(split("gmail__send__now"), Some(("gmail", "send__now")));
/// assert_eq!(split("gmail_send"), None);
/// ```
pub fn split(name: &str) -> Option<(&str, &str)> {
    let (id, tool) = name.split_once(SEPARATOR)?;
    (!id.is_empty() && !tool.is_empty()).then_some((id, tool))
}

/// Names for the pairs of toolset id and tool name that have no [`direct`] one. They depend only on the set of
/// pairs and on what is taken, not on the order.
pub(crate) fn shorten<'a>(
    mut foreign: Vec<(&'a str, &'a str)>,
    is_taken: impl Fn(&str) -> bool,
) -> HashMap<(&'a str, &'a str), String> {
    foreign.sort_unstable();
    foreign.dedup();
    let mut given: HashSet<String> = HashSet::with_capacity(foreign.len());
    let mut names = HashMap::with_capacity(foreign.len());
    for (id, tool) in foreign {
        // Another round is needed only when 32 bits of hash and the prefix collide.
        let mut round = 0_u32;
        let name = loop {
            let candidate = hashed(id, tool, round);
            if !is_taken(&candidate) && given.insert(candidate.clone()) {
                break candidate;
            }
            round += 1;
        };
        names.insert((id, tool), name);
    }
    names
}

/// `skillId__toolName`, where that is a name every client takes. Without `_` in the id the first `__` decides, so two
/// direct names never meet.
pub(crate) fn direct(id: &str, tool: &str) -> Option<String> {
    is_direct(id, tool).then(|| format!("{id}{SEPARATOR}{tool}"))
}

/// Whether the pair has a [`direct`] name.
pub(crate) fn is_direct(id: &str, tool: &str) -> bool {
    !id.is_empty()
        && !tool.is_empty()
        && !id.contains('_')
        && id.len() + SEPARATOR.len() + tool.len() <= MAX_NAME
        && id.bytes().chain(tool.bytes()).all(is_name_byte)
}

fn hashed(id: &str, tool: &str, round: u32) -> String {
    let mut hash = Sha256::new();
    hash.update((id.len() as u64).to_be_bytes());
    hash.update(id);
    hash.update(tool);
    if round > 0 {
        hash.update(round.to_be_bytes());
    }
    let id: String = id
        .chars()
        .take(MAX_ID_PART)
        .map(|c| if c == '_' { '-' } else { plain(c) })
        .collect();
    let mut name = format!("{}{SEPARATOR}", if id.is_empty() { "tool" } else { &id });
    name.extend(
        tool.chars()
            .take(MAX_NAME - 1 - HASH_DIGITS - name.len())
            .map(plain),
    );
    name.push('_');
    for byte in hash.finalize().iter().take(HASH_DIGITS / 2) {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

fn plain(c: char) -> char {
    if c.is_ascii() && is_name_byte(c as u8) {
        c
    } else {
        '-'
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every pair's name, as the catalog gives it.
    fn assign(pairs: &[(&str, &str)]) -> Vec<String> {
        let direct: HashSet<String> = pairs.iter().filter_map(|(id, tool)| direct(id, tool)).collect();
        let foreign = pairs
            .iter()
            .copied()
            .filter(|(id, tool)| self::direct(id, tool).is_none());
        let short = shorten(foreign.collect(), |name| direct.contains(name));
        pairs
            .iter()
            .map(|pair| self::direct(pair.0, pair.1).unwrap_or_else(|| short[pair].clone()))
            .collect()
    }

    fn one(id: &str, tool: &str) -> String {
        assign(&[(id, tool)]).remove(0)
    }

    #[test]
    fn short_plain_names_stay_as_they_are() {
        assert_eq!(one("server-ping", "ping_now"), "server-ping__ping_now");
        assert_eq!(split("server-ping__ping_now"), Some(("server-ping", "ping_now")));
        assert_eq!(one("a", "_x"), "a___x");
        assert_eq!(split("a___x"), Some(("a", "_x")));
    }

    #[test]
    fn long_and_foreign_names_become_a_prefix_and_eight_digits() {
        let long = one("notion", "append_a_block_of_rich_text_to_the_given_page");
        assert_eq!(long.len(), MAX_NAME);
        assert!(
            long.starts_with("notion__append_a_block_of_rich_text_to_"),
            "{long}"
        );
        assert!(long[MAX_NAME - 8..].bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(split(&long).map(|(id, _)| id), Some("notion"));
        assert!(one("my_skill", "größe").starts_with("my-skill__gr--e_"));
        assert_eq!(one("", "").len(), "tool__".len() + 9);
    }

    #[test]
    fn a_tool_that_copies_a_mapped_name_does_not_take_it_over() {
        let mapped = one("a", "b c");
        let (_, copy) = split(&mapped).unwrap();
        let names = assign(&[("a", "b c"), ("a", copy)]);
        assert_eq!(names[1], mapped, "the exact name keeps its own name");
        assert_ne!(names[0], names[1]);
    }

    proptest! {
        #[test]
        fn names_are_valid_and_bijective(
            pairs in prop::collection::vec(("[a-c_\\-é]{0,4}|[a-z]{20,60}", "[a-c_\\- ]{0,4}|[a-z_]{30,70}|\\PC{0,6}"), 0..60),
        ) {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(id, tool)| (id.as_str(), tool.as_str())).collect();
            let names = assign(&pairs);
            let mut back: HashMap<&str, (&str, &str)> = HashMap::new();
            for (name, pair) in names.iter().zip(&pairs) {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME, "{name}");
                prop_assert!(name.bytes().all(is_name_byte), "{name}");
                prop_assert_eq!(*back.entry(name).or_insert(*pair), *pair);
            }
            let distinct: HashSet<_> = pairs.iter().collect();
            prop_assert_eq!(distinct.len(), back.len());

            let mut reversed = pairs.clone();
            reversed.reverse();
            let mut again = assign(&reversed);
            again.reverse();
            prop_assert_eq!(names, again, "the order of the input does not matter");
        }
    }
}
