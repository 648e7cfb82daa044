//! From the hub's types to the protocol library's.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::model::{
    CallToolResult, ContentBlock, GetPromptResult, PromptArgument, PromptMessage, ResourceContents, Role,
    Tool, ToolAnnotations,
};
use serde_json::{Map, Value};

use crate::catalog::CatalogTool;
use crate::offer::{Prompt, Resource, ResourceBody, ResourceTemplate, Speaker};
use crate::tool::{Content, ToolResult};

/// A tool, built once and then copied.
pub(super) fn tool(entry: &CatalogTool) -> Tool {
    entry.protocol.get_or_init(|| build_tool(entry)).clone()
}

fn build_tool(entry: &CatalogTool) -> Tool {
    let hints = entry.annotations;
    let annotations = ToolAnnotations::from_raw(
        entry.title.clone(),
        Some(hints.read_only),
        Some(hints.destructive),
        Some(hints.idempotent),
        Some(hints.open_world),
    );
    let mut tool = Tool::new_with_raw(
        entry.name.clone(),
        Some(Cow::Owned(entry.description.clone())),
        object(&entry.input_schema),
    )
    .with_annotations(annotations);
    if let Some(schema) = &entry.output_schema {
        tool = tool.with_raw_output_schema(Arc::new(object(schema)));
    }
    match &entry.title {
        Some(title) => tool.with_title(title.as_str()),
        None => tool,
    }
}

fn object(schema: &Value) -> Map<String, Value> {
    match schema {
        Value::Object(schema) => schema.clone(),
        _ => Map::new(),
    }
}

pub(super) fn call_result(result: ToolResult, is_modern: bool) -> CallToolResult {
    // The older revisions take only an object as structured content; other values stay text there.
    let structured = result
        .structured()
        .filter(|data| is_modern || data.is_object())
        .cloned();
    let blocks = result.content.into_iter().map(block).collect();
    let mut out = if result.is_error {
        CallToolResult::error(blocks)
    } else {
        CallToolResult::success(blocks)
    };
    out.structured_content = structured;
    out
}

pub(super) fn block(content: Content) -> ContentBlock {
    match content {
        Content::Text { text } => ContentBlock::text(text),
        Content::Json { data } => ContentBlock::text(data.to_string()),
        Content::Other(data) => serde_json::from_value(data.clone())
            .unwrap_or_else(|_not_an_mcp_block| ContentBlock::text(data.to_string())),
    }
}

pub(super) fn resource(resource: Resource) -> rmcp::model::Resource {
    let mut out = rmcp::model::Resource::new(resource.uri, resource.name);
    out.title = resource.title;
    out.description = resource.description;
    out.mime_type = resource.mime_type;
    out.size = resource.size;
    out
}

pub(super) fn template(template: ResourceTemplate) -> rmcp::model::ResourceTemplate {
    let mut out = rmcp::model::ResourceTemplate::new(template.uri_template, template.name);
    out.description = template.description;
    out.mime_type = template.mime_type;
    out
}

pub(super) fn body(body: ResourceBody) -> ResourceContents {
    let (contents, mime_type) = match body {
        ResourceBody::Text { uri, mime_type, text } => (ResourceContents::text(text, uri), mime_type),
        ResourceBody::Bytes {
            uri,
            mime_type,
            base64,
        } => (ResourceContents::blob(base64, uri), mime_type),
    };
    match mime_type {
        Some(mime_type) => contents.with_mime_type(mime_type),
        None => contents,
    }
}

pub(super) fn prompt(prompt: Prompt) -> rmcp::model::Prompt {
    let arguments = prompt.arguments.into_iter().map(|argument| {
        let out = PromptArgument::new(argument.name).with_required(argument.required);
        match argument.description {
            Some(description) => out.with_description(description),
            None => out,
        }
    });
    let out = rmcp::model::Prompt::new(prompt.name, prompt.description, Some(arguments.collect()));
    match prompt.title {
        Some(title) => out.with_title(title),
        None => out,
    }
}

pub(super) fn filled(description: Option<String>, messages: Vec<crate::PromptMessage>) -> GetPromptResult {
    let messages = messages.into_iter().map(|message| {
        let role = match message.speaker {
            Speaker::User => Role::User,
            Speaker::Assistant => Role::Assistant,
        };
        PromptMessage::new(role, block(message.content))
    });
    let out = GetPromptResult::new(messages.collect());
    match description {
        Some(description) => out.with_description(description),
        None => out,
    }
}
