//! What a hub offers beside tools: things to read and prompts to start from.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::error::CallError;
use crate::hub::Hub;
use crate::tool::Content;

/// A source of things to read, such as the memory.
pub trait ResourceProvider: Send + Sync {
    /// Some of what there is, in a stable order, after the place that an earlier page named. `limit` is what the
    /// caller would like.
    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ResourcePage, CallError>>;

    /// The forms of address that are not listed one by one.
    fn templates(&self) -> Vec<ResourceTemplate> {
        Vec::new()
    }

    /// What lies at an address. `None` when it is not this provider's or there is nothing.
    fn read<'a>(&'a self, uri: &'a str) -> BoxFuture<'a, Result<Option<Vec<ResourceBody>>, CallError>>;

    /// Values that a variable of a template may have, beginning with what was typed. A hundred are shown at most.
    fn complete<'a>(
        &'a self,
        template: &'a str,
        variable: &'a str,
        typed: &'a str,
    ) -> BoxFuture<'a, Vec<String>> {
        let _ = (template, variable, typed);
        Box::pin(std::future::ready(Vec::new()))
    }

    /// A counter that changes whenever the list does. One that never moves says that the list is fixed.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// Something to read, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resource {
    /// Its address.
    pub uri: String,
    /// A name.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Its media type.
    pub mime_type: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcePage {
    /// What is on it.
    pub resources: Vec<Resource>,
    /// Where the next one begins, when there is one.
    pub next: Option<String>,
}

/// A form of address with variables, as RFC 6570 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceTemplate {
    /// For example `memory://document/{id}`.
    pub uri_template: String,
    /// A name.
    pub name: String,
    /// What lies there.
    pub description: Option<String>,
    /// The media type of what lies there.
    pub mime_type: Option<String>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourceBody {
    /// Text.
    Text {
        /// Its address.
        uri: String,
        /// Its media type.
        mime_type: Option<String>,
        /// The text.
        text: String,
    },
    /// Anything else.
    Bytes {
        /// Its address.
        uri: String,
        /// Its media type.
        mime_type: Option<String>,
        /// The bytes, in standard base64.
        base64: String,
    },
}

/// A source of prompts.
pub trait PromptProvider: Send + Sync {
    /// Everything there is.
    fn prompts(&self) -> Vec<Prompt>;

    /// One prompt, filled in. The hub has checked that what is required is there.
    fn get<'a>(
        &'a self,
        name: &'a str,
        arguments: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Vec<PromptMessage>, CallError>>;

    /// Values that an argument may have, beginning with what was typed.
    fn complete<'a>(
        &'a self,
        name: &'a str,
        argument: &'a str,
        typed: &'a str,
    ) -> BoxFuture<'a, Vec<String>> {
        let _ = (name, argument, typed);
        Box::pin(std::future::ready(Vec::new()))
    }

    /// A counter that changes whenever the list does.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// A prompt, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    /// Its name, which no other prompt has.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it takes.
    pub arguments: Vec<PromptArgument>,
}

/// What a prompt takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Whether the prompt makes no sense without it.
    pub required: bool,
}

/// A part of a filled-in prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptMessage {
    /// Who says it.
    pub speaker: Speaker,
    /// What is said.
    pub content: Content,
}

/// Who says a part of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// What was added to a hub beside tools.
#[derive(Clone, Default)]
pub(crate) struct Offers {
    pub(crate) resources: Vec<Arc<dyn ResourceProvider>>,
    pub(crate) prompts: Vec<Arc<dyn PromptProvider>>,
}

impl Hub {
    /// Adds things to read. Add them before serving: a client is told what kinds of things there are when it connects.
    pub fn add_resources(&self, provider: Arc<dyn ResourceProvider>) {
        self.change_offers(|offers| offers.resources.push(provider));
    }

    /// Adds prompts. Add them before serving, as with [`add_resources`](Self::add_resources).
    pub fn add_prompts(&self, provider: Arc<dyn PromptProvider>) {
        self.change_offers(|offers| offers.prompts.push(provider));
    }
}
