use openhuman_memory::compress::ToolOutput;
use openhuman_memory::forget::Forget;
use openhuman_memory::graph::{Assertion, Change, GraphStore, Object, Provenance};
use openhuman_memory::working::Kind;
use openhuman_memory::{Conversation, Document, MemoryError, Query, SessionRecord, SessionRole, Turn};
use serde_json::json;

use crate::Fixture;

/// Puts somebody everywhere.
fn filled() -> Fixture {
    let fixture = Fixture::new();
    let memory = &fixture.memory;
    fixture.ingest(
        "notes/party",
        "The party is on Friday. Marguerite brings the cake. Bring a coat.",
    );
    fixture.ingest("marguerite/letters", "nothing in the text itself");
    fixture.ingest("rain", "It rains on Sunday.");
    let turns = vec![
        Turn::new("Ada", "Have you seen Marguerite?"),
        Turn::new("Bob", "No. Only the garden."),
        Turn::new("Ada", "Well."),
    ];
    memory
        .ingest_conversation(&Conversation::new("chat", turns))
        .unwrap();
    let session = memory.session("s").unwrap();
    session
        .append(&SessionRecord::text(
            1,
            SessionRole::User,
            "Call Marguerite. And feed the cat.",
        ))
        .unwrap();
    session
        .append(&SessionRecord::text(2, SessionRole::Assistant, "Done."))
        .unwrap();
    memory
        .session("about Marguerite")
        .unwrap()
        .append(&SessionRecord::text(1, SessionRole::User, "x"))
        .unwrap();
    let log = "marguerite logged in from the terrace and looked around\n".repeat(40);
    memory
        .shorten(
            "s",
            &ToolOutput {
                tool: "t",
                command: "",
                text: &log,
            },
        )
        .unwrap();
    let knows =
        Assertion::many("Ada", "knows", Object::entity("Marguerite"), 0).from(Provenance::session("s"));
    let likes = Assertion::many("Ada", "likes", Object::value("tea"), 0).from(Provenance::skill("mail"));
    memory
        .graph()
        .apply("default", &[Change::Assert(knows), Change::Assert(likes)], 1)
        .unwrap();
    memory
        .graph()
        .add_alias("default", "Marguerite", "Peggy")
        .unwrap();
    fixture.ingest("peggy", "Peggy sings. The choir is good.");
    memory
        .working()
        .remember(Kind::Entity, "friend", "is a friend of Marguerite", 1.0)
        .unwrap();
    memory
        .working()
        .sync("mail", &json!({"contacts": ["Marguerite", "Bob Smith"]}))
        .unwrap();
    fixture
}

#[test]
fn a_person_is_forgotten_everywhere_and_a_search_proves_it() {
    let fixture = filled();
    let memory = &fixture.memory;
    let backup = fixture.dir.path().join("backup.db");
    memory.export_plain(&backup).unwrap();
    memory.note_backup(&backup).unwrap();
    assert!(!memory.search(&Query::new("Marguerite cake")).unwrap().is_empty());

    let report = memory
        .forget_everywhere(&Forget::Person("marguerite".to_owned()))
        .unwrap();
    assert_eq!(report.left, Vec::<String>::new());
    // By its key, and nothing else is left of the one about Peggy but the choir.
    assert!(
        report.documents_removed >= 2 && report.documents_changed >= 2,
        "{report:?}"
    );
    assert_eq!(
        (report.sessions_removed, report.session_lines, report.originals),
        (1, 1, 1),
        "{report:?}"
    );
    assert!(report.facts == 1 && report.working_items >= 2, "{report:?}");
    assert_eq!(
        report.backups,
        std::slice::from_ref(&backup),
        "it still holds her"
    );

    let texts: Vec<String> = memory
        .documents(None)
        .unwrap()
        .iter()
        .map(|document| memory.text(&document.id).unwrap().unwrap())
        .collect();
    let all = texts.join("\n");
    assert!(
        all.contains("Bring a coat.")
            && all.contains("It rains on Sunday.")
            && all.contains("Only the garden."),
        "{all}"
    );
    assert!(
        !all.contains("Marguerite") && !all.contains("Peggy sings"),
        "{all}"
    );
    let lines = format!("{:?}", memory.session("s").unwrap().read().unwrap());
    assert!(
        lines.contains("And feed the cat.") && !lines.contains("Marguerite"),
        "{lines}"
    );
    assert_eq!(memory.graph().stats("default").unwrap().facts, 1);
    std::fs::remove_file(backup).unwrap();
    assert!(memory.outdated_backups().unwrap().is_empty());

    let again = memory
        .forget_everywhere(&Forget::Person("marguerite".to_owned()))
        .unwrap();
    assert_eq!(
        (
            again.documents_removed,
            again.documents_changed,
            again.session_lines
        ),
        (0, 0, 0)
    );
}

#[test]
fn the_proof_can_fail() {
    let fixture = filled();
    // Somebody writes it again while it is forgotten: a key no rule reaches.
    let report = fixture
        .memory
        .forget_everywhere(&Forget::Phrase("garden".to_owned()))
        .unwrap();
    assert_eq!(report.left, Vec::<String>::new());
    fixture.ingest("later", "The garden again.");
    let database = fixture.dir.path().join("plain.db");
    fixture.memory.export_plain(&database).unwrap();
    let bytes = std::fs::read(database).unwrap();
    assert!(
        bytes.windows(6).any(|window| window == b"garden"),
        "a plain export shows what is there"
    );
}

#[test]
fn a_forgotten_phrase_leaves_no_byte_in_the_database() {
    let fixture = filled();
    let report = fixture
        .memory
        .forget_everywhere(&Forget::Phrase("MARGUERITE".to_owned()))
        .unwrap();
    assert_eq!(report.left, Vec::<String>::new());
    let plain = fixture.dir.path().join("plain.db");
    fixture.memory.export_plain(&plain).unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(plain).unwrap()).to_lowercase();
    assert!(!text.contains("marguerite") && text.contains("sunday"));
}

#[test]
fn a_skill_is_forgotten_with_what_it_published() {
    let fixture = filled();
    let memory = &fixture.memory;
    let document = Document {
        namespace: "skill-mail".to_owned(),
        ..Document::new("inbox", "", "three letters")
    };
    memory.ingest(&document).unwrap();
    let report = memory
        .forget_everywhere(&Forget::Skill("mail".to_owned()))
        .unwrap();
    assert_eq!(report.left, Vec::<String>::new());
    assert!(
        report.documents_removed >= 2 && report.working_items >= 2 && report.facts == 1,
        "{report:?}"
    );
    assert!(memory.documents(Some("global")).unwrap().is_empty());
    assert_eq!(
        memory.working().items(true).unwrap().len(),
        1,
        "what the user said stays"
    );
}

#[test]
fn a_source_is_forgotten() {
    let fixture = filled();
    let memory = &fixture.memory;
    let from = |key: &str, source: &str| Document {
        source: source.to_owned(),
        ..Document::new(key, "", format!("text of {key}"))
    };
    memory.ingest(&from("a", "https://x.org")).unwrap();
    memory.ingest(&from("b", "https://y.org")).unwrap();
    let report = memory
        .forget_everywhere(&Forget::Source("https://x.org".to_owned()))
        .unwrap();
    assert_eq!((report.documents_removed, report.left.len()), (1, 0));
    let report = memory.forget_everywhere(&Forget::Source("s".to_owned())).unwrap();
    assert_eq!(
        (
            report.sessions_removed,
            report.facts,
            report.originals,
            report.left.len()
        ),
        (1, 1, 1, 0),
        "{report:?}"
    );
    assert!(matches!(
        memory.forget_everywhere(&Forget::Person("  ".to_owned())),
        Err(MemoryError::Empty { .. })
    ));
}
