use super::*;

fn env(name: &str) -> Option<String> {
    (name == "SET").then(|| "value".to_owned())
}

#[test]
fn the_files_of_other_programs_are_understood() {
    let path = std::env::temp_dir().join(format!("openhuman-mcp-config-{}.json", std::process::id()));
    let text = json!({
        "theme": "dark",
        "mcpServers": {
            "My Files": {"command": "npx", "args": ["-y", "x"], "env": {"A": "${SET}!"}, "type": "stdio", "other": 1},
            "wiki": {"type": "http", "url": "https://w.example/mcp", "headers": {"X": "1"}, "trusted": true},
            "off": {"command": "x", "disabled": true},
            "old": {"type": "sse", "url": "https://w.example/sse"},
            "unset": {"command": "x", "env": {"A": "${UNSET}"}},
            "my_files": {"command": "y"},
            "none": {},
        },
    });
    std::fs::write(&path, text.to_string()).unwrap();
    let mut file = ConfigFile::open(&path).unwrap();
    let servers = file.servers(&env);
    let reasons: Vec<String> = servers
        .iter()
        .filter_map(|server| server.as_ref().err().map(ToString::to_string))
        .collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(
        reasons[0].contains("'my_files' has the id 'my-files' of another one"),
        "{reasons:?}"
    );
    assert!(
        reasons
            .iter()
            .any(|text| text.contains("environment variable UNSET")),
        "{reasons:?}"
    );
    let usable: Vec<ServerConfig> = servers.into_iter().flatten().collect();
    let files = &usable[0];
    assert_eq!((files.id.as_str(), files.name.as_str()), ("my-files", "My Files"));
    let Transport::Child(start) = &files.transport else {
        panic!("a child");
    };
    assert_eq!(start.env["A"], "value!");
    assert!(!format!("{files:?}").contains("value!"), "values are not printed");
    assert!(usable.iter().any(|server| server.disabled));
    assert!(
        usable
            .iter()
            .any(|server| server.trusted && matches!(server.transport, Transport::Http(_)))
    );

    file.add("new", json!({"command": "z"})).unwrap();
    assert!(file.add("bad", json!({"url": "ftp://x"})).is_err());
    assert!(file.remove("old").unwrap() && !file.remove("old").unwrap());
    let again: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(again["theme"], "dark", "what is not ours stays");
    assert_eq!(again["mcpServers"]["My Files"]["other"], 1);
    assert_eq!(again["mcpServers"]["new"]["command"], "z");
    assert!(again["mcpServers"].get("old").is_none() && again["mcpServers"].get("bad").is_none());
    std::fs::remove_file(&path).unwrap();
    assert!(ConfigFile::open(&path).unwrap().servers(&env).is_empty());
}

#[test]
fn ids_have_no_underscore_and_are_short() {
    assert_eq!(id_of("My_Server (2)"), "my-server-2");
    assert_eq!(id_of("__"), "");
    assert_eq!(id_of(&"ä1".repeat(40)).len(), 23);
}
