use openhuman_memory::compress::{ToolOutput, compress};
use serde_json::{Value, json};

use crate::Fixture;

fn corpus() -> Vec<(Value, String)> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tool_outputs");
    let corpus = std::fs::read_to_string(dir.join("corpus.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&corpus).unwrap();
    let text =
        |entry: &Value| std::fs::read_to_string(dir.join(format!("{}.txt", entry["name"].as_str().unwrap())));
    entries
        .into_iter()
        .map(|entry| (text(&entry).unwrap(), entry))
        .map(|(text, entry)| (entry, text))
        .collect()
}

fn output<'a>(entry: &'a Value, text: &'a str) -> ToolOutput<'a> {
    ToolOutput {
        tool: "shell",
        command: entry["command"].as_str().unwrap(),
        text,
    }
}

/// The figures that `examples/compression.rs` prints.
#[test]
fn three_quarters_are_saved_and_the_atoms_are_kept() {
    let (mut saved, mut atoms, mut kept) = (Vec::new(), 0, 0);
    let mut held_out = 0;
    for (entry, text) in corpus() {
        let short = compress(&output(&entry, &text)).unwrap_or_else(|| panic!("{}", entry["name"]));
        saved.push(1.0 - short.tokens_after as f64 / short.tokens_before as f64);
        for atom in entry["atoms"].as_array().unwrap() {
            atoms += 1;
            kept += usize::from(short.text.contains(atom.as_str().unwrap()));
        }
        if entry["held_out"] == json!(true) {
            held_out += 1;
            assert_eq!(short.rule, "general", "{} has no rule of its own", entry["name"]);
        }
    }
    assert!(held_out * 3 >= saved.len(), "a third of the families has no rule");
    saved.sort_by(f64::total_cmp);
    assert!(saved[saved.len() / 2] >= 0.75, "{saved:?}");
    assert!(kept as f64 >= 0.99 * atoms as f64, "{kept} of {atoms}");
}

/// The labels can be missed: cutting the head off, as others do, keeps much less.
#[test]
fn a_head_of_the_same_length_keeps_less() {
    let (mut atoms, mut kept) = (0, 0);
    for (entry, text) in corpus() {
        let short = compress(&output(&entry, &text)).unwrap();
        let head: String = text.chars().take(short.text.chars().count()).collect();
        for atom in entry["atoms"].as_array().unwrap() {
            atoms += 1;
            kept += usize::from(head.contains(atom.as_str().unwrap()));
        }
    }
    assert!(kept * 3 < atoms * 2, "{kept} of {atoms}");
}

#[test]
fn every_original_comes_back_byte_for_byte() {
    let fixture = Fixture::new();
    for (entry, text) in corpus() {
        let short = fixture.memory.shorten("s", &output(&entry, &text)).unwrap();
        let id = short.original.unwrap();
        assert!(
            short.text.contains(&format!("expand({id})")),
            "{}",
            &short.text[..80]
        );
        assert_eq!(
            fixture.memory.expand(&id).unwrap().as_deref(),
            Some(text.as_str())
        );
        assert_eq!(
            fixture
                .memory
                .shorten("t", &output(&entry, &text))
                .unwrap()
                .original,
            Some(id),
            "kept once"
        );
    }
    let brief = ToolOutput {
        tool: "t",
        command: "",
        text: "done",
    };
    assert_eq!(fixture.memory.shorten("s", &brief).unwrap().original, None);
    assert_eq!(fixture.memory.expand("nothing").unwrap(), None);
}

#[test]
fn originals_go_with_the_last_session_that_uses_them() {
    let fixture = Fixture::new();
    let text = "line of text number one\n".repeat(100);
    let output = ToolOutput {
        tool: "t",
        command: "",
        text: &text,
    };
    let id = fixture.memory.shorten("a", &output).unwrap().original.unwrap();
    fixture.memory.shorten("b", &output).unwrap();
    fixture.memory.forget_session("a").unwrap();
    assert!(fixture.memory.expand(&id).unwrap().is_some());
    fixture.memory.forget_session("b").unwrap();
    assert!(fixture.memory.expand(&id).unwrap().is_none());
}
