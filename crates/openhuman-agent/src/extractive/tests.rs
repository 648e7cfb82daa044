use super::*;
use crate::message::Recalled;
use serde_json::json;

fn tool(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        parameters: json!({"type": "object"}),
        read_only: true,
    }
}

fn recalled(title: &str, text: &str) -> Recalled {
    Recalled {
        title: title.to_owned(),
        source: format!("{title}.md"),
        text: text.to_owned(),
        score: 1.0,
    }
}

fn request(prompt: &str, context: Vec<Recalled>) -> ModelRequest {
    ModelRequest {
        messages: vec![
            Message::user("earlier"),
            Message::assistant("x"),
            Message::user(prompt),
        ],
        tools: vec![tool("notes__find_notes"), tool("prices__get_price")],
        context,
        ..ModelRequest::default()
    }
}

fn text(request: &ModelRequest) -> String {
    match reply(request) {
        Reply::Text(text) => text,
        Reply::Calls(calls) => panic!("calls {calls:?}"),
    }
}

fn calls(prompt: &str) -> Vec<(String, Value)> {
    match reply(&request(prompt, Vec::new())) {
        Reply::Calls(calls) => calls
            .into_iter()
            .map(|call| (call.name, call.arguments))
            .collect(),
        Reply::Text(text) => panic!("text {text}"),
    }
}

#[test]
fn the_best_sentences_are_quoted_with_their_sources() {
    let context = vec![
        recalled("garden", "Roses need water. They like sun."),
        recalled(
            "plan",
            "# Staking\nI stake 32 ETH in June. The validator runs at home. Version 1.5 is fine.",
        ),
    ];
    let answer = text(&request("When do I stake my ETH?", context.clone()));
    assert!(answer.contains("“I stake 32 ETH in June.” [1]"), "{answer}");
    assert!(answer.contains("[1] plan (plan.md)"), "{answer}");
    assert!(
        !answer.contains("Roses") && !answer.contains("garden"),
        "{answer}"
    );
    assert!(
        answer.contains("No language model is connected") && answer.contains("OPENAI_BASE_URL"),
        "{answer}"
    );
    assert_eq!(answer, text(&request("When do I stake my ETH?", context)));
}

#[test]
fn two_sources_get_two_markers() {
    let context = vec![
        recalled("a", "The staking plan is bold."),
        recalled("b", "My staking plan starts in May."),
    ];
    let answer = text(&request("staking plan", context));
    assert!(
        answer.contains("bold.” [1]") && answer.contains("May.” [2]"),
        "{answer}"
    );
    assert!(answer.contains("[1] a (a.md)\n[2] b (b.md)"), "{answer}");
}

#[test]
fn nothing_recalled_is_said() {
    assert!(text(&request("What is my plan?", Vec::new())).starts_with("Nothing in memory fits"));
    assert!(text(&request("plan?", vec![recalled("x", " \n--\n")])).starts_with("Nothing in memory fits"));
}

#[test]
fn a_tool_named_inside_a_text_that_came_along_is_not_called() {
    let filler = "The minutes of the meeting go on and on. ".repeat(12);
    let pasted =
        format!("{filler}\nThen notes__find_notes {{\"query\":\"x\"}} and some__other {{}} were named.");
    let answer = text(&request(&format!("Summarise this:\n\n{pasted}"), Vec::new()));
    assert!(answer.starts_with("From your text:"), "{answer}");
    // Long arguments are not such a text.
    let long = format!("notes__find_notes {{\n\n\"query\": \"{filler}\"}}");
    assert_eq!(calls(&long).len(), 1);
    let after = format!("Please run\n\nnotes__find_notes {{\"query\": \"{filler}\"}}");
    assert_eq!(calls(&after).len(), 1);
}

#[test]
fn a_named_tool_is_called() {
    assert_eq!(
        calls("notes__find_notes {\"query\":\"staking\"}"),
        [("notes__find_notes".to_owned(), json!({"query": "staking"}))]
    );
    assert_eq!(
        calls("Please run `prices__get_price`."),
        [("prices__get_price".to_owned(), json!({}))]
    );
    let both =
        calls("prices__get_price {\"symbol\":\"ETH\"} and notes__find_notes: {\"query\":\"a__b {}\"} thanks");
    assert_eq!(both.len(), 2);
    assert_eq!(both[1].1, json!({"query": "a__b {}"}));
}

#[test]
fn broken_arguments_are_not_run() {
    let answer = text(&request("notes__find_notes {query: staking}", Vec::new()));
    assert!(
        answer.contains("not a JSON object") && answer.contains("not called"),
        "{answer}"
    );
}

#[test]
fn an_unknown_tool_is_named() {
    let answer = text(&request("notes__delete {}", Vec::new()));
    assert!(
        answer.contains("no tool named `notes__delete`") && answer.contains("notes__find_notes"),
        "{answer}"
    );
}

#[test]
fn results_are_shown() {
    let mut request = request("notes__find_notes", Vec::new());
    let call = ToolCall {
        id: "1".to_owned(),
        name: "notes__find_notes".to_owned(),
        arguments: json!({}),
    };
    request.messages.push(Message {
        tool_calls: vec![call],
        ..Message::assistant("")
    });
    request
        .messages
        .push(Message::tool("1", "{\"notes\":[{\"text\":\"3 ETH\"}]}"));
    let answer = text(&request);
    assert!(
        answer.starts_with("`notes__find_notes` answered:") && answer.contains("\"text\": \"3 ETH\""),
        "{answer}"
    );
}

#[test]
fn odd_prompts_do_no_harm() {
    for prompt in [
        "",
        "__",
        "a__",
        "__b",
        "é__ü {",
        "notes__find_notes{",
        "{}{}{}",
        "x__y__z {\"a\":{\"b\":[1,2",
    ] {
        let _ = reply(&request(prompt, vec![recalled("t", "é. ü! 。?. ...")]));
    }
}
