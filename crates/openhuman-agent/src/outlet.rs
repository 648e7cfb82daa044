//! What the model writes, before it is shown: links and images are the way out for data that injected text wants.
//!
//! An image is fetched without anybody's doing, so only hosts of the policy may serve one. A link passes when it leads
//! to such a host or stands word for word in the conversation; one that the model put together may carry data. What
//! does not pass is written as plain words that lead nowhere. Raw HTML that loads or leads anywhere is made text.
//!
//! Text is cleaned word by word, since no URL holds white space; a word is held back until it is complete.

use crate::policy::Policy;

/// A word without white space that is longer than this is cleaned in pieces.
const LONGEST_WORD: usize = 16 * 1024;
/// An address that is longer is not shown.
const READABLE: usize = 100;
/// How far back the beginning of an image is looked for.
const LOOK_BACK: usize = 1024;

const TAGS: [&str; 22] = [
    "img", "a", "iframe", "script", "link", "form", "svg", "video", "audio", "object", "embed", "style",
    "base", "meta", "source", "track", "input", "picture", "image", "body", "table", "td",
];

/// Where text goes through.
pub(crate) struct Outlet<'a> {
    pub(crate) policy: &'a Policy,
    /// Whether a URL stands word for word in the conversation.
    pub(crate) known: &'a dyn Fn(&str) -> bool,
}

/// Text on its way out, between deltas.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Held {
    /// The word that is not complete yet.
    word: String,
    /// The rest of a word whose beginning was removed is left out.
    dropping: bool,
}

impl Outlet<'_> {
    /// Takes more text and gives what can be shown behind `shown`.
    pub(crate) fn push(&self, held: &mut Held, shown: &str, more: &str) -> String {
        // What is held has no white space, so only the new text can complete it.
        let new = more
            .char_indices()
            .rev()
            .find(|(_, c)| c.is_whitespace())
            .map(|(at, c)| at + c.len_utf8());
        let complete = new.map_or(0, |new| held.word.len() + new);
        held.word.push_str(more);
        let rest = held.word.split_off(complete);
        let words = std::mem::replace(&mut held.word, rest);
        let mut out = String::new();
        self.words(held, &words, shown, &mut out);
        if held.word.len() > LONGEST_WORD {
            let word = std::mem::take(&mut held.word);
            let before = out.len();
            self.word(held, &word, shown, &mut out);
            held.dropping = held.dropping || out.len() - before < word.len();
        }
        out
    }

    /// The end of the text.
    pub(crate) fn finish(&self, held: &mut Held, shown: &str) -> String {
        let words = std::mem::take(held);
        let mut out = String::new();
        let mut state = Held {
            dropping: words.dropping,
            ..Held::default()
        };
        self.words(&mut state, &words.word, shown, &mut out);
        out
    }

    fn words(&self, held: &mut Held, text: &str, shown: &str, out: &mut String) {
        for piece in text.split_inclusive(char::is_whitespace) {
            let word = piece.trim_end_matches(char::is_whitespace);
            self.word(held, word, shown, out);
            if word.len() < piece.len() {
                held.dropping = false;
                out.push_str(piece.get(word.len()..).unwrap_or_default());
            }
        }
    }

    fn word(&self, held: &mut Held, word: &str, shown: &str, out: &mut String) {
        if held.dropping || word.is_empty() {
            return;
        }
        if !suspicious(word) {
            out.push_str(word);
            return;
        }
        let word = without_tags(word);
        let mut cleaned = String::with_capacity(word.len());
        let mut rest = word.as_str();
        while let Some((start, end)) = find_url(rest, cleaned.is_empty()) {
            let (before, from) = rest.split_at(start);
            let (url, after) = from.split_at(end - start);
            cleaned.push_str(before);
            let context = [tail(shown), tail(out), cleaned.as_str()].concat();
            if self.passes(url, &context) {
                cleaned.push_str(url);
            } else {
                cleaned.push_str(&removed(url));
            }
            rest = after;
        }
        cleaned.push_str(rest);
        // Entities, backslashes and invisible characters can hide a URL that a renderer sees.
        let plain = unhidden(&cleaned);
        if plain != cleaned {
            let mut at = 0;
            while let Some((start, end)) = plain.get(at..).and_then(|rest| find_url(rest, at == 0)) {
                let url = plain.get(at + start..at + end).unwrap_or_default();
                if !self.passes(url, &plain[..at + start]) {
                    cleaned = removed(url);
                    break;
                }
                at += end;
            }
        }
        out.push_str(&cleaned);
    }

    fn passes(&self, url: &str, before: &str) -> bool {
        let Some(host) = host(url) else {
            return false;
        };
        if self.policy.knows_host(&host) {
            return true;
        }
        let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', '*', '_', '~']);
        !loads_by_itself(before) && (self.known)(url)
    }
}

fn tail(text: &str) -> &str {
    text.get(text.ceil_char_boundary(text.len().saturating_sub(LOOK_BACK))..)
        .unwrap_or_default()
}

/// Whether a URL behind `before` is an image or the definition of a reference, which may be an image's.
fn loads_by_itself(before: &str) -> bool {
    let before = before.trim_end_matches(['<', ' ']);
    if before.ends_with("]:") {
        return true;
    }
    let Some(text) = before.strip_suffix("](") else {
        return false;
    };
    let mut depth = 1;
    for (at, c) in text.char_indices().rev() {
        match c {
            ']' => depth += 1,
            '[' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(..at).is_some_and(|before| before.ends_with('!'));
        }
    }
    // Its beginning is out of sight.
    true
}

/// A quick look: most words hold nothing of this.
fn suspicious(word: &str) -> bool {
    word.bytes().any(|b| matches!(b, b'<' | b'&' | b'\\'))
        || word.contains("//")
        || word.contains("](")
        || word.contains(':')
        || word.len() >= 4 && word.to_ascii_lowercase().contains("www.")
}

/// Begins of a URL: a scheme with `://`, `//` where a destination begins, or `www.`. Gives the place in bytes.
fn find_url(text: &str, at_start: bool) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let end_of = |start: usize| {
        let rest = text.get(start..).unwrap_or_default();
        start
            + rest
                .find(|c: char| {
                    c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'' | ')' | ']' | '`' | '|')
                })
                .unwrap_or(rest.len())
    };
    let boundary = |at: usize| {
        at == 0 && at_start
            || at
                .checked_sub(1)
                .and_then(|before| bytes.get(before))
                .is_some_and(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'/' | b'.' | b'-' | b'_'))
    };
    let slashes = text.match_indices("//").find_map(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        if let Some(scheme) = before.strip_suffix(':') {
            let start = scheme
                .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
                .map_or(0, |at| at + scheme[at..].chars().next().map_or(1, char::len_utf8));
            return (start < scheme.len()).then(|| (start, end_of(at)));
        }
        let end = end_of(at);
        let looks_like_host = text.get(at + 2..end).is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_alphanumeric())
                && rest.split('/').next().is_some_and(|h| h.contains('.'))
        });
        (boundary(at) && looks_like_host).then_some((at, end))
    });
    let lower = text.to_ascii_lowercase();
    let www = lower
        .match_indices("www.")
        .find(|(at, _)| boundary(*at))
        .map(|(at, _)| (at, end_of(at)));
    match (slashes, www) {
        (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
        (found, other) => found.or(other),
    }
}

/// The host in lower case, without user name and port.
fn host(url: &str) -> Option<String> {
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next()?.to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

/// What stands for a URL that does not pass: words that nothing makes a link of again. A short address without any place
/// for data but its path stays readable, so that a person can decide to type it.
fn removed(url: &str) -> String {
    let host: String = host(url)
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .take(60)
        .collect();
    let host = host.replace('.', "[.]");
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let is_short =
        url.len() <= READABLE && !rest.contains('@') && path.chars().all(plain) && !path.contains("//");
    if is_short && !host.is_empty() && !rest.contains(['?', '#']) {
        format!("[link: {host}{path}]")
    } else {
        format!("[link removed: {host}]")
    }
}

/// Makes the `<` of HTML tags that load or lead somewhere a plain sign.
fn without_tags(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let name: String = after
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let tag = TAGS.iter().any(|tag| name.eq_ignore_ascii_case(tag));
        let behind = after
            .trim_start_matches('/')
            .get(name.len()..)
            .unwrap_or_default();
        // `<a` at the end of the word, `<a/..`, `<a>`; not an autolink like `<a.example/..>`.
        let is_tag = tag && (behind.is_empty() || behind.starts_with(['>', '/', '"', '\'']));
        out.push(if is_tag { '‹' } else { '<' });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The word as a renderer of Markdown understands it.
fn unhidden(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let mut step = c.len_utf8();
        match c {
            '\\' => {}
            '&' => {
                let end = rest.find(';').filter(|end| *end <= 12);
                let decoded = end.and_then(|end| entity(rest.get(1..end).unwrap_or_default()));
                match (decoded, end) {
                    (Some(decoded), Some(end)) => {
                        out.push(decoded);
                        step = end + 1;
                    }
                    _ => out.push(c),
                }
            }
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}') => {}
            c => out.push(c),
        }
        rest = rest.get(step..).unwrap_or_default();
    }
    out
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "colon" => ':',
        "sol" => '/',
        "period" => '.',
        "lpar" => '(',
        "rpar" => ')',
        "lsqb" | "lbrack" => '[',
        "rsqb" | "rbrack" => ']',
        "excl" => '!',
        "quest" => '?',
        "equals" => '=',
        "amp" => '&',
        "commat" => '@',
        "num" => '#',
        "Tab" | "NewLine" => ' ',
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
