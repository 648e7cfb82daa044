//! The agent turn: model, tools, approvals and budgets as a resumable state machine.
