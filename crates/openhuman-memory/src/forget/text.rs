//! Words in texts, and texts without them.

use serde_json::Value;

use crate::session::sentences;

/// What to look for, in lower case.
pub(super) struct Needles {
    words: Vec<String>,
    /// A name is a whole word: who forgets Ann keeps the annual report.
    whole: bool,
}

/// Stands where something was that cannot be left out.
const GONE: &str = "[forgotten]";

impl Needles {
    pub(super) fn names(names: &[String]) -> Self {
        Self {
            words: lowered(names),
            whole: true,
        }
    }

    pub(super) fn phrase(phrase: &str) -> Self {
        Self {
            words: lowered(&[phrase.to_owned()]),
            whole: false,
        }
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn are_in(&self, text: &str) -> bool {
        let text = squeezed(text);
        self.words.iter().any(|word| {
            text.match_indices(word.as_str()).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                let after = text[at + word.len()..].chars().next();
                !self.whole
                    || !(before.is_some_and(char::is_alphanumeric)
                        || after.is_some_and(char::is_alphanumeric))
            })
        })
    }

    /// The text without the sentences that hold a needle. One that spans several sentences takes its line, or its
    /// paragraph, or everything with it.
    pub(super) fn without(&self, text: &str) -> String {
        if !self.are_in(text) {
            return text.to_owned();
        }
        let lines: Vec<String> = text
            .split('\n')
            .map(|line| self.without_sentences(line))
            .collect();
        let rest = lines.join("\n");
        if !self.are_in(&rest) {
            return rest;
        }
        let paragraphs: Vec<&str> = rest
            .split("\n\n")
            .filter(|paragraph| !self.are_in(paragraph))
            .collect();
        let rest = paragraphs.join("\n\n");
        if self.are_in(&rest) { String::new() } else { rest }
    }

    fn without_sentences(&self, line: &str) -> String {
        if !self.are_in(line) {
            return line.to_owned();
        }
        let kept: Vec<&str> = sentences(line)
            .filter(|sentence| !self.are_in(sentence))
            .collect();
        kept.join(" ")
    }

    /// Cuts from every text in a JSON value; a key that holds a needle goes with its value.
    pub(super) fn cut_from(&self, value: &mut Value) {
        match value {
            Value::String(text) if self.are_in(text) => {
                let rest = self.without(text);
                *text = if rest.trim().is_empty() {
                    GONE.to_owned()
                } else {
                    rest
                };
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.cut_from(item)),
            Value::Object(fields) => {
                fields.retain(|key, _| !self.are_in(key));
                fields.values_mut().for_each(|value| self.cut_from(value));
            }
            _ => {}
        }
    }
}

fn lowered(words: &[String]) -> Vec<String> {
    words
        .iter()
        .map(|word| squeezed(word))
        .filter(|word| !word.is_empty())
        .collect()
}

/// Lower case, and one blank between words: a line break does not hide a name.
fn squeezed(text: &str) -> String {
    text.to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words_and_phrases_are_not() {
        let ann = Needles::names(&["Ann".to_owned()]);
        assert!(ann.are_in("ask ANN.") && ann.are_in("Ann's hat") && !ann.are_in("annual"));
        let phrase = Needles::phrase("ann");
        assert!(phrase.are_in("annual"));
        let two = Needles::names(&["Ada  Lovelace".to_owned()]);
        assert!(
            two.are_in("by Ada\nLovelace"),
            "a line break does not hide a name"
        );
    }

    #[test]
    fn sentences_go_and_the_rest_stays() {
        let ann = Needles::names(&["Ann".to_owned()]);
        assert_eq!(ann.without("It rains. Ann called. Tea?"), "It rains. Tea?");
        assert_eq!(
            ann.without("# Notes\n\nAnn called.\n\nRain."),
            "# Notes\n\n\n\nRain."
        );
        assert_eq!(ann.without("nothing of the kind"), "nothing of the kind");
        let spread = Needles::phrase("one. two");
        assert_eq!(spread.without("a\n\none. Two b\n\nc"), "a\n\nc");
        assert_eq!(Needles::phrase("a b").without("a\nb"), "");
    }

    #[test]
    fn values_are_cut_wherever_they_are() {
        let ann = Needles::names(&["Ann".to_owned()]);
        let mut value =
            serde_json::json!({"to": ["Ann", "Bob"], "Ann": 1, "n": 7, "deep": {"x": "Hi. Ann is here."}});
        ann.cut_from(&mut value);
        assert_eq!(
            value,
            serde_json::json!({"to": ["[forgotten]", "Bob"], "n": 7, "deep": {"x": "Hi."}})
        );
    }
}
