use super::*;

const NOW: i64 = 1_700_000_000_000;
const Y2019: i64 = 17_897 * 86_400_000;

fn read(text: &str) -> Extraction {
    extract(&Passage {
        text,
        speaker: Some("Ada"),
        at_ms: NOW,
    })
}

/// `subject PREDICATE object`, with a minus in front when it ended.
fn said(text: &str) -> Vec<String> {
    let line = |statement: Statement| {
        let sign = if statement.ended { "-" } else { "" };
        format!(
            "{sign}{} {} {}",
            statement.subject,
            statement.predicate,
            statement.object.name()
        )
    };
    read(text).statements.into_iter().map(line).collect()
}

#[test]
fn what_a_speaker_says_of_herself() {
    assert_eq!(
        said("I live in New York and I work at Babbage & Co."),
        ["Ada LIVES_IN New York", "Ada WORKS_AT Babbage & Co"]
    );
    assert_eq!(said("I'm a mathematician."), ["Ada IS_A mathematician"]);
    assert_eq!(said("I love green tea, honestly."), ["Ada LIKES green tea"]);
    assert_eq!(said("My name is Ada Lovelace"), ["Ada NAMED Ada Lovelace"]);
    assert_eq!(said("My sister Anna called."), ["Ada SISTER Anna"]);
    assert_eq!(said("my dog's name is Rex"), ["Ada DOG Rex"]);
    assert_eq!(said("I moved to Paris because of Tom."), ["Ada LIVES_IN Paris"]);
}

#[test]
fn what_is_said_of_others() {
    assert_eq!(
        said("Yesterday Grace Hopper visited Rome."),
        ["Grace Hopper VISITED Rome"]
    );
    assert_eq!(said("Tom is allergic to peanuts."), ["Tom ALLERGIC_TO peanuts"]);
    assert_eq!(
        said("Anna's brother works at Acme."),
        Vec::<String>::new(),
        "nobody knows who that is"
    );
}

#[test]
fn what_is_over() {
    assert_eq!(said("I no longer live in Paris."), ["-Ada LIVES_IN Paris"]);
    assert_eq!(said("I don't like coffee anymore."), ["-Ada LIKES coffee"]);
    assert_eq!(said("Tom left Acme."), ["-Tom WORKS_AT Acme"]);
    assert_eq!(said("I used to work at Acme"), ["-Ada WORKS_AT Acme"]);
}

#[test]
fn dates_move_the_beginning_and_the_end() {
    let statements = read("I work at Acme since 2019.").statements;
    assert_eq!(
        (statements[0].valid_from, statements[0].valid_until),
        (Y2019, None)
    );
    let statements = read("Tom lived in Rome from 2019 to 2021, I think.").statements;
    assert_eq!(statements[0].valid_from, Y2019);
    assert!(statements[0].valid_until.is_some_and(|until| until > Y2019));
    assert_eq!(read("I live in Rome.").statements[0].valid_from, NOW);
}

#[test]
fn questions_and_small_words_say_nothing() {
    assert!(said("Do I live in Paris?").is_empty());
    assert!(said("I like").is_empty());
    assert!(said("live in Paris").is_empty(), "nobody is said to");
    let nameless = extract(&Passage {
        text: "I live in Paris.",
        speaker: None,
        at_ms: NOW,
    });
    assert!(nameless.statements.is_empty());
}

#[test]
fn names_are_mentioned_once() {
    let names = |text| {
        read(text)
            .mentions
            .into_iter()
            .map(|mention| mention.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("We saw the Bank of England, then Tom met the bank of england's Anna."),
        ["Bank of England", "Tom", "Anna"]
    );
    assert_eq!(
        names("Really nice. Tomorrow we go. I think so."),
        Vec::<String>::new()
    );
    assert_eq!(
        names("Melanie: Caroline's show was great on Friday!"),
        ["Melanie", "Caroline"]
    );
}

#[test]
fn any_text_can_be_read() {
    for text in [
        "",
        "'s 's",
        "I I I my my",
        "my sister",
        "I'm",
        "((([",
        "My",
        "\u{130} is a \u{130}",
        "no longer",
        "I left",
    ] {
        read(text);
    }
}
