//! The script of the product's demo.

use serde_json::json;

use super::script::{Rule, Script};

/// The model name of [`Script::demo`].
pub const DEMO_MODEL: &str = "scripted-demo";

impl Script {
    /// The model of the product's demo, `scripted-demo`. Two questions are understood:
    ///
    /// - "What is ETH at, and what did I note about my staking plan?": asks for `prices__get_price` and
    ///   `notes__find_notes` in one message, then answers from their results;
    /// - "What did you tell me about ETH and my staking plan?": answers from the recalled context.
    ///
    /// Every figure in an answer is read from the request. When a tool failed or a value is missing, the answer says
    /// so in its place.
    pub fn demo() -> Script {
        let question = ["eth", "staking plan"];
        let mut script = Script::new(DEMO_MODEL)
            .rule(
                Rule::when_user_says(["what did you tell me", "eth", "staking plan"]).answer_or(
                    "This is what I told you: {{context:eth staking plan}}",
                    "I cannot say what I told you about ETH and your staking plan: {{missing}}.",
                ),
            )
            .rule(
                Rule::when_user_says(question)
                    .before_tools()
                    .with_tools(["prices__get_price", "notes__find_notes"])
                    .call("prices__get_price", json!({"symbol": "ETH"}))
                    .call("notes__find_notes", json!({"query": "staking plan"})),
            )
            .rule(
                Rule::when_user_says(question)
                    .after_tools()
                    .answer_or(
                        "ETH is at {{tool:prices__get_price.price}} {{tool:prices__get_price.currency}}",
                        "I cannot say what ETH is at: the price is missing, because {{missing}}",
                    )
                    .answer_or(
                        " (source: {{tool:prices__get_price.source}}, as of {{tool:prices__get_price.as_of}})",
                        "",
                    )
                    .answer_or(
                        ". About your staking plan you noted: “{{tool:notes__find_notes.notes.*.text}}”",
                        ". I cannot say what you noted about your staking plan: the note is missing, because {{missing}}.",
                    ),
            )
            .rule(Rule::when_user_says(question).answer(
                "I would need the tools prices__get_price and notes__find_notes to answer that, and they are not \
                 available. Start the skills `prices` and `notes`, and ask again.",
            ));
        script.fallback =
            "I am a scripted demo model and understand only the two questions of the demo. You said: \
                           {{user}}"
                .to_owned();
        script
    }
}
