//! What must not be remembered of what a skill publishes, and what is made unreadable.

/// Whole words of a key whose value is not looked at, with what they are called together.
const PRIVATE: [&str; 26] = [
    "token",
    "tokens",
    "secret",
    "secrets",
    "password",
    "passwords",
    "passphrase",
    "credential",
    "credentials",
    "oauth",
    "auth",
    "authorization",
    "apikey",
    "jwt",
    "cookie",
    "cookies",
    "bearer",
    "refresh",
    "access",
    "clientkey",
    "privatekey",
    "pin",
    "cvv",
    "iban",
    "ssn",
    "otp",
];

/// Two words that are private together.
const PRIVATE_PAIRS: [(&str, &str); 4] = [
    ("api", "key"),
    ("client", "key"),
    ("private", "key"),
    ("card", "number"),
];

/// The longest run of letters, digits, `-`, `_` and `.` that is not taken for a secret.
const LONGEST_WORD: usize = 31;

/// The words of a key: `accessToken` and `access-token` are `access`, `token`.
pub(super) fn key_words(key: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for letter in key.chars() {
        if letter.is_alphanumeric() {
            let starts = !before.is_alphanumeric() || (letter.is_uppercase() && before.is_lowercase());
            if starts || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(letter.to_lowercase());
            }
        }
        before = letter;
    }
    words
}

/// Whether the value of this key is private. Words are compared whole: `author` is not `auth`.
pub fn is_private_key(key: &str) -> bool {
    let words = key_words(key);
    words.iter().any(|word| PRIVATE.contains(&word.as_str()))
        || words
            .windows(2)
            .any(|pair| PRIVATE_PAIRS.contains(&(pair[0].as_str(), pair[1].as_str())))
}

/// A value as it may be remembered: without mail addresses and phone numbers. `None` when it looks like a secret.
pub fn redacted(value: &str) -> Option<String> {
    let lower = value.to_lowercase();
    if lower.contains("bearer ") || lower.contains("api_key") || has_secret(value) {
        return None;
    }
    Some(without_phones(&without_mail(value)))
}

fn has_secret(value: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    value
        .split(|letter: char| !is_part(letter))
        .any(|word| word.len() > LONGEST_WORD || is_jwt(word))
}

/// Three parts in base64, the first of which is an object.
fn is_jwt(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    parts.len() == 3 && word.starts_with("eyJ") && parts.iter().all(|part| part.len() >= 4)
}

fn without_mail(value: &str) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || "._%+-".contains(letter);
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('@') {
        let name = rest[..at]
            .char_indices()
            .rev()
            .take_while(|(_, letter)| is_part(*letter))
            .last();
        let host: &str = &rest[at + 1..];
        let length = host.find(|letter: char| !is_part(letter)).unwrap_or(host.len());
        let host = host[..length].trim_end_matches(['.', '-']);
        match name {
            Some((start, _)) if host.contains('.') => {
                out.push_str(&rest[..start]);
                out.push_str("[redacted-email]");
            }
            _ => out.push_str(&rest[..at + 1 + host.len()]),
        }
        rest = &rest[at + 1 + host.len()..];
    }
    out.push_str(rest);
    out
}

/// A phone number has 7 to 15 digits in groups, or begins with `+`. Dates, network addresses and plain numbers such
/// as those of orders stay.
fn without_phones(value: &str) -> String {
    let letters: Vec<char> = value.chars().collect();
    let mut out = String::with_capacity(value.len());
    let mut at = 0;
    while at < letters.len() {
        let before = at.checked_sub(1).map(|place| letters[place]);
        let free = before.is_none_or(|letter| !letter.is_alphanumeric() && !"_#-./:".contains(letter));
        match free.then(|| phone(&letters[at..])).flatten() {
            Some(length) => {
                out.push_str("[redacted-phone]");
                at += length;
            }
            None => {
                out.push(letters[at]);
                at += 1;
            }
        }
    }
    out
}

/// How many letters the phone number takes that begins here.
fn phone(letters: &[char]) -> Option<usize> {
    let first = *letters.first()?;
    if !(first == '+' || first == '(' || first.is_ascii_digit()) {
        return None;
    }
    let mut groups: Vec<usize> = Vec::new();
    let mut separators = String::new();
    let mut end = 0;
    let mut in_digits = false;
    for (place, letter) in letters.iter().enumerate() {
        if letter.is_ascii_digit() {
            if !in_digits {
                groups.push(0);
            }
            if let Some(group) = groups.last_mut() {
                *group += 1;
            }
            (in_digits, end) = (true, place + 1);
        } else if " -.()/".contains(*letter) || (place == 0 && *letter == '+') {
            // Two blanks, or a blank after a full stop, end a number.
            if place > end + 1 {
                break;
            }
            if in_digits {
                separators.push(*letter);
            }
            in_digits = false;
        } else {
            break;
        }
    }
    let next = letters.get(end);
    if next.is_some_and(|letter| letter.is_alphabetic() || "_:@".contains(*letter)) {
        return None;
    }
    let digits: usize = groups.iter().sum();
    let international = first == '+';
    let is_date = matches!(
        groups[..],
        [4, 2, 2] | [2, 2, 4] | [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 4]
    );
    let used = &separators[..separators.len().min(groups.len().saturating_sub(1))];
    let is_address = groups.len() == 4 && used == "..." && groups.iter().all(|group| *group <= 3);
    let grouped = groups.len() >= 3 || (groups.len() == 2 && (first == '(' || groups[0] >= 3) && digits >= 9);
    ((7..=15).contains(&digits) && (international || (grouped && !is_date && !is_address))).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_by_whole_words() {
        for key in [
            "token",
            "accessToken",
            "api_key",
            "apiKey",
            "X-Auth",
            "client-key",
            "refresh_token",
            "JWT",
            "APIKEY",
        ] {
            assert!(is_private_key(key), "{key}");
        }
        for key in [
            "author",
            "authors",
            "tokenizer",
            "secretary",
            "planet",
            "keyboard",
            "api",
            "key",
            "accessory",
            "",
        ] {
            assert!(!is_private_key(key), "{key}");
        }
    }

    #[test]
    fn secrets_are_not_kept() {
        let jwt = "eyJhbGciOi.eyJzdWIi.c2ln";
        for value in [
            "Bearer abc",
            "my api_key is x",
            &"a".repeat(32),
            jwt,
            "see 0123456789abcdef0123456789abcdef ok",
        ] {
            assert_eq!(redacted(value), None, "{value}");
        }
        assert_eq!(
            redacted("an ordinary sentence").as_deref(),
            Some("an ordinary sentence")
        );
    }

    #[test]
    fn mail_addresses_and_phone_numbers_are_made_unreadable() {
        for (value, expected) in [
            ("write to ada.l@example.co.uk.", "write to [redacted-email]."),
            ("a@b.c,d@e.f", "[redacted-email],[redacted-email]"),
            ("call +44 20 7946 0958 now", "call [redacted-phone] now"),
            ("call (555) 123-4567", "call [redacted-phone]"),
            (
                "555-123-4567 or 555.123.4568",
                "[redacted-phone] or [redacted-phone]",
            ),
            ("+15551234567", "[redacted-phone]"),
        ] {
            assert_eq!(redacted(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_only_looks_like_a_phone_number_stays() {
        for value in [
            "order 1234567890",
            "2024-05-01",
            "on 01.05.2024 at 10:30",
            "192.168.100.200",
            "ticket ABC-123-456-7890",
            "1.2.3",
            "12 345",
            "id 20240501123000",
            "@home at example.org",
            "#555-123-4567",
        ] {
            assert_eq!(redacted(value).as_deref(), Some(value));
        }
    }

    #[test]
    fn any_text_can_be_redacted() {
        for value in [
            "@",
            "a@",
            "@b.c",
            "+",
            "(((((",
            "1 2 3 4 5 6 7 8 9",
            "\u{661}\u{662}",
            "a@.-",
            "+ - + -",
        ] {
            let _ = redacted(value);
        }
    }
}
