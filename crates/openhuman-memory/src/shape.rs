//! What kind of statement a chunk looks like, and what kind a question asks for.

/// Bits of [`of`].
pub(crate) const QUESTION: u8 = 1;
pub(crate) const TIME: u8 = 2;
pub(crate) const NUMBER: u8 = 4;
pub(crate) const FIRST_PERSON: u8 = 8;
pub(crate) const NAME: u8 = 16;
/// Something that somebody said, not a piece of a document. Not a property of the text.
pub(crate) const TURN: u8 = 32;

const TIMES: &[&str] = &[
    "ago",
    "april",
    "august",
    "birthday",
    "century",
    "day",
    "days",
    "decade",
    "december",
    "evening",
    "february",
    "friday",
    "january",
    "july",
    "june",
    "last",
    "lately",
    "march",
    "may",
    "monday",
    "month",
    "months",
    "morning",
    "next",
    "night",
    "november",
    "october",
    "recently",
    "saturday",
    "september",
    "since",
    "soon",
    "spring",
    "summer",
    "sunday",
    "thursday",
    "today",
    "tomorrow",
    "tonight",
    "tuesday",
    "wednesday",
    "week",
    "weekend",
    "weeks",
    "winter",
    "year",
    "years",
    "yesterday",
];

const NUMBERS: &[&str] = &[
    "couple", "dozen", "eight", "eleven", "few", "fifty", "five", "four", "hundred", "nine", "once", "one",
    "second", "seven", "several", "six", "ten", "third", "thirty", "thousand", "three", "times", "twelve",
    "twenty", "twice", "two",
];

const FIRST_PERSONS: &[&str] = &[
    "i", "ill", "im", "ive", "me", "mine", "my", "myself", "our", "ours", "us", "we", "well", "weve",
];

/// What a text holds, as bits.
pub(crate) fn of(text: &str) -> u8 {
    let mut shape = 0;
    if text.trim_end().ends_with(['?', '\u{ff1f}']) {
        shape |= QUESTION;
    }
    let mut start_of_sentence = true;
    for part in text.split_whitespace() {
        let word: String = part
            .chars()
            .filter(|letter| letter.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect();
        if word.is_empty() {
            continue;
        }
        if word.bytes().any(|byte| byte.is_ascii_digit()) {
            shape |= NUMBER;
            let year = word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
            if year || part.contains(':') {
                shape |= TIME;
            }
        }
        let is = |list: &[&str]| list.binary_search(&word.as_str()).is_ok();
        if is(TIMES) {
            shape |= TIME;
        }
        if is(NUMBERS) {
            shape |= NUMBER;
        }
        if is(FIRST_PERSONS) {
            shape |= FIRST_PERSON;
        }
        if !start_of_sentence && part.chars().next().is_some_and(char::is_uppercase) && !is(FIRST_PERSONS) {
            shape |= NAME;
        }
        start_of_sentence = part.ends_with(['.', '!', '?', ':']);
    }
    shape
}

/// The bits that an answer to a question is likely to have.
pub(crate) fn asked(question: &str) -> u8 {
    let lower = question.to_lowercase();
    let words: Vec<&str> = lower
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let has = |word: &str| words.contains(&word);
    let pair = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    let mut asked = 0;
    let dated = ["date", "year", "month", "day", "time"]
        .iter()
        .any(|word| pair("what", word) || pair("which", word));
    if has("when") || dated || pair("how", "long") || pair("how", "often") {
        asked |= TIME;
    }
    if ["many", "much", "old", "long", "often"]
        .iter()
        .any(|word| pair("how", word))
    {
        asked |= NUMBER;
    }
    if has("who") || has("whom") || has("where") || has("which") || has("name") || has("called") {
        asked |= NAME;
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(NUMBERS.is_sorted() && FIRST_PERSONS.is_sorted() && TIMES.is_sorted());
    }

    #[test]
    fn statements_have_shapes() {
        assert_eq!(of("How are you?"), QUESTION);
        assert_eq!(of("I went there yesterday."), TIME | FIRST_PERSON);
        assert_eq!(of("She met Ann in Paris with two dogs."), NAME | NUMBER);
        assert_eq!(of("It was in 2019, I think."), TIME | NUMBER | FIRST_PERSON);
        assert_eq!(of(""), 0);
    }

    #[test]
    fn questions_ask_for_shapes() {
        assert_eq!(asked("When did Ann move?"), TIME);
        assert_eq!(asked("How many dogs has Ann?"), NUMBER);
        assert_eq!(asked("How long did it take?"), TIME | NUMBER);
        assert_eq!(asked("Where does Ann live?"), NAME);
        assert_eq!(asked("What does Ann like?"), 0);
    }
}
