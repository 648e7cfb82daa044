use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// The longest skill id, in bytes.
const MAX_LEN: usize = 64;

/// Names that Windows reserves for devices; a skill id becomes a directory name.
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The identifier of a skill: lower-case letters, digits and single hyphens, at most 64 bytes.
///
/// An id is part of a tool's full name (`skillId__toolName`) and of paths, so it holds no underscore,
/// no dot and no separator, and is never a name that Windows reserves for a device.
///
/// ```
/// use openhuman_skills::SkillId;
/// assert_eq!("price-feed".parse::<SkillId>()?.as_str(), "price-feed");
/// assert!("../other".parse::<SkillId>().is_err());
/// # Ok::<(), openhuman_skills::InvalidSkillId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SkillId(String);

/// A text that is not a skill id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a skill id: use lower-case letters, digits and single hyphens, at most 64 characters, for example `price-feed`"
)]
pub struct InvalidSkillId {
    text: String,
}

impl SkillId {
    /// Parses an id.
    ///
    /// # Errors
    /// [`InvalidSkillId`] when the text breaks one of the rules above.
    pub fn new(text: &str) -> Result<Self, InvalidSkillId> {
        let shape = !text.is_empty()
            && text.len() <= MAX_LEN
            && text.split('-').all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            });
        let device = RESERVED.contains(&text)
            || (text.len() == 4
                && (text.starts_with("com") || text.starts_with("lpt"))
                && text.ends_with(|last: char| last.is_ascii_digit()));
        if shape && !device {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSkillId {
                text: text.chars().take(80).collect(),
            })
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SkillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SkillId {
    type Err = InvalidSkillId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<&str> for SkillId {
    type Error = InvalidSkillId;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl AsRef<str> for SkillId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for SkillId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kebab_case_is_an_id() {
        for good in ["a", "notes", "price-feed", "x2-y3", "0day"] {
            assert!(SkillId::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in [
            "", "-", "a-", "-a", "a--b", "A", "a_b", "a.b", "..", "../x", "a/b", "a\\b", "C:", "con", "aux",
            "com1", "lpt9", "a b", "é", "a\0", &long,
        ] {
            assert!(SkillId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn serde_refuses_what_parse_refuses() {
        assert!(serde_json::from_str::<SkillId>("\"../x\"").is_err());
        assert_eq!(
            serde_json::to_string(&SkillId::new("a-b").unwrap()).unwrap(),
            "\"a-b\""
        );
    }
}
