use super::*;

fn texts(text: &str) -> Vec<String> {
    Passage::read(text)
        .units
        .into_iter()
        .map(|unit| unit.text)
        .collect()
}

/// Each sentence with the headings above it, nearest last.
fn outline(text: &str) -> Vec<(String, String)> {
    let passage = Passage::read(text);
    passage
        .units
        .iter()
        .map(|unit| {
            let headings = &passage.headings[unit.heading];
            (
                unit.text.clone(),
                format!("{}\n{}", headings.far, headings.near)
                    .trim()
                    .replace('\n', " / "),
            )
        })
        .collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn headings_are_above_their_sentences_and_not_among_them() {
    assert_eq!(
        outline(
            "Intro.\n# Plans\nBuy milk.\n\n## Staking ##\nStake 32 ETH.\n# Other\nRest.\n\nTitle\n===\nBelow it.\n\nSub\n---\nDeep."
        ),
        [
            pair("Intro.", ""),
            pair("Buy milk.", "Plans"),
            pair("Stake 32 ETH.", "Plans / Staking"),
            pair("Rest.", "Other"),
            pair("Below it.", "Title"),
            pair("Deep.", "Title / Sub"),
        ]
    );
    assert_eq!(texts("# Only\n## Headings\n"), Vec::<String>::new());
    assert_eq!(texts("#hashtag is text"), ["#hashtag is text"]);
}

#[test]
fn wrapped_lines_are_joined_and_short_lines_are_not() {
    assert_eq!(
        texts("The barrel holds two hundred litres and it\nlasts nine days. Then it is\nempty."),
        [
            "The barrel holds two hundred litres and it lasts nine days.",
            "Then it is empty."
        ]
    );
    assert_eq!(
        texts("Buy milk\nCall Bob\n+49 30 1234"),
        ["Buy milk", "Call Bob", "+49 30 1234"]
    );
}

#[test]
fn a_line_that_had_room_for_the_next_word_is_a_sentence() {
    assert_eq!(
        texts(
            "Sara wants the report by the end of the month\nWe moved the launch from June to September because it is late"
        ),
        [
            "Sara wants the report by the end of the month",
            "We moved the launch from June to September because it is late"
        ]
    );
    assert_eq!(
        texts(
            "Die Tomaten pflanze ich im Mai, und dann kommen die\nGurken und der Salat an den Zaun vor dem\nGewächshaus."
        ),
        [
            "Die Tomaten pflanze ich im Mai, und dann kommen die Gurken und der Salat an den Zaun vor dem Gewächshaus."
        ]
    );
    assert_eq!(texts("one  \ntwo\\\nthree"), ["one", "two", "three"]);
}

#[test]
fn list_items_lose_their_marks() {
    assert_eq!(
        texts("- one thing here\n* [x] done thing\n3) third thing\n• **bold** thing\n  that goes on\n\n1. x"),
        [
            "one thing here",
            "done thing",
            "third thing",
            "bold thing that goes on",
            "x"
        ]
    );
    assert_eq!(
        texts("It was in the spring of the year that followed\n2019. Or so."),
        ["It was in the spring of the year that followed 2019.", "Or so."]
    );
}

#[test]
fn what_announces_a_list_is_its_heading() {
    assert_eq!(
        outline("Before I stake:\n\n- write the phrase on paper\n- test it\n\nLater."),
        [
            pair("write the phrase on paper", "Before I stake:"),
            pair("test it", "Before I stake:"),
            pair("Later.", ""),
        ]
    );
    assert_eq!(
        outline("It is easy. Do this now:\n```\ncode\n```\n- one\n\nLater."),
        [
            pair("It is easy.", ""),
            pair("one", "Do this now:"),
            pair("Later.", "")
        ]
    );
    assert_eq!(
        outline("- Staking\n  - 32 ETH in June\n  - at home\n- Garden work is nice."),
        [
            pair("32 ETH in June", "Staking"),
            pair("at home", "Staking"),
            pair("Garden work is nice.", ""),
        ]
    );
}

#[test]
fn rows_are_pairs_with_the_names_of_their_columns() {
    let table = "| | solo | pool |\n|---|:--|---|\n| amount | 32 ETH | any |\n| a\\|b | | **x** |\n\nText.";
    let passage = Passage::read(table);
    let rows: Vec<(&str, bool)> = passage
        .units
        .iter()
        .map(|unit| (unit.text.as_str(), unit.is_row))
        .collect();
    assert_eq!(
        rows,
        [
            ("amount; solo: 32 ETH; pool: any", true),
            ("a|b; pool: x", true),
            ("Text.", false)
        ]
    );
    assert_eq!(texts("| cut | off |\n| rows | here |\n\nText."), ["Text."]);
}

#[test]
fn code_front_matter_comments_and_markup_are_left_out() {
    assert_eq!(texts("---\ntitle: Secret\ntags: [a]\n---\nBody."), ["Body."]);
    assert_eq!(texts("\u{feff}+++\na = 1\n+++\nBody."), ["Body."]);
    assert_eq!(
        texts("---\n\nNot front matter.\n\n---\nEnd."),
        ["Not front matter.", "End."]
    );
    assert_eq!(
        texts("Before.\n```sh\nrm -rf staking\n```\nAfter.\n~~~\ncode\n```\n~~~\nEnd."),
        ["Before.", "After.", "End."]
    );
    assert_eq!(texts("Before.\n```sh\nnever closed"), ["Before."]);
    assert_eq!(texts("tail of code\n```\nAfter."), ["tail of code", "After."]);
    assert_eq!(
        texts("<!-- hidden\nstill -->\nSeen.\n<!-- never closed\nSeen too."),
        ["Seen.", "Seen too."]
    );
    assert_eq!(
        texts("<br>\n<p align=\"x\"></p>\n[a]: https://example.org\nText."),
        ["Text."]
    );
    assert_eq!(
        texts("> quoted text.\n> > # Inner\n> > more."),
        ["quoted text.", "more."]
    );
}
