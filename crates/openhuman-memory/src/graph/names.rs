//! One spelling for one name.

/// The longest name of an entity, value or predicate, in bytes.
pub const MAX_NAME_BYTES: usize = 512;

/// What two spellings of a name have in common: lower case, single spaces, no punctuation around it, no possessive.
/// Names with the same canonical form are the same entity.
pub fn canonical(name: &str) -> String {
    let lower = name.to_lowercase().replace('\u{2019}', "'");
    let words: Vec<&str> = lower
        .split_whitespace()
        .map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric() && !"+#".contains(letter)))
        .filter(|word| !word.is_empty())
        .collect();
    let joined = words.join(" ");
    joined.trim_end_matches("'s").to_owned()
}

/// A predicate as it is stored: words in upper case with underscores, `LIVES_IN`.
pub fn predicate(name: &str) -> String {
    let mut stored = String::with_capacity(name.len());
    for letter in name.trim().chars() {
        if letter.is_alphanumeric() {
            stored.extend(letter.to_uppercase());
        } else if !stored.is_empty() && !stored.ends_with('_') {
            stored.push('_');
        }
    }
    stored.trim_end_matches('_').to_owned()
}

/// The different words of a text in lower case, as both stores index them.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_meet() {
        assert_eq!(canonical("  Ada   LOVELACE, "), "ada lovelace");
        assert_eq!(canonical("Ada\u{2019}s"), "ada");
        assert_eq!(canonical("C++"), "c++");
        assert_ne!(canonical("Ada"), canonical("Adam"));
        assert_eq!(canonical(" ?! "), "");
    }

    #[test]
    fn predicates_have_one_form() {
        for spelling in ["lives in", "LIVES_IN", " lives-in "] {
            assert_eq!(predicate(spelling), "LIVES_IN");
        }
        assert_eq!(predicate("--"), "");
    }

    #[test]
    fn canonical_and_predicate_are_idempotent() {
        for name in ["Ada's", "'s", "x 's", "ŠÖ ß's", "a--b", "\u{130}stanbul"] {
            let once = canonical(name);
            assert_eq!(canonical(&once), once, "{name}");
            let once = predicate(name);
            assert_eq!(predicate(&once), once, "{name}");
        }
    }
}
