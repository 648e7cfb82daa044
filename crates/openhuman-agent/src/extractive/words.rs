//! Words of a text, ready to be compared: lower case, without accents, stemmed; and which of them carry meaning.

use super::stem::stem;

/// The longest word that is compared, in bytes; the rest of a longer one is left out.
const LONGEST_WORD: usize = 64;

/// A word of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// In lower case and without accents.
    pub(super) plain: String,
    /// Written in two to six capitals, like a ticker symbol or an abbreviation.
    pub(super) capitals: bool,
    /// Contains a digit.
    pub(super) number: bool,
}

impl Word {
    pub(super) fn stem(&self) -> String {
        stem(&self.plain)
    }
}

/// The words of a text: runs of letters and digits, and numbers with their decimal point.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut word = String::new();
    let (mut letters, mut capitals, mut after_digit) = (0, 0, false);
    let mut chars = text.chars().peekable();
    loop {
        let next = chars.next();
        let Some(c) = next.filter(|c| c.is_alphanumeric()) else {
            match next {
                // An accent or a soft hyphen is part of the word around it.
                Some('\u{300}'..='\u{36f}' | '\u{ad}') => continue,
                Some(point @ ('.' | ','))
                    if after_digit && chars.peek().is_some_and(char::is_ascii_digit) =>
                {
                    word.push(point);
                    continue;
                }
                _ => {}
            }
            if !word.is_empty() {
                found.push(Word {
                    capitals: (2..=6).contains(&letters) && capitals == letters,
                    number: word.contains(|c: char| c.is_numeric()),
                    plain: std::mem::take(&mut word),
                });
            }
            (letters, capitals, after_digit) = (0, 0, false);
            if next.is_none() {
                return found;
            }
            continue;
        };
        letters += usize::from(c.is_alphabetic());
        capitals += usize::from(c.is_uppercase());
        after_digit = c.is_ascii_digit();
        if word.len() < LONGEST_WORD {
            push_plain(c, &mut word);
        }
    }
}

/// Adds a character in lower case and without its accent.
fn push_plain(c: char, word: &mut String) {
    for lower in c.to_lowercase() {
        let plain = match lower {
            'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
            'ç' | 'ć' | 'č' => 'c',
            'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
            'ì'..='ï' | 'ī' => 'i',
            'ñ' | 'ń' | 'ň' => 'n',
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
            'ś' | 'š' | 'ş' => 's',
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
            'ý' | 'ÿ' => 'y',
            'ź' | 'ż' | 'ž' => 'z',
            'ß' => {
                word.push('s');
                's'
            }
            'æ' => {
                word.push('a');
                'e'
            }
            'œ' => {
                word.push('o');
                'e'
            }
            '\u{300}'..='\u{36f}' => continue,
            other => other,
        };
        word.push(plain);
    }
}

/// Words without a meaning of their own, by language. The first is always used, and of the others the one that fits
/// the text best.
const STOP_WORDS: [&[&str]; 4] = [
    &[
        "a",
        "about",
        "above",
        "after",
        "again",
        "ago",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "anything",
        "are",
        "aren",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "below",
        "between",
        "both",
        "but",
        "by",
        "can",
        "could",
        "couldn",
        "did",
        "didn",
        "do",
        "does",
        "doesn",
        "doing",
        "don",
        "during",
        "each",
        "else",
        "ever",
        "every",
        "for",
        "from",
        "get",
        "give",
        "gone",
        "had",
        "has",
        "hasn",
        "have",
        "haven",
        "having",
        "he",
        "her",
        "here",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "isn",
        "it",
        "its",
        "just",
        "let",
        "ll",
        "many",
        "may",
        "me",
        "might",
        "more",
        "most",
        "much",
        "must",
        "my",
        "no",
        "nor",
        "not",
        "of",
        "off",
        "often",
        "on",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "please",
        "re",
        "s",
        "same",
        "shall",
        "she",
        "should",
        "show",
        "so",
        "some",
        "something",
        "such",
        "t",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "us",
        "ve",
        "very",
        "was",
        "wasn",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "won",
        "would",
        "wouldn",
        "yes",
        "you",
        "your",
    ],
    &[
        "au", "aux", "avec", "ce", "ces", "comme", "comment", "d", "dans", "de", "des", "dois", "donc", "du",
        "elle", "en", "est", "et", "fait", "il", "ils", "j", "je", "l", "la", "le", "les", "leur", "ma",
        "mais", "me", "mes", "mon", "n", "ne", "nos", "notre", "nous", "ont", "ou", "par", "pas", "plus",
        "pour", "pourquoi", "qu", "quand", "que", "quel", "quelle", "quels", "quelles", "qui", "quoi", "sa",
        "sans", "se", "ses", "son", "sont", "sur", "ta", "tes", "ton", "tu", "un", "une", "vos", "votre",
        "vous", "y",
    ],
    &[
        "aber", "als", "am", "an", "auf", "aus", "bei", "bin", "bis", "das", "dass", "dem", "den", "der",
        "des", "die", "du", "ein", "eine", "einem", "einen", "einer", "er", "es", "fur", "habe", "geht",
        "haben", "hat", "hatte", "ich", "ihr", "im", "in", "ist", "kann", "kein", "keine", "mein", "meine",
        "meinem", "meinen", "meiner", "mich", "mir", "mit", "nach", "nicht", "noch", "oder", "sich", "sie",
        "sind", "soll", "uber", "um", "und", "uns", "unser", "unsere", "vom", "von", "wann", "war", "waren",
        "warum", "was", "welche", "welcher", "welches", "wenn", "wer", "wie", "wieviel", "wir", "wird", "wo",
        "worum", "zu", "zum", "zur",
    ],
    &[
        "al", "como", "con", "cual", "cuales", "cuando", "cuanto", "cuanta", "cuantos", "cuantas", "de",
        "debo", "del", "donde", "el", "ella", "en", "era", "es", "esta", "este", "esto", "fue", "ha", "hay",
        "he", "la", "las", "le", "lo", "los", "me", "mi", "mis", "muy", "no", "nos", "o", "para", "pero",
        "por", "porque", "que", "quien", "se", "ser", "si", "sin", "sobre", "son", "su", "sus", "te",
        "tengo", "tu", "tus", "un", "una", "y", "yo",
    ],
];

/// What a question asks of the memory itself, rather than of the things in it; and verbs that fit everything.
const ASKING: &[&str] = &[
    "answer", "know", "find", "found", "happen", "jot", "memory", "mention", "need", "note", "question",
    "recall", "remember", "remind", "said", "say", "tell", "told", "want", "write", "wrote",
];

/// What asks for a text to be worked on, rather than for something in it.
const TASK: &[&str] = &[
    "article",
    "brief",
    "briefly",
    "bullet",
    "explain",
    "following",
    "gist",
    "key",
    "main",
    "message",
    "overview",
    "paste",
    "pasted",
    "point",
    "read",
    "resume",
    "sentence",
    "short",
    "shorten",
    "sum",
    "summarise",
    "summarize",
    "summary",
    "takeaway",
    "text",
    "tldr",
    "word",
    "zusammen",
    "zusammenfassen",
    "fasse",
    "zusammenfassung",
    "resumen",
    "resumir",
];

/// After "how", a measure and not a quality.
const MEASURES: &[&str] = &[
    "big", "deep", "far", "fast", "high", "large", "late", "long", "old", "tall",
];

/// The stop words that fit the language of some words best.
pub(super) struct StopWords {
    other: &'static [&'static str],
}

impl StopWords {
    pub(super) fn of(words: &[Word]) -> StopWords {
        let [english, others @ ..] = STOP_WORDS;
        let count = |list: &[&str]| {
            words
                .iter()
                .filter(|word| list.contains(&word.plain.as_str()))
                .count()
        };
        let mut best = (count(english), &[][..]);
        for list in others {
            let fits = count(list);
            if fits > best.0 {
                best = (fits, list);
            }
        }
        StopWords { other: best.1 }
    }

    pub(super) fn contains(&self, word: &Word) -> bool {
        let plain = word.plain.as_str();
        let lone_letter = plain.len() == 1 && !word.number;
        lone_letter || STOP_WORDS[0].contains(&plain) || self.other.contains(&plain)
    }
}

/// The words of a question that say what it is about; `with_text` when a text to work on came with it.
pub(super) fn content_words(question: &str, with_text: bool) -> Vec<Word> {
    let all = words(question);
    let stop = StopWords::of(&all);
    let mut after_how = false;
    let mut content: Vec<Word> = Vec::new();
    for word in all {
        let measure = after_how && MEASURES.contains(&word.plain.as_str());
        after_how = word.plain == "how";
        if !measure && !stop.contains(&word) {
            content.push(word);
        }
    }
    let asks = |word: &Word| {
        let stem = word.stem();
        let among = |list: &[&str]| list.iter().any(|known| *known == word.plain || *known == stem);
        among(ASKING) || (with_text && among(TASK))
    };
    if with_text || !content.iter().all(asks) {
        content.retain(|word| !asks(word));
    }
    content
}

#[cfg(test)]
mod tests;
