//! The memory as something that MCP clients read.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use openhuman_mcp::{CallError, Resource, ResourceBody, ResourcePage, ResourceProvider, ResourceTemplate};
use openhuman_memory::{DocumentInfo, Memory, MemoryError};
use tokio::sync::watch;

use crate::Core;

/// How addresses of documents begin; the id follows, percent-encoded.
const PREFIX: &str = "memory://document/";

/// The documents of a memory.
struct MemoryResources {
    memory: Memory,
    changes: watch::Sender<u64>,
}

impl Core {
    /// Lets MCP clients read the documents of the memory. Call it before serving.
    pub fn offer_memory(&self) {
        self.hub().add_resources(Arc::new(MemoryResources {
            memory: self.memory().clone(),
            changes: watch::Sender::new(0),
        }));
    }
}

impl MemoryResources {
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Memory) -> Result<T, MemoryError> + Send + 'static,
    ) -> Result<T, CallError> {
        let memory = self.memory.clone();
        tokio::task::spawn_blocking(move || question(&memory))
            .await
            .map_err(|error| CallError::Failed(error.to_string()))?
            .map_err(|error| CallError::Failed(error.to_string()))
    }
}

impl ResourceProvider for MemoryResources {
    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ResourcePage, CallError>> {
        Box::pin(async move {
            let after = after.map(str::to_owned);
            let mut documents = self.ask(|memory| memory.documents(None)).await?;
            documents.sort_by(|left, right| left.id.cmp(&right.id));
            let mut rest = documents
                .into_iter()
                .filter(|document| after.as_ref().is_none_or(|after| document.id > *after));
            let mut last = String::new();
            let resources: Vec<Resource> = rest
                .by_ref()
                .take(limit)
                .map(|document| {
                    last.clone_from(&document.id);
                    resource(document)
                })
                .collect();
            let next = rest.next().map(|_| last);
            Ok(ResourcePage { resources, next })
        })
    }

    fn templates(&self) -> Vec<ResourceTemplate> {
        vec![ResourceTemplate {
            uri_template: format!("{PREFIX}{{id}}"),
            name: "A document of the memory".into(),
            description: Some("What was remembered, as it was taken in. The list has the ids.".into()),
            mime_type: Some("text/plain".into()),
        }]
    }

    fn read<'a>(&'a self, uri: &'a str) -> BoxFuture<'a, Result<Option<Vec<ResourceBody>>, CallError>> {
        Box::pin(async move {
            let Some(id) = uri.strip_prefix(PREFIX).and_then(decoded) else {
                return Ok(None);
            };
            let text = self.ask(move |memory| memory.text(&id)).await?;
            Ok(text.map(|text| {
                vec![ResourceBody::Text {
                    uri: uri.to_owned(),
                    mime_type: Some("text/plain".into()),
                    text,
                }]
            }))
        })
    }

    /// A client lists again when it wants to; the memory does not tell.
    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn resource(document: DocumentInfo) -> Resource {
    let name = if document.title.is_empty() {
        document.key
    } else {
        document.title
    };
    Resource {
        uri: format!("{PREFIX}{}", encoded(&document.id)),
        name,
        title: None,
        description: (!document.source.is_empty()).then_some(document.source),
        mime_type: Some("text/plain".into()),
        size: Some(document.bytes),
    }
}

fn encoded(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_survives_the_way_through_an_address() {
        for id in ["a/b c%", "ünï", "", "plain-1._~"] {
            assert_eq!(decoded(&encoded(id)).as_deref(), Some(id));
        }
        assert_eq!(decoded("%f"), None);
        assert_eq!(decoded("%ff"), None, "not UTF-8");
    }
}
