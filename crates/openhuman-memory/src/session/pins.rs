//! What must not be paraphrased: numbers, paths, addresses, identifiers, dates, error codes, instructions.

use serde::{Deserialize, Serialize};

use super::record::SessionRole;

/// Why something is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PinKind {
    /// The user asks for something to be done in a certain way.
    Instruction,
    /// A URL, an e-mail address, a network address.
    Address,
    /// A path of a file.
    Path,
    /// An identifier: of a commit, a ticket, an order.
    Identifier,
    /// An error code or an exit status.
    Error,
    /// A date or a time.
    Date,
    /// Any other number.
    Number,
}

/// Words that a compaction carries on as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Why.
    pub kind: PinKind,
    /// The sentence, or the part of it around what matters.
    pub text: String,
}

/// The longest pin, in bytes. A longer sentence is cut around what matters.
const LONGEST: usize = 240;

/// The most pins of one message. Tables of numbers belong into the original.
const PER_MESSAGE: usize = 24;

/// The most pins of one result of a tool.
const PER_RESULT: usize = 6;

/// The pins of a text, each once, in order. What a tool gave is pinned only where it reports a failure.
pub fn pins(role: SessionRole, text: &str) -> Vec<Pin> {
    let mut pins: Vec<Pin> = Vec::new();
    let limit = if role == SessionRole::Tool {
        PER_RESULT
    } else {
        PER_MESSAGE
    };
    for sentence in sentences(text) {
        let Some((kind, place)) = kind(role, sentence) else {
            continue;
        };
        let text = around(sentence, place);
        if pins.len() < limit && !pins.iter().any(|pin| pin.text == text) {
            pins.push(Pin {
                kind,
                text: text.to_owned(),
            });
        }
    }
    pins
}

/// The strongest reason to pin a sentence, and where it is.
fn kind(role: SessionRole, sentence: &str) -> Option<(PinKind, usize)> {
    let words = || {
        sentence.split_whitespace().map(|word| {
            let place = word.as_ptr() as usize - sentence.as_ptr() as usize;
            (place, bare(word))
        })
    };
    if role == SessionRole::Tool {
        let lower = sentence.to_lowercase();
        let failed = ["error", "failed", "fatal", "panicked", "exit code", "exit status"];
        return failed
            .iter()
            .find_map(|mark| lower.find(mark))
            .map(|place| (PinKind::Error, place));
    }
    if role == SessionRole::User && is_instruction(sentence) {
        return Some((PinKind::Instruction, 0));
    }
    words()
        .filter_map(|(place, word)| Some((atom(word)?, place)))
        .min_by_key(|(kind, _)| *kind)
}

/// What kind of thing a word is, if it must not be changed.
pub(crate) fn atom(word: &str) -> Option<PinKind> {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let has_letter = word.chars().any(char::is_alphabetic);
    if word.contains("://") || word.starts_with("www.") || is_mail(word) || is_ip(word) {
        return Some(PinKind::Address);
    }
    let is_drive = word.as_bytes().get(1..3) == Some(b":\\");
    let rooted = ["/", "./", "../", "~/"].iter().any(|root| word.starts_with(root)) && word.len() > 2;
    let named = word.contains('/')
        && has_letter
        && word
            .rsplit('/')
            .next()
            .is_some_and(|name| name.contains('.') && !name.ends_with('.'));
    if is_drive || rooted || named || is_file(word) {
        return Some(PinKind::Path);
    }
    if !has_digit {
        let shouting = word.len() > 5
            && word.contains('_')
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        return shouting.then_some(PinKind::Error);
    }
    if has_letter {
        let code = word
            .strip_prefix('E')
            .is_some_and(|rest| rest.len() >= 3 && rest.bytes().all(|b| b.is_ascii_digit()));
        if code {
            return Some(PinKind::Error);
        }
        let long = word.len() >= 5;
        let mixed = word
            .chars()
            .all(|letter| letter.is_alphanumeric() || "-_.:#".contains(letter));
        if long && mixed {
            return Some(PinKind::Identifier);
        }
        return Some(PinKind::Number);
    }
    let dashes = word.matches('-').count();
    let is_date = (dashes == 2
        || word.matches('.').count() == 2
        || word.matches('/').count() == 2
        || word.contains(':'))
        && word.len() >= 4;
    Some(if is_date { PinKind::Date } else { PinKind::Number })
}

fn is_mail(word: &str) -> bool {
    word.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.ends_with('.'))
}

fn is_ip(word: &str) -> bool {
    if word.len() > 2 && word.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let host = word.rsplit_once(':').map_or(word, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            host
        } else {
            word
        }
    });
    let host = host.split('/').next().unwrap_or(host);
    let host = host.trim_matches(['[', ']']);
    host.parse::<std::net::IpAddr>().is_ok() && host.len() > 2
}

/// `Cargo.toml`, `main.rs`.
fn is_file(word: &str) -> bool {
    const ENDINGS: [&str; 24] = [
        "rs", "toml", "json", "yaml", "yml", "md", "txt", "py", "js", "ts", "tsx", "html", "css", "sh",
        "sql", "csv", "log", "lock", "pdf", "png", "jpg", "conf", "env", "db",
    ];
    word.rsplit_once('.')
        .is_some_and(|(name, ending)| !name.is_empty() && ENDINGS.contains(&ending))
}

fn is_instruction(sentence: &str) -> bool {
    const FIRST: [&str; 22] = [
        "always", "never", "please", "remember", "don't", "do", "use", "make", "only", "avoid", "keep",
        "stop", "ensure", "write", "answer", "call", "prefer", "reply", "add", "remove", "run", "note",
    ];
    const INSIDE: [&str; 8] = [
        "you must",
        "you should",
        "must not",
        "do not",
        "don't ever",
        "from now on",
        "make sure",
        "never ",
    ];
    if sentence.trim_end().ends_with('?') {
        return false;
    }
    let lower = sentence.to_lowercase();
    let first = lower.split_whitespace().next().map(bare).unwrap_or_default();
    FIRST.contains(&first) || INSIDE.iter().any(|phrase| lower.contains(phrase))
}

/// A word without the punctuation around it.
fn bare(word: &str) -> &str {
    let word = word.trim_matches(|letter: char| "\"'`()[]{}<>,;!?*".contains(letter));
    word.trim_end_matches(['.', ':'])
}

/// Sentences end at `.`, `!` or `?` before a blank, and at line ends.
pub(crate) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .flat_map(|line| {
            let mut parts = Vec::new();
            let mut start = 0;
            for (at, letter) in line.char_indices() {
                let end = at + letter.len_utf8();
                if ".!?".contains(letter) && line[end..].starts_with(' ') {
                    parts.push(&line[start..end]);
                    start = end;
                }
            }
            parts.push(&line[start..]);
            parts
        })
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// At most [`LONGEST`] bytes around a place, cut at blanks where there are some.
fn around(sentence: &str, place: usize) -> &str {
    if sentence.len() <= LONGEST {
        return sentence;
    }
    let first = place.saturating_sub(LONGEST / 3);
    let start = if first == 0 {
        0
    } else {
        let from = ceil(sentence, first);
        sentence[from..]
            .find(' ')
            .map_or(from, |blank| (from + blank + 1).min(floor(sentence, place)))
    };
    let end = floor(sentence, (start + LONGEST).min(sentence.len()));
    let end = if end == sentence.len() {
        end
    } else {
        sentence[start..end].rfind(' ').map_or(end, |blank| start + blank)
    };
    sentence[start..end].trim()
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    while at < text.len() && !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_must_not_change() {
        use PinKind::{Address, Date, Error, Identifier, Number, Path};
        for (word, expected) in [
            ("https://x.org/a?b", Address),
            ("ada@example.org", Address),
            ("10.0.0.7:8443", Address),
            ("fe80::1", Address),
            ("/etc/hosts", Path),
            ("src/main.rs", Path),
            ("C:\\temp", Path),
            ("Cargo.toml", Path),
            ("JIRA-1234", Identifier),
            ("9f3c2ab", Identifier),
            ("E0308", Error),
            ("ERR_CONNECTION_RESET", Error),
            ("2024-05-01", Date),
            ("14:30", Date),
            ("42", Number),
            ("$3.50", Number),
            ("80%", Number),
        ] {
            assert_eq!(atom(word), Some(expected), "{word}");
        }
        for word in ["and", "either/or", "well-known", "e.g.", "U.S.", "TODO", "a/b"] {
            assert_eq!(atom(word), None, "{word}");
        }
    }

    #[test]
    fn sentences_are_pinned_whole() {
        let text = "We met by the sea. The server is 10.3.7.42:8443. Never push to main! Is it 5 o'clock?";
        let found = pins(SessionRole::User, text);
        let texts: Vec<&str> = found.iter().map(|pin| pin.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "The server is 10.3.7.42:8443.",
                "Never push to main!",
                "Is it 5 o'clock?"
            ]
        );
        assert_eq!(found[1].kind, PinKind::Instruction);
        assert_ne!(
            pins(SessionRole::Assistant, "Never push to main!")
                .first()
                .map(|pin| pin.kind),
            Some(PinKind::Instruction)
        );
    }

    #[test]
    fn results_of_tools_are_pinned_where_they_failed() {
        let text = "1 2 3\nerror[E0308]: mismatched types\n   4 5 6\nexit code: 101";
        let texts: Vec<String> = pins(SessionRole::Tool, text)
            .into_iter()
            .map(|pin| pin.text)
            .collect();
        assert_eq!(texts, ["error[E0308]: mismatched types", "exit code: 101"]);
    }

    #[test]
    fn long_sentences_are_cut_around_what_matters() {
        let sentence = format!("{} the port is 8443 {}", "ä b".repeat(300), "c ü".repeat(300));
        let found = pins(SessionRole::User, &sentence);
        assert!(
            found[0].text.contains("8443") && found[0].text.len() <= LONGEST,
            "{found:?}"
        );
    }
}
