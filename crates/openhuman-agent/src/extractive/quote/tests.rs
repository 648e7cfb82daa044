use proptest::prelude::*;

use super::*;

const STAKING: &str = "---\ntitle: Staking\ntags: [eth]\n---\n# Staking plan\n\nI will put in 32 ETH in June. The machine \
stands at home.\nMy sister holds the second key.\n\n## Risks\n\n- [ ] **Slashing** when two blocks are signed.\n- Being \
offline for long.\n\n| | solo | pool |\n|---|---|---|\n| smallest amount | 32 ETH | any |\n| keys | you | operator |\n\n\
```sh\nstaking deposit --amount 32\n```\n\n# Garden\n\nThe roses want water every second day.\n";

fn snippet(title: &str, text: &str) -> Recalled {
    Recalled {
        title: title.to_owned(),
        source: format!("notes/{title}.md"),
        text: text.to_owned(),
        score: 1.0,
    }
}

fn ask(question: &str, context: &[Recalled]) -> String {
    let (question, own) = split_prompt(question);
    quote(question, own, context)
}

fn quotes(answer: &str) -> Vec<&str> {
    answer.lines().filter(|line| line.starts_with("- ")).collect()
}

#[test]
fn the_sentences_below_a_heading_are_quoted_and_not_the_heading() {
    let answer = ask("What did I note about staking?", &[snippet("notes", STAKING)]);
    assert_eq!(
        quotes(&answer),
        [
            "- “I will put in 32 ETH in June.” [1]",
            "- “The machine stands at home.” [1]",
            "- “My sister holds the second key.” [1]",
            "- “Slashing when two blocks are signed.” [1]",
            "- “Being offline for long.” [1]",
        ]
    );
    assert!(answer.ends_with("\n\nSources:\n[1] notes (notes/notes.md)\n\nNo language model is connected: set OPENAI_BASE_URL or OPENAI_API_KEY to connect one."));
}

#[test]
fn a_row_is_quoted_only_when_it_fits_best() {
    let notes = [snippet("notes", STAKING)];
    let answer = ask("What is the smallest amount for a pool?", &notes);
    assert_eq!(
        quotes(&answer),
        ["- “smallest amount; solo: 32 ETH; pool: any” [1]"]
    );
    let answer = ask("Who holds the second key?", &notes);
    assert_eq!(quotes(&answer), ["- “My sister holds the second key.” [1]"]);
}

#[test]
fn forms_of_a_word_are_one_word() {
    let notes = [snippet("log", "I staked twice. He stakes too. We ate soup.")];
    let answer = ask("staking?", &notes);
    assert_eq!(
        quotes(&answer),
        ["- “I staked twice.” [1]", "- “He stakes too.” [1]"]
    );
}

#[test]
fn a_number_or_a_symbol_counts_more() {
    let plan = snippet("plan", "My plan for the bike is paint.");
    let log = snippet(
        "log",
        "I bought ETH.\n\nRent is due on the 14th. Room 14 is mine. A room is a room.",
    );
    let notes = [plan, log];
    assert_eq!(
        quotes(&ask("What is the plan for my ETH?", &notes)),
        ["- “I bought ETH.” [1]"]
    );
    assert_eq!(
        quotes(&ask("the plan for eth", &notes)),
        ["- “I bought ETH.” [1]"]
    );
    assert_eq!(
        quotes(&ask("Whose room is 14?", &notes)),
        ["- “Room 14 is mine.” [1]"]
    );
    // In a question all in capitals only what the text has in capitals is a symbol.
    assert_eq!(quotes(&ask("PLAN FOR ETH", &notes)), ["- “I bought ETH.” [1]"]);
}

#[test]
fn without_a_common_word_nothing_is_quoted() {
    let nothing = format!("{NOTHING}\n\n{NO_MODEL}");
    let notes = [snippet("notes", STAKING), snippet("day", "It was what it was.")];
    assert_eq!(ask("Who won the football match?", &notes), nothing);
    // Stop words are no match, and neither is code or front matter.
    assert_eq!(ask("What is it?", &notes), nothing);
    assert_eq!(ask("deposit tags?", &notes), nothing);
    assert_eq!(ask("staking", &[]), nothing);
    assert_eq!(ask("", &notes), nothing);
}

#[test]
fn a_lone_word_of_many_is_named() {
    let notes = [snippet("diary", "The price was back within the hour.")];
    let answer = ask("What is the price of gold in Zurich?", &notes);
    assert!(
        answer.starts_with("From memory, where only “price” fits the question:"),
        "{answer}"
    );
    assert!(ask("price?", &notes).starts_with("From memory:\n"));
}

#[test]
fn a_text_after_the_question_is_a_source() {
    let text = "The council met on Tuesday to talk about the harbour. The harbour needs a new wall, and the council wants \
                to pay for the wall with a tax. Somebody brought cake. The tax on boats would rise by 4 percent. The \
                fishermen fear the tax and ask the council to wait. Nobody knew what the weather would do. A vote on \
                the harbour wall and the tax follows in May. The cake was good. Everybody went home late that evening.";
    let notes = [snippet("boat", "My boat lies in the harbour. It is blue.")];

    let answer = ask(&format!("When is the vote?\n\n{text}"), &notes);
    assert_eq!(
        quotes(&answer),
        ["- “A vote on the harbour wall and the tax follows in May.” [1]"]
    );
    assert!(
        answer.starts_with("From your text:") && answer.contains("\nSources:\n[1] your text\n"),
        "{answer}"
    );

    let answer = ask(&format!("Summarise this text:\r\n\r\n{text}"), &notes);
    assert!(answer.starts_with("From your text:"), "{answer}");
    assert!(
        answer.contains("council") && !answer.contains("cake") && !answer.contains("boat.md"),
        "{answer}"
    );
    assert!((2..=5).contains(&quotes(&answer).len()), "{answer}");

    let answer = ask(&format!("What about the harbour?\n\n{text}"), &notes);
    assert!(answer.starts_with("From memory and from your text:"), "{answer}");
    assert!(
        answer.contains("[1] your text\n[2] boat (notes/boat.md)\n"),
        "{answer}"
    );

    let answer = ask(&format!("Quantum physics?\n\n{text}"), &notes);
    assert!(
        answer.starts_with(NOTHING) && answer.contains("[1] your text"),
        "{answer}"
    );
    assert!(!answer.contains("blue"), "{answer}");

    // A short second paragraph is part of the question.
    assert_eq!(split_prompt("a\n\nb"), ("a\n\nb", None));
    assert!(ask("What about it?\n\nI mean the boat.", &notes).contains("My boat lies"));
}

#[test]
fn two_passages_of_one_document_are_one_source() {
    let notes = [
        snippet(
            "plan",
            "The stake grows. My stake is 32 ETH and the machine is mine.",
        ),
        snippet("other", "My stake elsewhere is small."),
        snippet(
            "plan",
            "is 32 ETH and the machine is mine. The stake ends in May.",
        ),
    ];
    let answer = ask("my stake", &notes);
    assert_eq!(
        quotes(&answer),
        [
            "- “The stake grows.” [1]",
            "- “My stake is 32 ETH and the machine is mine.” [1]",
            "- “My stake elsewhere is small.” [2]",
            "- “The stake ends in May.” [1]",
        ]
    );
    assert!(
        answer.contains("[1] plan (notes/plan.md)\n[2] other (notes/other.md)\n\n"),
        "{answer}"
    );
}

#[test]
fn other_languages_are_answered() {
    let german = [snippet(
        "garten",
        "# Garten\n\nDie Tomaten pflanze ich am 3. Mai. Das Fass fasst 200 Liter.",
    )];
    let answer = ask("Wann pflanze ich die Tomaten?", &german);
    assert_eq!(quotes(&answer), ["- “Die Tomaten pflanze ich am 3. Mai.” [1]"]);
    let french = [snippet(
        "jardin",
        "L’été, j’arrose les tomates le soir. Le chat dort.",
    )];
    let answer = ask("Quand est-ce que j'arrose en ete ?", &french);
    assert_eq!(quotes(&answer), ["- “L’été, j’arrose les tomates le soir.” [1]"]);
    let spanish = [snippet(
        "casa",
        "¿El alquiler? Pago el alquiler el día 5. Hace sol.",
    )];
    let answer = ask("¿Qué día pago el alquiler?", &spanish);
    assert!(
        answer.contains("“Pago el alquiler el día 5.” [1]") && !answer.contains("sol"),
        "{answer}"
    );
    assert!(ask("Wer gewann das Spiel?", &german).starts_with(NOTHING));
}

#[test]
fn quotes_titles_and_places_are_clean_and_short() {
    let mut note = snippet("a\u{1b}]0;x\u{7}\nb", "\u{feff}The\u{1b}[31m stake\u{0} is\tred.");
    note.source = "dir\r\nname".to_owned();
    let answer = ask("stake", &[note]);
    assert!(answer.contains("“The [31m stake is red.” [1]"), "{answer}");
    assert!(answer.contains("[1] a ]0;x b (dir name)\n"), "{answer}");

    let long = format!("The stake {}.", "goes on and on ".repeat(40));
    let answer = ask("stake", &[snippet("a", &long)]);
    let quote = quotes(&answer)[0];
    assert!(
        quote.chars().count() < 320 && quote.ends_with(" …” [1]"),
        "{quote}"
    );
}

#[test]
fn a_long_text_takes_time_in_proportion() {
    // Each of these is slow when something is looked for again and again; the test then takes minutes.
    for piece in [
        "[",
        "_a",
        "`",
        "```\n",
        "<!--\n",
        "> ",
        "a. ",
        "| a |\n|-|\n",
        "- x:\n",
        "# h\n",
        "a:\n\n",
        "*",
        "~~~x\n",
        "\\",
    ] {
        let text = piece.repeat(400_000 / piece.len());
        let _ = ask("a x h", &[snippet("t", &text)]);
        let _ = ask(&format!("a x h\n\n{text}"), &[]);
    }
}

fn markdown() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,12}",
        ".{0,6}",
        prop::sample::select(vec![
            "\n",
            "\n\n",
            "# ",
            "## Stake\n",
            "- ",
            "  - ",
            "1. ",
            "> ",
            "```",
            "~~~\n",
            "| a | b |\n|---|---|\n",
            "| 1 |",
            "---\n",
            "===\n",
            "<!--",
            "-->",
            "**",
            "`",
            "[a](b)",
            "[[x|y]]",
            "stake",
            "ETH",
            ". ",
            "…",
            "\u{feff}",
            "\r\n",
            "\t",
            "a:",
            "\\|",
            "é",
            "ß",
            "。",
            "x".repeat(350).leak(),
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_input_is_answered(question in markdown(), notes in prop::collection::vec(markdown(), 0..4)) {
        let context: Vec<Recalled> = notes.iter().map(|text| snippet("t\u{1b}", text)).collect();
        let answer = ask(&question, &context);
        prop_assert_eq!(&answer, &ask(&question, &context));
        prop_assert!(answer.ends_with(NO_MODEL));
        prop_assert!(!answer.contains(|c: char| c.is_control() && c != '\n'));
        let quotes = quotes(&answer);
        prop_assert!(quotes.len() <= MAX_QUOTES);
        prop_assert_eq!(quotes.is_empty(), answer == format!("{NOTHING}\n\n{NO_MODEL}"));
        for quote in &quotes {
            prop_assert_eq!(quotes.iter().filter(|other| other == &quote).count(), 1);
        }
    }
}
