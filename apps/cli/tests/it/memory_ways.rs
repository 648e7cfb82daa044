//! The memory at the terminal: what the assistant would be told, what is at hand, what is forgotten, the conversations.

use serde_json::Value;

use crate::harness::Sandbox;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_folder_is_imported_with_a_summary_and_a_question_shows_what_would_be_told() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "notes/garden.md",
        "# Garden\n\nThe barrel holds two hundred litres and lasts nine days in July.\n",
    );
    sandbox.file(
        "notes/boat.txt",
        "The boat needs new rope before the regatta in August.",
    );
    std::fs::write(sandbox.path().join("notes/old.txt"), b"caf\xe9").unwrap();
    let folder = sandbox.path().join("notes");
    let imported = sandbox.run(&["memory", "import", folder.to_str().unwrap()]);
    assert!(
        imported.stderr.contains("old.txt: it is not a text: its byte 3"),
        "{}",
        imported.stderr
    );
    let said = imported.ok();
    assert!(
        said.contains("2 files in 2 passages") && said.contains("1 file could not be used"),
        "{said}"
    );

    let told = sandbox
        .run(&["memory", "context", "How long does the barrel last?", "--explain"])
        .ok();
    for part in [
        "[1] Garden",
        "nine days",
        "Sources",
        "of 1500 tokens",
        "words of the question",
        "cosine",
    ] {
        assert!(told.contains(part), "'{part}' is not in: {told}");
    }
    let told = json(
        &sandbox
            .run(&[
                "memory",
                "context",
                "How long does the barrel last?",
                "--json",
                "--tokens",
                "60",
            ])
            .ok(),
    );
    assert!(told["tokens"].as_u64().unwrap() <= 60, "{told}");
    assert_eq!(told["passages"][0]["title"], "Garden");
    let nothing = sandbox.run(&["memory", "context", "xylophone"]).ok();
    assert!(
        nothing.contains("Nothing in the memory has to do with it"),
        "{nothing}"
    );
    sandbox
        .run(&["memory", "context", "?!"])
        .fails(2, &["nothing to look for"]);

    let only = json(
        &sandbox
            .run(&[
                "memory",
                "search",
                "rope",
                "--namespace",
                "conversations",
                "--json",
            ])
            .ok(),
    );
    assert_eq!(only["hits"], Value::Array(Vec::new()));
    let sound = sandbox.run(&["memory", "check"]).ok();
    assert!(
        sound.contains("belong together") && sound.contains("computed here"),
        "{sound}"
    );
}

#[test]
fn what_is_at_hand_is_listed_pinned_closed_and_goes_through_a_file() {
    let sandbox = Sandbox::new();
    let empty = sandbox.run(&["memory", "profile", "list"]).ok();
    assert!(empty.contains("profile remember"), "{empty}");
    sandbox
        .run(&[
            "memory",
            "profile",
            "remember",
            "preference",
            "answers",
            "in",
            "German",
            "--slot",
            "tongue",
        ])
        .ok();
    sandbox
        .run(&[
            "memory",
            "profile",
            "remember",
            "preference",
            "answers in French",
            "--slot",
            "tongue",
        ])
        .ok();
    let listed = json(&sandbox.run(&["memory", "profile", "list", "--json"]).ok());
    assert_eq!(
        listed["items"].as_array().unwrap().len(),
        1,
        "the newer one took its place: {listed}"
    );
    assert_eq!(listed["items"][0]["text"], "answers in French");
    let id = listed["items"][0]["id"].to_string();
    sandbox.run(&["memory", "profile", "pin", &id]).ok();
    assert!(
        sandbox
            .run(&["memory", "profile", "list"])
            .ok()
            .contains("pinned")
    );

    let file = sandbox.path().join("profile.md");
    let file = file.to_str().unwrap();
    sandbox.run(&["memory", "profile", "export", file]).ok();
    sandbox
        .run(&["memory", "profile", "export", file])
        .fails(1, &["cannot write"]);
    sandbox.run(&["memory", "profile", "close", &id]).ok();
    sandbox
        .run(&["memory", "profile", "close", &id])
        .fails(3, &["profile list"]);
    let imported = sandbox.run(&["memory", "profile", "import", file]).ok();
    assert!(imported.contains("1 item new or changed"), "{imported}");
    let broken = sandbox.file("broken.md", "## colours\n\n- red\n");
    sandbox
        .run(&["memory", "profile", "import", broken.to_str().unwrap()])
        .fails(1, &["line 1"]);
}

#[test]
fn forgetting_reaches_everything_and_names_the_copies_from_before() {
    let sandbox = Sandbox::new();
    let file = sandbox.file(
        "people.md",
        "Bertram Quill works at Siemens. The weather was fine.\n",
    );
    sandbox.run(&["memory", "add", file.to_str().unwrap()]).ok();
    let facts = sandbox.run(&["memory", "graph", "facts", "Bertram Quill"]).ok();
    assert!(facts.contains("works at") && facts.contains("Siemens"), "{facts}");
    sandbox
        .run(&["ask", "--thread", "talk", "Who is Bertram Quill?"])
        .ok();
    let shown = sandbox.run(&["memory", "sessions", "show", "talk"]).ok();
    assert!(
        shown.contains("You") && shown.contains("Who is Bertram Quill?"),
        "{shown}"
    );
    let export = sandbox.path().join("export");
    sandbox.run(&["memory", "export", export.to_str().unwrap()]).ok();
    let backup = sandbox.path().join("backup");
    sandbox.run(&["vault", "backup", backup.to_str().unwrap()]).ok();

    // Nobody is there to say yes.
    sandbox
        .run(&["memory", "forget", "--person", "Bertram Quill"])
        .fails(5, &["--yes"]);
    let forgotten = sandbox
        .run(&["memory", "forget", "--person", "Bertram Quill", "--yes"])
        .ok();
    assert!(
        forgotten.contains("finds nothing of it") && forgotten.contains("Copies from before"),
        "{forgotten}"
    );
    assert!(
        forgotten.contains("backup") && forgotten.contains("memory.db"),
        "{forgotten}"
    );
    let shown = sandbox.run(&["memory", "sessions", "show", "talk"]).ok();
    assert!(!shown.contains("Bertram"), "{shown}");
    let facts = sandbox.run(&["memory", "graph", "facts", "Bertram Quill"]).ok();
    assert!(facts.contains("No such fact"), "{facts}");

    let listed = json(&sandbox.run(&["memory", "backups", "--json"]).ok());
    assert!(listed["backups"].as_array().unwrap().len() >= 3, "{listed}");
    sandbox.run(&["memory", "backups", "--delete"]).ok();
    assert!(!backup.exists() && !export.join("memory.db").exists());
    assert!(sandbox.run(&["memory", "backups"]).ok().contains("No copy"));
    let nothing = sandbox
        .run(&["memory", "forget", "--phrase", "no such words", "--yes"])
        .ok();
    assert!(nothing.contains("There was nothing of the words"), "{nothing}");
    sandbox.run(&["memory", "forget"]).fails(2, &["--person"]);
    sandbox
        .run(&["memory", "forget", "--person", "a", "--skill", "b"])
        .fails(2, &["cannot be used with"]);
}

#[test]
fn conversations_are_listed_written_out_and_forgotten() {
    let sandbox = Sandbox::new();
    assert!(
        sandbox
            .run(&["memory", "sessions", "list"])
            .ok()
            .contains("no conversation yet")
    );
    sandbox
        .run(&["ask", "--thread", "talk", "What do you know about rope?"])
        .ok();
    let listed = sandbox.run(&["memory", "sessions", "list"]).ok();
    assert!(
        listed.contains("talk")
            && listed.contains("What do you know about rope?")
            && listed.contains("2 messages"),
        "{listed}"
    );
    let lines = sandbox.run(&["memory", "sessions", "export", "talk"]).ok();
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| json(line)["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["session", "message", "message"]);
    sandbox.run(&["memory", "sessions", "forget", "talk"]).ok();
    sandbox
        .run(&["memory", "sessions", "export", "talk"])
        .fails(3, &["talk", "sessions list"]);
}

#[test]
fn facts_are_told_named_walked_and_asked_for() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["memory", "graph", "tell", "Ada", "works with", "Charles"])
        .ok();
    sandbox
        .run(&["memory", "graph", "alias", "Ada", "Countess of Lovelace"])
        .ok();
    let facts = json(
        &sandbox
            .run(&["memory", "graph", "facts", "countess of lovelace", "--json"])
            .ok(),
    );
    assert_eq!(facts["facts"][0]["predicate"], "WORKS_WITH", "{facts}");
    let earlier = sandbox
        .run(&["memory", "graph", "facts", "Ada", "--on", "2001-01-01"])
        .ok();
    assert!(
        earlier.contains("No such fact"),
        "it holds from now on: {earlier}"
    );
    let walked = sandbox.run(&["memory", "graph", "walk", "Charles"]).ok();
    assert!(walked.contains("Ada"), "{walked}");
    sandbox
        .run(&["memory", "graph", "walk", "Nobody"])
        .fails(3, &["Nobody"]);
    sandbox
        .run(&["memory", "graph", "facts", "--on", "yesterday"])
        .fails(2, &["yesterday"]);
    // A server that is not there is said, and not kept.
    let nowhere = ["memory", "graph", "connect", "http://127.0.0.1:9", "--yes"];
    sandbox
        .run(&nowhere)
        .fails(6, &["127.0.0.1:9", "cannot be reached"]);
    sandbox
        .run(&["memory", "graph", "push"])
        .fails(3, &["graph connect"]);
    sandbox
        .run(&["memory", "graph", "connect", "http://127.0.0.1:9"])
        .fails(5, &["--yes"]);
}

#[test]
fn a_server_for_vectors_that_cannot_be_used_changes_nothing() {
    let sandbox = Sandbox::new();
    let set = |url: &str| {
        let args = [
            "memory",
            "embedder",
            "set",
            "--url",
            url,
            "--model",
            "m",
            "--dimensions",
            "8",
        ];
        sandbox.run(&args)
    };
    set("http://127.0.0.1:9/v1").fails(6, &["no answer from 127.0.0.1: ", "nothing was changed"]);
    // Texts would leave the machine, and nobody can be asked.
    set("https://embeddings.invalid/v1").fails(5, &["--yes"]);
    sandbox
        .run(&["memory", "embedder", "set", "--url", "http://127.0.0.1:9/v1"])
        .fails(2, &["--model"]);
    let shown = json(&sandbox.run(&["memory", "embedder", "show", "--json"]).ok());
    assert_eq!(shown["stored"], shown["chosen"]);
    assert_eq!(shown["server"], Value::Null);
    let done = sandbox.run(&["memory", "reembed"]).ok();
    assert!(done.contains("All vectors are of openhuman/"), "{done}");
}

#[test]
fn a_window_that_is_none_is_refused_by_its_name() {
    let mut sandbox = Sandbox::new();
    sandbox.env("OPENHUMAN_CONTEXT_WINDOW", "tiny");
    sandbox
        .run(&["ask", "hello"])
        .fails(2, &["OPENHUMAN_CONTEXT_WINDOW", "tiny"]);
}

#[test]
fn what_a_skill_publishes_after_a_sync_is_at_hand_and_goes_with_the_skill() {
    let sandbox = Sandbox::new();
    let manifest = r#"{ "id": "habits", "name": "Habits", "version": "1.0.0", "auto_start": true,
        "permissions": { "memory": { "insert": true } } }"#;
    let code = "globalThis.__skill = { default: { tools: [], \
        onSync() { state.set('preferences', ['Prefers green tea']); } } };";
    sandbox.file("skills/habits/manifest.json", manifest);
    sandbox.file("skills/habits/index.js", code);
    let dir = sandbox.path().join("skills");
    let dir = dir.to_str().unwrap();
    sandbox
        .run(&["skills", "allow", "habits", "--yes", "--skills-dir", dir])
        .ok();
    sandbox
        .run(&["skills", "sync", "habits", "--skills-dir", dir])
        .ok();
    let listed = sandbox.run(&["memory", "profile", "list"]).ok();
    assert!(
        listed.contains("green tea") && listed.contains("from habits"),
        "{listed}"
    );
    sandbox
        .run(&["memory", "forget", "--skill", "habits", "--yes"])
        .ok();
    assert!(
        !sandbox
            .run(&["memory", "profile", "list"])
            .ok()
            .contains("green tea")
    );
}
