//! Why a call has no result.

use crate::tool::ToolResult;

/// Why a call failed. The text is what the caller sees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No provider is registered.
    #[error("Skill runtime not available")]
    RuntimeUnavailable,
    /// The name has no toolset part.
    #[error("Invalid tool name: {name}. Expected format: skillId__toolName")]
    InvalidName {
        /// The name as it was received.
        name: String,
    },
    /// Nothing is registered under that id.
    #[error("Skill '{id}' not found")]
    ToolsetNotFound {
        /// The toolset id.
        id: String,
    },
    /// The toolset is registered but takes no calls.
    #[error("Skill '{id}' is not running (status: {status})")]
    NotRunning {
        /// The toolset id.
        id: String,
        /// Its status.
        status: String,
    },
    /// The toolset has no such tool.
    #[error("Tool execution failed: Tool '{tool}' not found")]
    ToolNotFound {
        /// The bare tool name.
        tool: String,
    },
    /// The arguments are not an object or do not fit the schema.
    #[error("Invalid arguments for '{tool}': {reason}")]
    InvalidArguments {
        /// The tool, as `skillId__toolName` where the hub found it out and bare where the provider did.
        tool: String,
        /// What is wrong with them, with the place.
        reason: String,
    },
    /// The tool answered something else than its output schema promises.
    #[error("Tool execution failed: '{tool}' broke its own output schema: {reason}")]
    InvalidOutput {
        /// `skillId__toolName`
        tool: String,
        /// What is wrong with it, with the place.
        reason: String,
    },
    /// The policy does not let this caller use the tool.
    #[error("'{tool}' may not be called here: {reason}")]
    Denied {
        /// `skillId__toolName`
        tool: String,
        /// Why, and who can change it.
        reason: String,
    },
    /// The tool itself failed.
    #[error("Tool execution failed: {0}")]
    Failed(String),
    /// The tool did not answer in time; it was told to stop.
    #[error("Tool '{tool}' did not answer within {millis} ms and was cancelled; try again or ask for less")]
    DeadlineExceeded {
        /// The bare tool name.
        tool: String,
        /// The deadline in milliseconds.
        millis: u64,
    },
    /// The caller cancelled the call.
    #[error("The call of tool '{tool}' was cancelled")]
    Cancelled {
        /// The bare tool name.
        tool: String,
    },
    /// The provider panicked. The hub and the other tools are not affected.
    #[error("Tool execution failed: the provider of tool '{tool}' crashed")]
    Panicked {
        /// The bare tool name.
        tool: String,
    },
    /// A text that is passed on as it is.
    #[error("{0}")]
    Message(String),
}

impl From<CallError> for ToolResult {
    fn from(error: CallError) -> Self {
        Self::error(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_texts_are_the_documented_ones() {
        let texts = [
            (CallError::RuntimeUnavailable, "Skill runtime not available"),
            (
                CallError::InvalidName { name: "x".into() },
                "Invalid tool name: x. Expected format: skillId__toolName",
            ),
            (
                CallError::ToolsetNotFound { id: "x".into() },
                "Skill 'x' not found",
            ),
            (
                CallError::NotRunning {
                    id: "x".into(),
                    status: "offline".into(),
                },
                "Skill 'x' is not running (status: offline)",
            ),
            (
                CallError::ToolNotFound { tool: "y".into() },
                "Tool execution failed: Tool 'y' not found",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }
}
