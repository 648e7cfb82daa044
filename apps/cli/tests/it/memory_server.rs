//! A server for the vectors, chosen at the terminal: its key goes through a descriptor into the vault.

use serde_json::Value;

use crate::harness::{PASSWORD, Sandbox, end};
use crate::strict_embeddings::{DIMENSIONS, KEY, Strict};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_memory_moves_to_a_server_and_back() {
    let sandbox = Sandbox::new();
    let strict = Strict::start();
    for number in 0..150 {
        let text = format!("Note {number} speaks of thing{number}.");
        sandbox.file(&format!("notes/{number}.md"), &text);
    }
    let folder = sandbox.path().join("notes");
    sandbox.run(&["memory", "add", folder.to_str().unwrap()]).ok();

    let dimensions = DIMENSIONS.to_string();
    let set = |key: &str| {
        let args = [
            "memory",
            "embedder",
            "set",
            "--url",
            &strict.url,
            "--model",
            "tiny-embed",
            "--dimensions",
            &dimensions,
            "--key-fd",
            "0",
            "--password-fd",
            "0",
        ];
        end(&mut sandbox.command(&args), &format!("{PASSWORD}\n{key}\n"))
    };
    set("sk-another").fails(2, &["Incorrect API key", "nothing was changed"]);
    let chosen = set(KEY).ok();
    assert!(
        chosen.contains("memory reembed") && chosen.contains("searches go on"),
        "{chosen}"
    );

    let moved = sandbox.run(&["memory", "reembed"]);
    assert!(
        moved.stderr.contains("150 of 150 passages"),
        "no progress in: {}",
        moved.stderr
    );
    let moved = moved.ok();
    assert!(
        moved.contains("All vectors are of 127.0.0.1/tiny-embed"),
        "{moved}"
    );
    let found = json(&sandbox.run(&["memory", "search", "thing7", "--json"]).ok());
    assert!(
        found["hits"][0]["text"].as_str().unwrap().contains("thing7."),
        "{found}"
    );
    assert_eq!(strict.seen().last().unwrap(), "thing7");
    let log = sandbox.run(&["vault", "log"]).ok();
    assert!(
        log.contains("memory-embedding-key") && log.contains("the memory is embedded at"),
        "{log}"
    );

    let back = sandbox.run(&["memory", "embedder", "reset"]).ok();
    assert!(
        back.contains("Searches fail") && back.contains("memory reembed"),
        "{back}"
    );
    sandbox
        .run(&["memory", "search", "thing7"])
        .fails(6, &["memory reembed"]);
    sandbox.run(&["memory", "reembed"]).ok();
    let found = json(&sandbox.run(&["memory", "search", "thing9", "--json"]).ok());
    assert!(
        found["hits"][0]["text"].as_str().unwrap().contains("thing9."),
        "{found}"
    );
}
