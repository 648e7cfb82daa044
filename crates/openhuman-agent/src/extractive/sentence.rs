//! Sentences of a paragraph, as they are quoted: on one line, without Markdown's inline marks.

/// The longest quote, in characters.
pub(super) const MAX_CHARS: usize = 300;
/// How far the parts of a link are looked for, in bytes.
const LINK_BYTES: usize = 600;

/// Words that end with a point inside a sentence.
const ABBREVIATIONS: &[&str] = &[
    "approx", "art", "bzw", "ca", "capt", "cf", "dr", "ed", "etc", "fig", "inc", "jr", "ltd", "mr", "mrs",
    "ms", "no", "nr", "p", "pp", "prof", "sr", "sra", "st", "usw", "vol", "vs", "abs", "evtl", "ggf", "inkl",
    "mme",
];

/// How the names of months start, after a day's number with a point.
const MONTHS: &[&str] = &[
    "jan", "feb", "mär", "mar", "apr", "mai", "may", "jun", "jul", "aug", "sep", "okt", "oct", "nov", "dez",
    "dec",
];

/// The sentences of a paragraph in which `\n` always ends one. A sentence that is too long to be quoted comes in
/// pieces, with an ellipsis where it was cut.
pub(super) fn split(paragraph: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in paragraph.lines() {
        let line = plain(line);
        let mut start = 0;
        let mut chars = line.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if !matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？') {
                continue;
            }
            let mut end = at + c.len_utf8();
            while let Some((at, next)) = chars.next_if(|(_, next)| {
                matches!(
                    next,
                    '.' | '!' | '?' | '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '」' | '』'
                )
            }) {
                end = at + next.len_utf8();
            }
            let (before, after) = (
                line.get(start..at).unwrap_or_default(),
                line.get(end..).unwrap_or_default(),
            );
            let wide = matches!(c, '。' | '！' | '？');
            if wide || (after.starts_with(' ') && !goes_on(c, before, after.trim_start())) {
                push(line.get(start..end).unwrap_or_default(), &mut out);
                start = end;
            }
        }
        push(line.get(start..).unwrap_or_default(), &mut out);
    }
    out
}

/// Whether the mark is inside a sentence, by the words around it.
fn goes_on(mark: char, before: &str, after: &str) -> bool {
    if after.chars().next().is_some_and(char::is_lowercase) {
        return mark == '.' || mark == '…';
    }
    if mark != '.' {
        return false;
    }
    let word = before.rsplit(' ').next().unwrap_or_default();
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let lower: String = word.chars().take(12).flat_map(char::to_lowercase).collect();
    let is_day = (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    let month: String = after.chars().take(3).flat_map(char::to_lowercase).collect();
    ABBREVIATIONS.contains(&lower.as_str())
        || (word.chars().count() == 1 && word.chars().all(char::is_uppercase) && word != "I")
        || (word.contains('.') && word.len() <= 6 && word.chars().all(|c| c == '.' || c.is_alphabetic()))
        || (is_day && MONTHS.contains(&month.as_str()))
}

/// Adds a sentence, in pieces of at most [`MAX_CHARS`].
fn push(sentence: &str, out: &mut Vec<String>) {
    let mut rest = sentence.trim();
    let mut lead = "";
    while rest.contains(char::is_alphanumeric) {
        let Some((limit, _)) = rest.char_indices().nth(MAX_CHARS) else {
            out.push(format!("{lead}{rest}"));
            return;
        };
        let head = rest.get(..limit).unwrap_or_default();
        // A word so long that it takes half of the piece is cut itself.
        let cut = head
            .rfind(' ')
            .filter(|space| *space > limit / 2)
            .unwrap_or(limit);
        let (piece, tail) = rest.split_at(cut);
        if piece.contains(char::is_alphanumeric) {
            out.push(format!(
                "{lead}{} …",
                piece.trim_end_matches([' ', ',', ';', ':'])
            ));
        }
        rest = tail.trim_start();
        lead = "… ";
    }
}

/// A text on one line: emphasis, code marks and links reduced to their words, control characters to spaces.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_code = false;
    let mut before = ' ';
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(c) = rest.chars().next() else { break };
        let next = rest.chars().nth(1).unwrap_or(' ');
        at += c.len_utf8();
        match c {
            '`' => in_code = !in_code,
            '*' | '_' if !in_code && is_emphasis(c, before, rest) => {}
            '~' if !in_code && (next == '~' || before == '~') => {}
            '!' if !in_code && next == '[' && link(rest.get(1..).unwrap_or_default()).is_some() => {}
            '[' if !in_code => match link(rest) {
                Some((words, length)) => {
                    push_clean(words, &mut out);
                    at += length - 1;
                }
                None => out.push(c),
            },
            '\\' if !in_code && next.is_ascii_punctuation() => {
                out.push(next);
                at += 1;
            }
            _ => push_clean(rest.get(..c.len_utf8()).unwrap_or_default(), &mut out),
        }
        before = c;
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds a text without what could not be seen, or could mislead a terminal.
pub(super) fn push_clean(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\u{feff}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{ad}' => {}
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.push(' '),
            c => out.push(c),
        }
    }
}

/// Whether a mark is emphasis: it stands at one side of a word, not between spaces nor inside a name.
fn is_emphasis(mark: char, before: char, rest: &str) -> bool {
    let next = rest.chars().nth(1).unwrap_or(' ');
    if next == mark || before == mark {
        // Two marks; the name `a__b` keeps its own.
        return mark == '*'
            || !before.is_alphanumeric()
            || !rest.trim_start_matches('_').starts_with(char::is_alphanumeric);
    }
    let between_spaces = before.is_whitespace() && next.is_whitespace();
    let inside_a_name = before.is_alphanumeric() && next.is_alphanumeric();
    !(between_spaces || inside_a_name)
}

/// The words of `[words](address)` or `[[note|words]]` at the start of a text, and the length of it all in bytes.
fn link(text: &str) -> Option<(&str, usize)> {
    let mut window = text.len().min(LINK_BYTES);
    while !text.is_char_boundary(window) {
        window -= 1;
    }
    let text = text.get(..window)?;
    if let Some(inner) = text.strip_prefix("[[") {
        let (inner, _) = inner.split_once("]]")?;
        let words = inner.rsplit('|').next().unwrap_or(inner);
        return Some((words, inner.len() + 4));
    }
    let (words, address) = text.strip_prefix('[')?.split_once("](")?;
    let (address, _) = address.split_once(')')?;
    Some((words, words.len() + address.len() + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_a_reader_would_end_them() {
        assert_eq!(
            split("It costs 1.5 ETH. Is it much? No!"),
            ["It costs 1.5 ETH.", "Is it much?", "No!"]
        );
        assert_eq!(
            split("Ask Dr. Smith, e.g. on Monday. J. Doe knows."),
            ["Ask Dr. Smith, e.g. on Monday.", "J. Doe knows."]
        );
        assert_eq!(
            split("He said “stop.” Then he left (early.) Fine"),
            ["He said “stop.”", "Then he left (early.)", "Fine"]
        );
        assert_eq!(
            split("Am 3. Mai pflanze ich z.B. Tomaten. Danach nichts."),
            ["Am 3. Mai pflanze ich z.B. Tomaten.", "Danach nichts."]
        );
        assert_eq!(
            split("¿Cuándo? ¡Ahora! Où est-il ? Là."),
            ["¿Cuándo?", "¡Ahora!", "Où est-il ?", "Là."]
        );
        assert_eq!(split("今日は雨。明日は晴れ。"), ["今日は雨。", "明日は晴れ。"]);
        assert_eq!(split("... – ?! \n ."), Vec::<String>::new());
    }

    #[test]
    fn inline_marks_are_dropped_and_names_are_kept() {
        assert_eq!(
            plain("**Bold**, *thin*, _under_ and __both__ ~~gone~~"),
            "Bold, thin, under and both gone"
        );
        assert_eq!(
            plain("`a_b *c*` and snake_case, 3 * 4, 3*4"),
            "a_b *c* and snake_case, 3 * 4, 3*4"
        );
        assert_eq!(
            plain("see [the plan](https://example.org/a_b) and ![a map](m.png)"),
            "see the plan and a map"
        );
        assert_eq!(
            plain("[[Note|my note]] [[Other]] [x] [open"),
            "my note Other [x] [open"
        );
        assert_eq!(plain("1\\. not \\*bold\\*"), "1. not *bold*");
    }

    #[test]
    fn what_cannot_be_seen_is_removed() {
        assert_eq!(
            plain("a\u{1b}[31mb\tc\0d\u{feff}e\u{202e}f\u{9b}g"),
            "a [31mb c def g"
        );
    }

    #[test]
    fn a_long_sentence_is_cut_at_a_word() {
        let long = "word ".repeat(200);
        let pieces = split(&long);
        assert_eq!(pieces.len(), 4);
        assert!(pieces.iter().all(|piece| piece.chars().count() <= MAX_CHARS + 4));
        assert!(
            pieces[0].ends_with("word …") && pieces[1].starts_with("… word"),
            "{pieces:?}"
        );
        assert!(pieces[3].ends_with("word"));
        assert_eq!(split(&"ä".repeat(1000)).len(), 4);
    }
}
