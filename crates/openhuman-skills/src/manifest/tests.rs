use super::*;

fn parse(json: &str) -> Result<Manifest, PackageError> {
    Manifest::parse(json)
}

fn problems(json: &str) -> Vec<Lint> {
    match parse(json) {
        Err(PackageError::Manifest(error)) => error.problems().to_vec(),
        other => panic!("{json}: {other:?}"),
    }
}

#[test]
fn a_small_manifest_gets_the_defaults() {
    let manifest =
        parse(r#"{"id":"server-ping","name":"Ping","unknown":{"x":[1]},"tick_interval":5}"#).unwrap();
    assert_eq!(manifest.entry, "index.js");
    assert_eq!(manifest.memory_limit_mb, 64);
    assert!(manifest.permissions.is_none() && !manifest.auto_start && manifest.supports_this_platform());
    assert!(!manifest.module && manifest.skill_type == "openhuman" && manifest.tick_interval == Some(5.0));
}

#[test]
fn null_counts_as_absent() {
    let json = r#"{"id":"a","name":"A","platforms":null,"setup":null,"permissions":null,"entry":null,"version":null}"#;
    assert_eq!(parse(json).unwrap().entry, "index.js");
}

#[test]
fn memory_is_capped() {
    let manifest = parse(r#"{"id":"a","name":"A","memory_limit_mb":99999}"#).unwrap();
    assert_eq!(manifest.memory_limit_mb, 256);
}

#[test]
fn entries_cannot_leave_the_package() {
    for entry in [
        "../x.js",
        "/etc/passwd",
        "a/../../b.js",
        "C:x.js",
        "a\\b.js",
        "",
        "./x.js",
        "a//b",
        "x.js. ",
        "a/..",
        "nul.js",
    ] {
        let json = serde_json::json!({"id": "a", "name": "A", "entry": entry}).to_string();
        assert_eq!(problems(&json)[0].path, "entry", "{entry:?}");
    }
    let manifest = parse(r#"{"id":"a","name":"A","entry":"dist/main.js"}"#).unwrap();
    assert_eq!(manifest.entry, "dist/main.js");
}

#[test]
fn what_cannot_run_is_refused() {
    for json in [
        "",
        "[]",
        "{",
        r#"{"name":"A"}"#,
        r#"{"id":"a_b","name":"A"}"#,
        r#"{"id":"a"}"#,
        r#"{"id":"a","name":" "}"#,
        r#"{"id":"a","name":"A","runtime":"python"}"#,
        r#"{"id":"a","id":"b","name":"A"}"#,
        r#"{"id":"a","name":"A","setup":{"auth":{"modes":[]}}}"#,
        r#"{"id":"a","name":"A","setup":{"auth":{}}}"#,
        r#"{"id":"a","name":"A","setup":{"auth":{"modes":[{"type":"magic"}]}}}"#,
        r#"{"id":"a","name":"A","setup":{"auth":{"modes":[{}]}}}"#,
    ] {
        assert!(parse(json).is_err(), "{json}");
    }
}

#[test]
fn every_problem_names_its_field_line_and_column() {
    let json = "{\n  \"id\": \"Bad_Id\",\n  \"name\": 7,\n  \"permissions\": {\n    \"net\": [\n      { \"host\": \"https://a.org/\" },\n      { \"host\": \"a.org\", \"ports\": [443, 0] }\n    ],\n    \"notify\": \"yes\"\n  }\n}\n";
    let found: Vec<_> = problems(json)
        .into_iter()
        .map(|problem| (problem.path, problem.line, problem.column))
        .collect();
    let expected = [
        ("id", 2, 9),
        ("name", 3, 11),
        ("permissions.net[0].host", 6, 17),
        ("permissions.net[1].ports[1]", 7, 41),
        ("permissions.notify", 9, 15),
    ];
    let expected: Vec<_> = expected
        .map(|(path, line, column)| (path.to_owned(), line, column))
        .into();
    assert_eq!(found, expected);
    let text = parse(json).unwrap_err().to_string();
    assert!(
        text.contains("line 2, column 9: `id` is \"Bad_Id\"; it must be lower-case"),
        "{text}"
    );
}

#[test]
fn a_syntax_error_names_its_line() {
    let problem = &problems("{\n  \"id\": \"a\",\n  \"name\" \"A\"\n}")[0];
    assert_eq!((problem.line, problem.column), (3, 10));
    assert!(problem.message.contains("expected `:`"), "{problem}");
}

#[test]
fn permissions_are_read() {
    let manifest = parse(
        r#"{"id":"a","name":"A","permissions":{"net":[{"host":"api.example.com","methods":["GET"],"ports":[8443],"secret":"key","http":true}],
            "env":["PRICES_URL"],"events":["tick"],"notify":true,"db":{"max_mb":8},"data":{"max_mb":2},
            "websocket":[{"host":"*.example.com","ports":[443]}],"tools":["other.get", {"call":"third.*"}],
            "memory":{"insert":true},"model":true,"webhooks":true}}"#,
    )
    .unwrap();
    let permissions = manifest.permissions.unwrap();
    assert_eq!(permissions.net[0].ports, [8443]);
    assert_eq!(permissions.net[0].secret.as_deref(), Some("key"));
    assert_eq!(permissions.websocket[0].host, "*.example.com");
    assert_eq!(permissions.tools, ["other.get", "third.*"]);
    assert!(permissions.notify && permissions.model && permissions.webhooks);
    assert!(permissions.memory.insert && !permissions.memory.recall);
    assert_eq!(
        (permissions.db.max_mb, permissions.data.max_mb),
        (Some(8), Some(2))
    );
    for (written, insert, recall) in [
        (r#""insert""#, true, false),
        (r#"["insert","recall"]"#, true, true),
    ] {
        let json = format!(r#"{{"id":"a","name":"A","permissions":{{"memory":{written}}}}}"#);
        let memory = parse(&json).unwrap().permissions.unwrap().memory;
        assert_eq!((memory.insert, memory.recall), (insert, recall));
    }
}

#[test]
fn hosts_are_host_names() {
    for (host, good) in [
        ("a.org", true),
        ("*.a.org", true),
        ("*", true),
        ("127.0.0.1", true),
        ("[::1]", true),
        ("localhost", true),
        ("a.org:80", false),
        ("https://a.org", false),
        ("a.org/x", false),
        ("u@a.org", false),
        ("a.*.org", false),
        ("", false),
        ("*.", false),
    ] {
        let json =
            serde_json::json!({"id":"a","name":"A","permissions":{"net":[{"host": host}]}}).to_string();
        assert_eq!(parse(&json).is_ok(), good, "{host}");
    }
}

#[test]
fn setup_is_read_in_full() {
    let manifest = parse(
        r#"{"id":"mail","name":"Mail","setup":{"required":true,"label":"Connect","auth":{"modes":[
            {"type":"managed","provider":"google","scopes":["mail.read"],"apiBaseUrl":"https://mail.example.com"},
            {"type":"self_hosted","label":"Own app","fields":[
                {"name":"client_id","type":"text","label":"Client","required":true,"placeholder":"..."},
                {"name":"region","type":"select","label":"Region","default":"eu","options":[{"label":"EU","value":"eu"},"us"]}]},
            {"type":"text","textDescription":"Paste it","textPlaceholder":"{}"}]}}}"#,
    )
    .unwrap();
    let modes = &manifest.setup.auth.as_ref().unwrap().modes;
    assert_eq!((modes.len(), modes[0].scopes.len()), (3, 1));
    assert!(modes[1].fields[0].required && modes[1].fields[1].default == Some("eu".into()));
    assert_eq!(modes[1].fields[1].options[1].label, "us");
    assert_eq!(modes[2].text_placeholder.as_deref(), Some("{}"));
}

#[test]
fn lint_finds_what_is_probably_not_meant() {
    let json = r#"{"id":"a","name":"A","versoin":"1","entry":"index.js","x-mine":1,
        "permissions":{"nett":[],"net":[{"host":"*","method":["GET"]}],"notifications":true}}"#;
    let found: Vec<_> = Manifest::lint(json)
        .iter()
        .map(|lint| format!("{} {}", lint.path, lint.message))
        .collect();
    for expected in [
        "versoin is not a known key; did you mean `version`?",
        "permissions.nett is not a known key; did you mean `net`?",
        "permissions.net[0].method is not a known key; did you mean `methods`?",
        "permissions.net[0].host asks for every host",
        "permissions.notifications is not a known key; known are",
    ] {
        assert!(
            found.iter().any(|lint| lint.starts_with(expected)),
            "{expected}: {found:#?}"
        );
    }
    assert!(!found.iter().any(|lint| lint.contains("x-mine")));
    let clean = r#"{"id":"a","name":"A","version":"1.0.0","entry":"index.js","permissions":{"net":[{"host":"a.org"}]}}"#;
    assert_eq!(Manifest::lint(clean), []);
}

#[test]
fn deep_or_huge_texts_are_refused_without_harm() {
    let deep = format!(
        "{{\"id\":\"a\",\"name\":\"A\",\"x\":{}{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    assert!(parse(&deep).is_err());
    let nested = format!(
        "{{\"id\":\"a\",\"name\":\"A\",\"x\":{}{}}}",
        "[".repeat(60),
        "]".repeat(60)
    );
    assert!(parse(&nested).is_ok());
    assert!(matches!(
        parse(&" ".repeat(MAX_MANIFEST + 1)),
        Err(PackageError::TooLarge { .. })
    ));
}
