//! A reply as it comes in: server-sent events, or one document.

use std::sync::Arc;

use super::Thoughts;
use super::assemble::Assembler;
use crate::model::ModelEvent;
use crate::openai::assemble::Fault;
use crate::openai::sse;
use crate::remote::ReadReply;

pub(super) struct Reply {
    form: Form,
    thoughts: Arc<Thoughts>,
}

enum Form {
    Unknown,
    Events(sse::Parser, Assembler),
    Document(Vec<u8>),
    Over,
}

impl Reply {
    pub(super) fn new(thoughts: Arc<Thoughts>) -> Reply {
        Reply {
            form: Form::Unknown,
            thoughts,
        }
    }

    fn end(&self, assembler: &mut Assembler) -> Result<Vec<ModelEvent>, Fault> {
        let events = assembler.finish()?;
        let blocks = Arc::new(assembler.take_thoughts());
        if !blocks.is_empty() {
            for event in &events {
                if let ModelEvent::ToolCall { call } = event {
                    self.thoughts.keep(&call.id, &blocks);
                }
            }
        }
        Ok(events)
    }
}

impl ReadReply for Reply {
    fn is_complete(&self) -> bool {
        matches!(&self.form, Form::Events(_, assembler) if assembler.is_complete())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Vec<ModelEvent>, Fault> {
        let mut rest = bytes;
        if matches!(self.form, Form::Unknown) {
            let Some(start) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                return Ok(Vec::new());
            };
            rest = rest.get(start..).unwrap_or_default();
            self.form = if rest.first() == Some(&b'{') {
                Form::Document(Vec::new())
            } else {
                Form::Events(sse::Parser::new(), Assembler::new())
            };
        }
        match &mut self.form {
            Form::Document(document) => {
                document.extend_from_slice(rest);
                Ok(Vec::new())
            }
            Form::Events(parser, assembler) => {
                let events = parser
                    .push(rest)
                    .map_err(|error| Fault::Garbage(error.to_string()))?;
                let mut out = Vec::new();
                for event in events {
                    out.extend(assembler.event(&event.data)?);
                }
                if assembler.is_closed()
                    && let Form::Events(_, mut assembler) = std::mem::replace(&mut self.form, Form::Over)
                {
                    out.extend(self.end(&mut assembler)?);
                }
                Ok(out)
            }
            Form::Unknown | Form::Over => Ok(Vec::new()),
        }
    }

    fn finish(&mut self) -> Result<Vec<ModelEvent>, Fault> {
        match std::mem::replace(&mut self.form, Form::Over) {
            Form::Unknown => Err(Fault::Garbage("an empty answer".to_owned())),
            Form::Document(document) => {
                let mut assembler = Assembler::new();
                let mut out = assembler.document(&document)?;
                out.extend(self.end(&mut assembler)?);
                Ok(out)
            }
            Form::Events(parser, mut assembler) => {
                let mut out = Vec::new();
                if let Some(event) = parser.finish() {
                    out.extend(assembler.event(&event.data)?);
                }
                out.extend(self.end(&mut assembler)?);
                Ok(out)
            }
            Form::Over => Ok(Vec::new()),
        }
    }
}
