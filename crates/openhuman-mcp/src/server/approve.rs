//! Asking the user of the client, in the way of the revision that it speaks.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, InputRequest,
    InputRequiredResult, InputResponses, ProtocolVersion, RequestStateCodec, SealOptions,
};
use rmcp::service::{Peer, RequestContext};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::context::{Answer, Approval, ApprovalRequest, Approver, Question};
use crate::error::CallError;

/// Under which name the question for an approval travels.
const APPROVAL: &str = "approval";

/// How much of the arguments a person is shown.
const SHOWN: usize = 600;

/// How long a client may take to call again.
const OPEN_FOR: Duration = Duration::from_secs(60 * 60);

/// Whether the request speaks revision 2026-07-28 or a later one, where a server asks in its answer.
pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// Asks through elicitation: with a request of its own in the older revisions, with an unfinished answer in the newer
/// ones, after which the client calls again with what its user said. The tool is then called anew, and what was
/// answered in earlier rounds comes back with the client as a sealed text.
pub(super) struct ClientApprover {
    peer: Peer<RoleServer>,
    can_ask: bool,
    is_modern: bool,
    /// What the sealed text is bound to: the tool and its arguments.
    subject: Vec<u8>,
    answers: InputResponses,
    open: Mutex<BTreeMap<String, ElicitRequestParams>>,
}

impl ClientApprover {
    /// Takes in what the client brought along.
    ///
    /// # Errors
    /// When the sealed text is not one this server gave out for this call.
    pub(super) fn new(
        context: &RequestContext<RoleServer>,
        request: &mut CallToolRequestParams,
    ) -> Result<Self, ErrorData> {
        let capabilities = context.client_capabilities();
        let subject = subject(&request.name, request.arguments.as_ref());
        let mut answers = match request.request_state.take() {
            Some(sealed) => opened(&sealed, &subject)?,
            None => InputResponses::new(),
        };
        answers.extend(request.input_responses.take().unwrap_or_default());
        Ok(Self {
            peer: context.peer.clone(),
            can_ask: capabilities.is_some_and(|capabilities| capabilities.elicitation.is_some()),
            is_modern: is_modern(context),
            subject,
            answers,
            open: Mutex::default(),
        })
    }

    /// The unfinished answer, if questions are open.
    pub(super) fn questions(&self) -> Option<InputRequiredResult> {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        if open.is_empty() {
            return None;
        }
        let requests = open.into_iter().map(|(key, params)| {
            let request = InputRequest::Elicitation(ElicitRequest::new(params));
            (key, request)
        });
        let options = SealOptions::new().associated_data(&self.subject).ttl(OPEN_FOR);
        let sealed = codec().and_then(|codec| codec.seal_json_with(&self.answers, &options).ok());
        Some(InputRequiredResult::new(Some(requests.collect()), sealed))
    }

    /// What the user said, or why nobody could be asked.
    async fn elicit(&self, key: &str, params: Value) -> Result<ElicitResult, String> {
        if let Some(answer) = self.answers.get(key) {
            return serde_json::from_value(answer.clone())
                .map_err(|error| format!("the client's answer '{key}' cannot be read: {error}"));
        }
        if !self.can_ask {
            return Err("this client cannot ask its user".into());
        }
        let params: ElicitRequestParams = serde_json::from_value(params)
            .map_err(|error| format!("the question cannot be asked: {error}"))?;
        if self.is_modern {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.insert(key.to_owned(), params);
            return Err("the user has to be asked first".into());
        }
        self.peer
            .create_elicitation(params)
            .await
            .map_err(|error| format!("the client could not ask its user: {error}"))
    }
}

impl Approver for ClientApprover {
    fn approve<'a>(&'a self, call: ApprovalRequest<'a>) -> BoxFuture<'a, Approval> {
        Box::pin(async move {
            match self.elicit(APPROVAL, question(&call)).await {
                Ok(answer) => approval(&answer),
                Err(reason) => Approval::Refused(format!("{}, and {reason}", call.reason)),
            }
        })
    }

    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async move {
            let params = json!({
                "mode": "form", "message": question.message, "requestedSchema": question.schema,
            });
            // A tool cannot answer for the user who is asked whether the tool may run.
            let key = format!(
                "{}{}",
                if question.key == APPROVAL { "tool-" } else { "" },
                question.key
            );
            let answer = self.elicit(&key, params).await.map_err(CallError::Failed)?;
            Ok(match answer.action {
                ElicitationAction::Accept => Answer::Given(answer.content.unwrap_or_default()),
                ElicitationAction::Decline => Answer::Declined,
                _ => Answer::Dismissed,
            })
        })
    }
}

fn approval(answer: &ElicitResult) -> Approval {
    match answer.action {
        ElicitationAction::Accept => Approval::Granted,
        ElicitationAction::Decline => Approval::Refused("the user declined".into()),
        _ => Approval::Refused("the user did not decide".into()),
    }
}

/// A form without fields: to accept it is the answer.
fn question(call: &ApprovalRequest<'_>) -> Value {
    let mut arguments = call.arguments.to_string();
    if let Some((end, _)) = arguments.char_indices().nth(SHOWN) {
        arguments.truncate(end);
        arguments.push_str("..");
    }
    json!({
        "mode": "form",
        "message": format!("Allow {} once? Asked because {}. Arguments: {arguments}", call.name, call.reason),
        "requestedSchema": {"type": "object", "properties": {}},
    })
}

fn subject(tool: &str, arguments: Option<&Map<String, Value>>) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(tool);
    hash.update([0]);
    hash.update(serde_json::to_vec(&arguments).unwrap_or_default());
    hash.finalize().to_vec()
}

fn opened(sealed: &str, subject: &[u8]) -> Result<InputResponses, ErrorData> {
    let opened = codec().and_then(|codec| codec.open_json_with(sealed, subject).ok());
    opened.ok_or_else(|| {
        let text = "The request state is not one that this server gave out for this call, or it is too old";
        ErrorData::invalid_params(text, None)
    })
}

/// Seals with a key that lives as long as this process. `None` on a system without randomness.
fn codec() -> Option<&'static RequestStateCodec> {
    static CODEC: OnceLock<Option<RequestStateCodec>> = OnceLock::new();
    CODEC
        .get_or_init(|| {
            let mut key = [0_u8; RequestStateCodec::MIN_KEY_LENGTH];
            getrandom::fill(&mut key).ok()?;
            RequestStateCodec::try_new(key).ok()
        })
        .as_ref()
}

#[cfg(test)]
mod tests;
