//! Asking the user of the client, in the way of the revision that it speaks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use rmcp::RoleServer;
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, InputRequest, InputRequiredResult,
    InputResponses, ProtocolVersion,
};
use rmcp::service::{Peer, RequestContext};
use serde_json::json;

use crate::context::{Approval, ApprovalRequest, Approver};

/// Under which name the question travels.
const KEY: &str = "approval";

/// How much of the arguments a person is shown.
const SHOWN: usize = 600;

/// Whether the request speaks revision 2026-07-28 or a later one, where a server asks in its answer.
pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// Asks through elicitation: with a request of its own in the older revisions, with an unfinished answer in the newer
/// ones, after which the client calls again with what its user said.
pub(super) struct ClientApprover {
    peer: Peer<RoleServer>,
    can_ask: bool,
    is_modern: bool,
    answer: Option<ElicitResult>,
    question: Mutex<Option<ElicitRequestParams>>,
}

impl ClientApprover {
    pub(super) fn new(context: &RequestContext<RoleServer>, responses: Option<InputResponses>) -> Self {
        let capabilities = context.client_capabilities();
        let answer = responses.and_then(|mut responses| responses.remove(KEY));
        Self {
            peer: context.peer.clone(),
            can_ask: capabilities.is_some_and(|capabilities| capabilities.elicitation.is_some()),
            is_modern: is_modern(context),
            answer: answer.and_then(|answer| serde_json::from_value(answer).ok()),
            question: Mutex::default(),
        }
    }

    /// The unfinished answer, if a question is open.
    pub(super) fn question(&self) -> Option<InputRequiredResult> {
        let question = self
            .question
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let request = InputRequest::Elicitation(ElicitRequest::new(question));
        let requests = BTreeMap::from([(KEY.to_owned(), request)]);
        Some(InputRequiredResult::from_input_requests(requests))
    }

    async fn decide(&self, call: ApprovalRequest<'_>) -> Approval {
        if let Some(answer) = &self.answer {
            return approval(answer);
        }
        let refused = |text: &str| Approval::Refused(format!("{}, and {text}", call.reason));
        if !self.can_ask {
            return refused("this client cannot ask its user");
        }
        let Ok(question) = question(&call) else {
            return refused("the question could not be written");
        };
        if self.is_modern {
            *self.question.lock().unwrap_or_else(PoisonError::into_inner) = Some(question);
            return refused("the user has to be asked first");
        }
        match self.peer.create_elicitation(question).await {
            Ok(answer) => approval(&answer),
            Err(error) => refused(&format!("the client could not ask its user: {error}")),
        }
    }
}

impl Approver for ClientApprover {
    fn approve<'a>(&'a self, call: ApprovalRequest<'a>) -> BoxFuture<'a, Approval> {
        Box::pin(self.decide(call))
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
fn question(call: &ApprovalRequest<'_>) -> Result<ElicitRequestParams, serde_json::Error> {
    let mut arguments = call.arguments.to_string();
    if let Some((end, _)) = arguments.char_indices().nth(SHOWN) {
        arguments.truncate(end);
        arguments.push_str("..");
    }
    serde_json::from_value(json!({
        "mode": "form",
        "message": format!("Allow {} once? Asked because {}. Arguments: {arguments}", call.name, call.reason),
        "requestedSchema": {"type": "object", "properties": {}},
    }))
}
