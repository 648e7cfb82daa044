//! Versions, as authors write them.

use std::cmp::Ordering;

use semver::Version;

/// How an offered version relates to the installed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VersionChange {
    /// Nothing is installed.
    New,
    /// The version is the same.
    Same,
    /// The offered version is newer.
    Newer,
    /// The offered version is older: whoever offers it may want an old mistake back.
    Older,
    /// The versions differ, and at least one is not a semantic version.
    Different,
}

impl VersionChange {
    pub(super) fn of(installed: Option<&str>, offered: Option<&str>) -> Self {
        match (
            installed.and_then(lenient),
            offered.and_then(lenient),
            installed == offered,
        ) {
            (Some(old), Some(new), _) => match new.cmp_precedence(&old) {
                Ordering::Greater => Self::Newer,
                Ordering::Less => Self::Older,
                Ordering::Equal if installed == offered => Self::Same,
                Ordering::Equal => Self::Different,
            },
            (_, _, true) => Self::Same,
            _ => Self::Different,
        }
    }
}

/// Whether a registry offers something newer: semantic versions are compared, others are newer when they differ.
///
/// ```
/// use openhuman_skills::registry::update_available;
/// assert!(update_available(Some("1.9.0"), Some("1.10.0")));
/// assert!(!update_available(Some("1.10.0"), Some("1.9.0")));
/// assert!(update_available(Some("spring"), Some("autumn")));
/// ```
#[must_use]
pub fn update_available(installed: Option<&str>, offered: Option<&str>) -> bool {
    offered.is_some()
        && matches!(
            VersionChange::of(installed, offered),
            VersionChange::Newer | VersionChange::Different
        )
}

/// A semantic version, also when it is written as `v1` or `1.2`.
fn lenient(text: &str) -> Option<Version> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if text.is_empty() || text.len() > 128 {
        return None;
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = 2_usize.checked_sub(numbers.matches('.').count())?;
    Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(missing))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semantic_versions_are_ordered_and_others_only_differ() {
        use VersionChange::{Different, Newer, Older, Same};
        for (old, new, expected) in [
            ("1.2.0", "1.10.0", Newer),
            ("1.10.0", "1.2.0", Older),
            ("1.0.0", "1.0.0", Same),
            ("v1", "1.0.1", Newer),
            ("1.2", "1.2.0", Different),
            ("1.0.0-beta.2", "1.0.0", Newer),
            ("1.0.0", "1.0.0-beta", Older),
            ("1.0.0+a", "1.0.0+b", Different),
            ("2024-05-01", "2024-06-01", Newer),
            ("spring", "autumn", Different),
            ("x", "x", Same),
            ("1.2.3.4", "1.2.3.5", Different),
            ("", "1.0.0", Different),
        ] {
            assert_eq!(VersionChange::of(Some(old), Some(new)), expected, "{old} {new}");
        }
        assert!(!update_available(Some("1.0.0"), None));
        assert!(update_available(None, Some("1.0.0")));
    }
}
