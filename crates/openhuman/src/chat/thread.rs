//! A thread: the sealed session that keeps it, what a model sees of it, and what the memory learns from it.

use openhuman_agent::{Message, Role, ToolCall};
use openhuman_memory::graph::Speaker;
use openhuman_memory::{
    Budget, Conversation, ExtractiveSummarizer, Memory, MemoryError, Pressure, SessionBlock, SessionMessage,
    SessionRecord, SessionRole, SessionView, Turn, message_tokens,
};
use serde_json::{Map, Value};

use crate::knowledge::{AT_HAND, RECALLED, learn};

/// The part of the memory in which conversations lie.
pub(crate) const NAMESPACE: &str = "conversations";

/// A field of a block whose text only quotes what is remembered already.
const QUOTED: &str = "quoted";

/// Who speaks in a conversation of the memory.
const USER: &str = "User";
const ASSISTANT: &str = "Assistant";

const DAY_MS: i64 = 86_400_000;

/// What a model is shown of a thread.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// The messages that are sent in full, without the new question.
    pub(super) history: Vec<Message>,
    /// What stands for the messages before them; empty when there are none.
    pub(super) before: String,
    /// Whether the history is the whole thread, so that none of it need be recalled.
    pub(super) is_whole: bool,
    /// Why the thread could not be shortened, if it had to be.
    pub(super) notice: Option<String>,
}

/// Writes the user's question into the thread, so that it survives whatever follows, and reads what a model is shown.
/// A thread that fills the window is compacted first. Blocks.
pub(super) fn open(
    memory: &Memory,
    thread: &str,
    prompt: &str,
    budget: &Budget,
) -> Result<Opened, MemoryError> {
    let session = memory.session(thread)?;
    session.append(&said(SessionRole::User, prompt, false))?;
    let mut view = session.view()?;
    let mut opened = Opened::default();
    if pressure(&view, budget) == Pressure::Hard {
        match memory.compact_session(thread, budget, &ExtractiveSummarizer) {
            Ok(done) => {
                tracing::info!(thread, compacted = done.is_some(), "the thread filled the window");
                view = session.view()?;
            }
            Err(error) => {
                opened.notice = Some(format!(
                    "the conversation is too long for the model and could not be summed up, so its oldest part is left \
                     out: {error}"
                ));
            }
        }
    }
    show(&view, budget, prompt, &mut opened);
    Ok(opened)
}

/// How urgent it is to compact, with what every question brings along.
fn pressure(view: &SessionView, budget: &Budget) -> Pressure {
    budget.pressure(view.tokens() + RECALLED + AT_HAND)
}

fn show(view: &SessionView, budget: &Budget, prompt: &str, opened: &mut Opened) {
    let mut rendered = view.render();
    if rendered
        .first()
        .is_some_and(|first| first.role == SessionRole::System)
    {
        opened.before = text_of(&rendered.remove(0));
    }
    // The question itself is sent beside the history.
    let asked = |message: &SessionMessage| message.role == SessionRole::User && text_of(message) == prompt;
    if let Some(at) = rendered.iter().rposition(asked) {
        rendered.remove(at);
    }
    let mut room = (budget.window * usize::from(budget.hard) / 100).saturating_sub(RECALLED + AT_HAND);
    let mut first = rendered.len();
    while first > 0 {
        let tokens = message_tokens(&rendered[first - 1]);
        if tokens > room {
            break;
        }
        room -= tokens;
        first -= 1;
    }
    opened.is_whole = first == 0 && view.compactions == 0;
    let messages: Vec<Message> = rendered
        .drain(first..)
        .flat_map(|message| as_messages(&message))
        .collect();
    // A provider refuses a history that starts with an answer to something it does not see.
    let question = messages.iter().position(|message| message.role == Role::User);
    let mut messages = messages.into_iter();
    for message in messages.by_ref().take(question.unwrap_or(usize::MAX)) {
        if message.role == Role::Assistant && !message.content.is_empty() {
            opened.before.push_str("\n\nThe assistant said: ");
            opened.before.push_str(&message.content);
        }
    }
    opened.history = messages.collect();
}

/// Writes what followed a question into the thread: calls of tools, their results, the answer. Blocks.
pub(super) fn append(
    memory: &Memory,
    thread: &str,
    messages: &[Message],
    quoted: bool,
) -> Result<(), MemoryError> {
    let session = memory.session(thread)?;
    for message in messages {
        session.append(&as_record(message, quoted))?;
    }
    Ok(())
}

/// Puts what was said since the day of the latest question into the searchable memory, and what it tells into the
/// graph. A conversation is one document a day, so that a long thread does not make every exchange cost more. Blocks.
pub(super) fn remember(memory: &Memory, thread: &str) -> Result<(), MemoryError> {
    let records = memory.session(thread)?.read()?;
    let Some(conversation) = conversation(thread, &records) else {
        return Ok(());
    };
    let report = memory.ingest_conversation(&conversation)?;
    if !report.unchanged {
        learn(memory, &report.document_id, Speaker::Turns);
    }
    Ok(())
}

/// Sums up the oldest part of a thread when there is time and it is getting long. Blocks.
pub(super) fn tidy(memory: &Memory, thread: &str, budget: &Budget) -> Result<(), MemoryError> {
    if pressure(&memory.session(thread)?.view()?, budget) >= Pressure::Soft {
        memory.compact_session(thread, budget, &ExtractiveSummarizer)?;
    }
    Ok(())
}

/// The source of what a search finds of a thread.
pub(super) fn source_of(thread: &str) -> String {
    format!("conversation {thread}")
}

/// What was said on the day of the latest question and since, without what only quotes the memory.
fn conversation(thread: &str, records: &[SessionRecord]) -> Option<Conversation> {
    let said = records.iter().filter_map(|record| match record {
        SessionRecord::Message { timestamp, message } => Some((*timestamp, message)),
        _ => None,
    });
    let said: Vec<(i64, &SessionMessage)> = said.collect();
    let latest = said
        .iter()
        .rfind(|(_, message)| message.role == SessionRole::User)?
        .0;
    let day = latest.div_euclid(DAY_MS);
    let mut began = None;
    let mut turns = Vec::new();
    for (timestamp, message) in said.iter().filter(|(timestamp, _)| *timestamp >= day * DAY_MS) {
        let speaker = match message.role {
            SessionRole::User => USER,
            SessionRole::Assistant => ASSISTANT,
            _ => continue,
        };
        let text = text_of(message);
        if text.trim().is_empty()
            || message
                .content
                .iter()
                .any(|block| block.rest.contains_key(QUOTED))
        {
            continue;
        }
        began.get_or_insert(*timestamp);
        turns.push(Turn::new(speaker, text));
    }
    let date = jiff::Timestamp::from_millisecond(day * DAY_MS).ok()?;
    Some(Conversation {
        namespace: NAMESPACE.to_owned(),
        title: format!("Conversation {thread}"),
        source: source_of(thread),
        created_ms: began,
        ..Conversation::new(format!("{thread}/{}", date.strftime("%Y-%m-%d")), turns)
    })
}

fn said(role: SessionRole, text: &str, quoted: bool) -> SessionRecord {
    let mut record = SessionRecord::text(jiff::Timestamp::now().as_millisecond(), role, text);
    if let (true, SessionRecord::Message { message, .. }) = (quoted, &mut record) {
        for block in &mut message.content {
            block.rest.insert(QUOTED.to_owned(), Value::Bool(true));
        }
    }
    record
}

fn block(kind: &str, text: Option<String>, rest: &[(&str, Value)]) -> SessionBlock {
    SessionBlock {
        kind: kind.to_owned(),
        text,
        rest: rest
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect::<Map<_, _>>(),
    }
}

/// A message as a line of the session: calls and results of tools are blocks.
fn as_record(message: &Message, quoted: bool) -> SessionRecord {
    let (role, mut content) = match message.role {
        Role::User => return said(SessionRole::User, &message.content, false),
        Role::System => return said(SessionRole::System, &message.content, false),
        Role::Assistant if message.tool_calls.is_empty() => {
            return said(SessionRole::Assistant, &message.content, quoted);
        }
        Role::Assistant => (SessionRole::Assistant, Vec::new()),
        Role::Tool => {
            let id = Value::from(message.tool_call_id.clone());
            let result = block(
                "tool_result",
                Some(message.content.clone()),
                &[("tool_use_id", id)],
            );
            (SessionRole::Tool, vec![result])
        }
    };
    if message.role == Role::Assistant {
        if !message.content.is_empty() {
            content.push(block("text", Some(message.content.clone()), &[]));
        }
        content.extend(message.tool_calls.iter().map(|call| {
            let fields = [
                ("id", Value::from(call.id.clone())),
                ("name", Value::from(call.name.clone())),
                ("input", call.arguments.clone()),
            ];
            block("tool_use", None, &fields)
        }));
    }
    SessionRecord::Message {
        timestamp: jiff::Timestamp::now().as_millisecond(),
        message: SessionMessage {
            role,
            content,
            usage: None,
        },
    }
}

/// The messages of a line: one, or one for each result.
fn as_messages(message: &SessionMessage) -> Vec<Message> {
    let field = |block: &SessionBlock, name: &str| {
        let value = block.rest.get(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    match message.role {
        SessionRole::User => vec![Message::user(text_of(message))],
        SessionRole::Assistant => {
            let calls = message.content.iter().filter(|block| block.kind == "tool_use");
            let calls = calls.map(|block| ToolCall {
                id: field(block, "id"),
                name: field(block, "name"),
                arguments: block.rest.get("input").cloned().unwrap_or_default(),
            });
            vec![Message {
                tool_calls: calls.collect(),
                ..Message::assistant(text_of(message))
            }]
        }
        SessionRole::Tool => {
            let results = message.content.iter().filter(|block| block.kind == "tool_result");
            let as_message = |block: &SessionBlock| {
                Message::tool(
                    field(block, "tool_use_id"),
                    block.text.clone().unwrap_or_default(),
                )
            };
            results.map(as_message).collect()
        }
        _ => Vec::new(),
    }
}

fn text_of(message: &SessionMessage) -> String {
    message
        .content
        .iter()
        .filter(|block| block.kind == "text")
        .filter_map(|block| block.text.as_deref())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(timestamp: i64, mut record: SessionRecord) -> SessionRecord {
        if let SessionRecord::Message { timestamp: kept, .. } = &mut record {
            *kept = timestamp;
        }
        record
    }

    #[test]
    fn calls_and_results_come_back_from_a_thread_as_they_went_in() {
        let calling = Message {
            tool_calls: vec![ToolCall {
                id: "c1".into(),
                name: "notes__find".into(),
                arguments: json!({ "query": "x" }),
            }],
            ..Message::assistant("Let me look.")
        };
        let messages = [calling, Message::tool("c1", "[]"), Message::assistant("Nothing.")];
        let back: Vec<Message> = messages
            .iter()
            .flat_map(|message| match as_record(message, false) {
                SessionRecord::Message { message, .. } => as_messages(&message),
                _ => Vec::new(),
            })
            .collect();
        assert_eq!(back, messages);
    }

    #[test]
    fn a_conversation_is_what_was_said_that_day_without_quotes_and_tools() {
        let records = [
            at(DAY_MS - 1, said(SessionRole::User, "yesterday", false)),
            at(DAY_MS + 1, said(SessionRole::User, "I moved to Lisbon.", false)),
            at(DAY_MS + 2, as_record(&Message::tool("c1", "[]"), false)),
            at(DAY_MS + 3, said(SessionRole::Assistant, "Noted.", false)),
            at(DAY_MS + 4, said(SessionRole::User, "What do you know?", false)),
            // After midnight, but an answer to a question of the day before.
            at(
                2 * DAY_MS,
                said(SessionRole::Assistant, "“I moved to Lisbon.” [1]", true),
            ),
        ];
        let conversation = conversation("t", &records).unwrap();
        assert_eq!(conversation.key, "t/1970-01-02");
        assert_eq!(conversation.created_ms, Some(DAY_MS + 1));
        let turns: Vec<(&str, &str)> = conversation
            .turns
            .iter()
            .map(|turn| (turn.speaker.as_str(), turn.text.as_str()))
            .collect();
        assert_eq!(
            turns,
            [
                (USER, "I moved to Lisbon."),
                (ASSISTANT, "Noted."),
                (USER, "What do you know?")
            ]
        );
    }

    #[test]
    fn what_does_not_fit_the_window_is_left_out_and_a_history_starts_with_a_question() {
        let mut view = SessionView::default();
        let long = "many words about nothing ".repeat(400);
        for (role, text) in [
            (SessionRole::User, long.as_str()),
            (SessionRole::Assistant, "the answer to it"),
            (SessionRole::User, "and now?"),
        ] {
            let SessionRecord::Message { message, .. } = said(role, text, false) else {
                panic!()
            };
            view.messages.push(message);
        }
        let mut opened = Opened::default();
        show(&view, &Budget::of_window(5_000), "and now?", &mut opened);
        assert!(opened.history.is_empty(), "{opened:?}");
        assert!(!opened.is_whole);
        assert!(opened.before.contains("the answer to it"), "{opened:?}");

        let mut opened = Opened::default();
        show(&view, &Budget::of_window(50_000), "and now?", &mut opened);
        let roles: Vec<Role> = opened.history.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant]);
        assert!(opened.is_whole && opened.before.is_empty());
    }
}
