//! Lines as a person sees them, and what lines have in common.

/// Without colours and other terminal codes; of a line that was overwritten, its last state.
pub(super) fn clean(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\u{1b}' {
            plain.push(letter);
            continue;
        }
        if letters.next() == Some('[') {
            for letter in letters.by_ref() {
                if ('@'..='~').contains(&letter) {
                    break;
                }
            }
        }
    }
    let last_state = |line: &str| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.rsplit('\r').next().unwrap_or_default().trim_end().to_owned()
    };
    plain.split('\n').map(last_state).collect::<Vec<_>>().join("\n")
}

/// What a line is apart from numbers, identifiers and times: two lines with the same pattern say the same thing
/// about different things.
pub(super) fn pattern(line: &str) -> String {
    let mut pattern = String::with_capacity(line.len());
    for word in line.split_inclusive(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        let (word, end) = match word.char_indices().next_back() {
            Some((at, letter)) if !letter.is_alphanumeric() && letter != '_' => word.split_at(at),
            _ => (word, ""),
        };
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if digits > 0 {
            if !pattern.ends_with('#') {
                pattern.push('#');
            }
        } else {
            pattern.push_str(word);
        }
        pattern.push_str(end);
    }
    // `10:31:02.5` and `1.5` are numbers too.
    let mut short = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        let joins = short.ends_with('#') && ".:-,/".contains(letter);
        if joins || (letter == '#' && short.ends_with('#')) {
            continue;
        }
        if letter == ' ' && short.ends_with(' ') {
            continue;
        }
        short.push(letter);
    }
    short
}

/// Whether a line says that something went wrong.
pub(super) fn is_failure(line: &str) -> bool {
    const MARKS: [&str; 21] = [
        "error",
        "fail",
        "fatal",
        "panic",
        "exception",
        "traceback",
        "denied",
        "refused",
        "not found",
        "not ok",
        "no such",
        "cannot",
        "could not",
        "timed out",
        "timeout",
        "exit code",
        "exit status",
        "segfault",
        "killed",
        "unhealthy",
        "conflict",
    ];
    let lower = line.to_lowercase();
    MARKS.iter().any(|mark| lower.contains(mark))
}

/// Whether a line warns.
pub(super) fn is_warning(line: &str) -> bool {
    let lower = line.to_lowercase();
    lower.contains("warning") || lower.contains("warn ") || lower.contains("[warn]")
}

/// Whether a line sums something up.
pub(super) fn is_summary(line: &str) -> bool {
    const MARKS: [&str; 14] = [
        "total",
        "summary",
        "result:",
        "passed",
        "finished",
        "done in",
        "succeeded",
        "completed",
        "elapsed",
        "added ",
        "removed ",
        "changed,",
        "ran ",
        "installed",
    ];
    let lower = line.to_lowercase();
    line.len() < 300
        && line.bytes().any(|byte| byte.is_ascii_digit())
        && MARKS.iter().any(|mark| lower.contains(mark))
}

/// At most so many characters of a line, its end kept too.
pub(super) fn clip(line: &str, most: usize) -> String {
    let count = line.chars().count();
    if count <= most {
        return line.to_owned();
    }
    let head: String = line.chars().take(most * 2 / 3).collect();
    let tail: String = line.chars().skip(count - most / 3).collect();
    format!("{head} … {tail}")
}
