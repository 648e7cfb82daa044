//! The stemmer of M. F. Porter (1980) for English words of ASCII letters, in place.

/// Reduces a word of lower-case ASCII letters to its stem; any other word stays as it is.
pub(super) fn stem(word: &mut Vec<u8>) {
    if word.len() < 3 || !word.iter().all(u8::is_ascii_lowercase) {
        return;
    }
    plural(word);
    past(word);
    if word.ends_with(b"y") && has_vowel(before(word, b"y")) {
        replace_last(word, b'i');
    }
    long_suffix(word, DOUBLE, 0);
    long_suffix(word, SINGLE, 0);
    strip(word);
    final_e(word);
}

/// Suffixes of two parts: `ational` is `ation` and `al`.
const DOUBLE: &[(&[u8], &[u8])] = &[
    (b"ational", b"ate"),
    (b"tional", b"tion"),
    (b"enci", b"ence"),
    (b"anci", b"ance"),
    (b"izer", b"ize"),
    (b"bli", b"ble"),
    (b"alli", b"al"),
    (b"entli", b"ent"),
    (b"eli", b"e"),
    (b"ousli", b"ous"),
    (b"ization", b"ize"),
    (b"ation", b"ate"),
    (b"ator", b"ate"),
    (b"alism", b"al"),
    (b"iveness", b"ive"),
    (b"fulness", b"ful"),
    (b"ousness", b"ous"),
    (b"aliti", b"al"),
    (b"iviti", b"ive"),
    (b"biliti", b"ble"),
    (b"logi", b"log"),
];

const SINGLE: &[(&[u8], &[u8])] = &[
    (b"icate", b"ic"),
    (b"ative", b""),
    (b"alize", b"al"),
    (b"iciti", b"ic"),
    (b"ical", b"ic"),
    (b"ful", b""),
    (b"ness", b""),
];

const STRIPPED: &[&[u8]] = &[
    b"ement", b"ance", b"ence", b"able", b"ible", b"ment", b"ant", b"ent", b"ism", b"ate", b"iti", b"ous",
    b"ive", b"ize", b"ion", b"al", b"er", b"ic", b"ou",
];

fn plural(word: &mut Vec<u8>) {
    if word.ends_with(b"sses") || word.ends_with(b"ies") {
        word.truncate(word.len() - 2);
    } else if word.ends_with(b"s") && !word.ends_with(b"ss") {
        word.pop();
    }
}

fn past(word: &mut Vec<u8>) {
    if word.len() > 3 && word.ends_with(b"eed") {
        if measure(before(word, b"eed")) > 0 {
            word.pop();
        }
        return;
    }
    let suffix: &[u8] = match word {
        _ if word.ends_with(b"ed") => b"ed",
        _ if word.ends_with(b"ing") => b"ing",
        _ => return,
    };
    if !has_vowel(before(word, suffix)) {
        return;
    }
    word.truncate(word.len() - suffix.len());
    if [b"at", b"bl", b"iz"].iter().any(|end| word.ends_with(*end)) {
        word.push(b'e');
    } else if ends_double(word) && !matches!(word.last(), Some(b'l' | b's' | b'z')) {
        word.pop();
    } else if measure(word) == 1 && ends_short(word) {
        word.push(b'e');
    }
}

/// Replaces the first suffix of the list that the word has, if enough is left before it.
fn long_suffix(word: &mut Vec<u8>, suffixes: &[(&[u8], &[u8])], least: usize) {
    if let Some((suffix, replacement)) = suffixes.iter().find(|(suffix, _)| word.ends_with(suffix))
        && measure(before(word, suffix)) > least
    {
        word.truncate(word.len() - suffix.len());
        word.extend_from_slice(replacement);
    }
}

fn strip(word: &mut Vec<u8>) {
    if let Some(suffix) = STRIPPED.iter().find(|suffix| word.ends_with(suffix)) {
        let stem = before(word, suffix);
        let allowed = *suffix != b"ion" || matches!(stem.last(), Some(b's' | b't'));
        if allowed && measure(stem) > 1 {
            word.truncate(stem.len());
        }
    }
}

fn final_e(word: &mut Vec<u8>) {
    if word.ends_with(b"e") {
        let stem = before(word, b"e");
        let m = measure(stem);
        if m > 1 || (m == 1 && !ends_short(stem)) {
            word.pop();
        }
    }
    if word.ends_with(b"ll") && measure(word) > 1 {
        word.pop();
    }
}

fn before<'a>(word: &'a [u8], suffix: &[u8]) -> &'a [u8] {
    word.strip_suffix(suffix).unwrap_or(word)
}

fn replace_last(word: &mut [u8], letter: u8) {
    if let Some(last) = word.last_mut() {
        *last = letter;
    }
}

fn is_consonant(word: &[u8], at: usize) -> bool {
    match word[at] {
        b'a' | b'e' | b'i' | b'o' | b'u' => false,
        b'y' => at == 0 || !is_consonant(word, at - 1),
        _ => true,
    }
}

fn has_vowel(word: &[u8]) -> bool {
    (0..word.len()).any(|at| !is_consonant(word, at))
}

/// How many times a vowel is followed by a consonant.
fn measure(word: &[u8]) -> usize {
    (1..word.len())
        .filter(|&at| is_consonant(word, at) && !is_consonant(word, at - 1))
        .count()
}

fn ends_double(word: &[u8]) -> bool {
    let length = word.len();
    length > 1 && word[length - 1] == word[length - 2] && is_consonant(word, length - 1)
}

/// Consonant, vowel, consonant that is not w, x or y.
fn ends_short(word: &[u8]) -> bool {
    let length = word.len();
    length > 2
        && is_consonant(word, length - 3)
        && !is_consonant(word, length - 2)
        && is_consonant(word, length - 1)
        && !matches!(word[length - 1], b'w' | b'x' | b'y')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stemmed(word: &str) -> String {
        let mut bytes = word.as_bytes().to_vec();
        stem(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_examples_of_the_paper_come_out() {
        for (word, expected) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("troubled", "troubl"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("tanned", "tan"),
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("filing", "file"),
            ("happy", "happi"),
            ("sky", "sky"),
            ("relational", "relat"),
            ("conditional", "condit"),
            ("digitizer", "digit"),
            ("operator", "oper"),
            ("hopefulness", "hope"),
            ("electrical", "electr"),
            ("adjustment", "adjust"),
            ("adoption", "adopt"),
            ("controlling", "control"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("cease", "ceas"),
            ("roll", "roll"),
        ] {
            assert_eq!(stemmed(word), expected, "{word}");
        }
        assert_eq!(stemmed("is"), "is");
        assert_eq!(stemmed("4th"), "4th");
    }

    /// SQLite's own stemmer is another implementation of the same paper.
    #[test]
    fn sqlite_stems_the_same() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE VIRTUAL TABLE t USING fts5 (w, tokenize = 'porter ascii');
                 CREATE VIRTUAL TABLE v USING fts5vocab (t, instance);",
            )
            .unwrap();
        let text = include_str!("stem.rs").to_lowercase() + include_str!("../memory.rs");
        let mut words: Vec<&str> = text
            .split(|letter: char| !letter.is_ascii_lowercase())
            .filter(|word| word.len() > 4)
            .collect();
        words.sort_unstable();
        words.dedup();
        assert!(words.len() > 300);
        for word in words {
            connection
                .execute("INSERT INTO t (w) VALUES (?1)", [word])
                .unwrap();
            let row = connection.last_insert_rowid();
            let theirs: String = connection
                .query_row("SELECT term FROM v WHERE doc = ?1", [row], |row| row.get(0))
                .unwrap();
            assert_eq!(stemmed(word), theirs, "{word}");
        }
    }
}
