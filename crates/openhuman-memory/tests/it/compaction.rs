use openhuman_memory::{
    Budget, Document, ExtractiveSummarizer, Pressure, Query, SessionMessage, SessionRecord, SessionRole,
    Summarizer, SummaryError,
};

use crate::Fixture;

fn say(fixture: &Fixture, role: SessionRole, text: &str) {
    let record = SessionRecord::text(fixture_now(fixture), role, text);
    fixture.memory.session("s").unwrap().append(&record).unwrap();
}

fn fixture_now(_: &Fixture) -> i64 {
    crate::NOW
}

fn rendered(fixture: &Fixture) -> String {
    let view = fixture.memory.session("s").unwrap().view().unwrap();
    let texts = view
        .render()
        .into_iter()
        .flat_map(|message| message.content)
        .filter_map(|block| block.text);
    texts.collect::<Vec<_>>().join("\n")
}

/// Facts that have to be carried on word for word, and facts that have to be found again.
const PINNED: [&str; 20] = [
    "The staging server is 10.3.7.42:8443.",
    "Never push to the main branch.",
    "My order has the number 48213-77.",
    "The invoice is at /srv/invoices/march.pdf.",
    "Always answer in British English.",
    "The deadline is 2026-12-24.",
    "The commit to look at is 9f3c2ab.",
    "See https://example.org/spec?rev=3 for the format.",
    "The build failed with E0308.",
    "The budget is 1250 euros.",
    "Write to ops@example.org when it breaks.",
    "The port of the database is 5433.",
    "Please use tabs in makefiles.",
    "The ticket is JIRA-2041.",
    "The flight leaves at 07:45.",
    "The licence key ends in X7Q2.",
    "Do not restart the worker at night.",
    "The config lives in ~/.shop/settings.toml.",
    "The error was ERR_CONNECTION_RESET again.",
    "The room is B-117 on the second floor.",
];

const PLANTED: [&str; 20] = [
    "My sister keeps a parrot called Muffin.",
    "The blue bicycle was stolen near the harbour.",
    "Grandfather taught chemistry in Lisbon.",
    "I am reading a novel about lighthouse keepers.",
    "The neighbour's piano is badly out of tune.",
    "We planted tulips behind the greenhouse.",
    "Our cook Henrietta makes saffron dumplings.",
    "The violin teacher moved to Reykjavik.",
    "My favourite mug has a painted heron.",
    "Uncle Theodore collects antique barometers.",
    "The attic smells of cedar and old maps.",
    "Marigold soap gives me a rash.",
    "The choir rehearses in a former brewery.",
    "Her thesis is about Etruscan mirrors.",
    "The ferry captain told us about whales.",
    "I learned juggling from a retired judge.",
    "The bakery sells walnut bread on holidays.",
    "Our tent leaks above the zipper.",
    "The gardener hums waltzes while pruning.",
    "My roommate restores accordions.",
];

const FILLER: [&str; 8] = [
    "Let us talk about how the weather changes the mood of a whole town in autumn.",
    "That reminds me of long walks through empty streets without any plan at all.",
    "There is something to be said for slow mornings and warm bread with butter.",
    "People often ask whether it is worth the trouble, and mostly it is.",
    "One could go on about this for hours without coming to any conclusion.",
    "It was quiet, and nobody seemed to mind the silence between the words.",
    "Some stories are better when they are told twice by different people.",
    "We should come back to it when everybody has had some sleep.",
];

#[test]
fn what_was_planted_survives_ten_compactions() {
    let fixture = Fixture::new();
    let budget = Budget::of_window(4_000);
    let (mut compactions, mut turn) = (0, 0);
    while compactions < 10 {
        if turn % 3 == 0 && turn / 3 < 20 {
            say(&fixture, SessionRole::User, PINNED[turn / 3]);
            say(&fixture, SessionRole::User, PLANTED[turn / 3]);
        }
        say(&fixture, SessionRole::User, &FILLER[turn % 8].repeat(3));
        say(
            &fixture,
            SessionRole::Assistant,
            &FILLER[(turn * 5 + 3) % 8].repeat(3),
        );
        turn += 1;
        if turn % 4 != 0 {
            continue;
        }
        let tokens = fixture.memory.session("s").unwrap().view().unwrap().tokens();
        if budget.pressure(tokens) >= Pressure::Soft {
            let done = fixture
                .memory
                .compact_session("s", &budget, &ExtractiveSummarizer)
                .unwrap()
                .unwrap();
            compactions += 1;
            assert_eq!(done.count, compactions);
            assert!(done.tokens_after <= 4_000 * 40 / 100 + 60, "{done:?}");
        }
        assert!(turn < 2_000);
    }
    assert!(turn >= 60, "everything was planted: {turn}");
    let text = rendered(&fixture);
    let lost: Vec<&&str> = PINNED.iter().filter(|fact| !text.contains(**fact)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(
        !text.contains(PLANTED[0]),
        "the first one left the context, or there is nothing to find"
    );

    let mut found = 0;
    for fact in PLANTED {
        let words: Vec<&str> = fact.split(' ').filter(|word| word.len() > 5).take(3).collect();
        let query = Query {
            namespace: Some("sessions".to_owned()),
            limit: 5,
            ..Query::new(words.join(" "))
        };
        let hits = fixture.memory.search(&query).unwrap();
        // The source of a hit leads to the whole text.
        found += usize::from(
            hits.iter().any(|hit| {
                let id = hit
                    .source
                    .strip_prefix("expand(")
                    .and_then(|rest| rest.strip_suffix(')'))
                    .unwrap();
                fixture.memory.expand(id).unwrap().unwrap().contains(fact)
            }) || text.contains(fact),
        );
    }
    assert!(found * 100 >= PLANTED.len() * 95, "{found} of {}", PLANTED.len());
    // The lines themselves are all there.
    let lines = fixture.memory.session("s").unwrap().read().unwrap();
    let all = format!("{lines:?}");
    assert!(PINNED.iter().chain(&PLANTED).all(|fact| all.contains(fact)));
}

#[test]
fn a_summarizer_that_fails_changes_nothing() {
    struct Failing;
    impl Summarizer for Failing {
        fn summarise(&self, _: &str, _: &[SessionMessage], _: usize) -> Result<String, SummaryError> {
            Err(SummaryError {
                reason: "unplugged".to_owned(),
                source: None,
            })
        }
    }
    let fixture = Fixture::new();
    for filler in FILLER {
        say(&fixture, SessionRole::User, filler);
    }
    let before = fixture.memory.session("s").unwrap().read().unwrap();
    let failed = fixture
        .memory
        .compact_session("s", &Budget::of_window(100), &Failing)
        .unwrap_err();
    assert!(failed.to_string().contains("unplugged"), "{failed}");
    assert_eq!(fixture.memory.session("s").unwrap().read().unwrap(), before);
    assert_eq!(fixture.memory.stats().unwrap().documents, 0);
}

#[test]
fn a_session_is_exported_as_plain_lines() {
    let fixture = Fixture::new();
    say(&fixture, SessionRole::User, "hello");
    let mut lines = Vec::new();
    fixture
        .memory
        .session("s")
        .unwrap()
        .export_plain(&mut lines)
        .unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        SessionRecord::parse(line.as_bytes()).unwrap();
    }
    assert!(lines.ends_with("\"hello\"}]}}\n"), "{lines}");
}

#[test]
fn compacted_sessions_are_forgotten_with_what_left_them() {
    let fixture = Fixture::new();
    for filler in FILLER {
        say(&fixture, SessionRole::User, filler);
    }
    let done = fixture
        .memory
        .compact_session("s", &Budget::of_window(120), &ExtractiveSummarizer)
        .unwrap()
        .unwrap();
    fixture
        .memory
        .ingest(&Document::new("other", "", "other text"))
        .unwrap();
    fixture
        .memory
        .forget_everywhere(&openhuman_memory::forget::Forget::Source("s".to_owned()))
        .unwrap();
    assert_eq!(fixture.memory.expand(&done.original).unwrap(), None);
    assert_eq!(fixture.memory.stats().unwrap().documents, 1);
}
