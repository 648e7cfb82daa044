//! The hub as an MCP server, whatever carries the messages.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CompletionInfo,
    GetPromptRequestMethod, GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestMethod, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Reference, ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::catalog::CatalogTool;
use crate::context::{CallContext, Origin};
use crate::error::CallError;
use crate::hub::Hub;
pub use crate::info::ServerInfo;
use crate::name;

mod approve;
mod convert;
mod follow;
mod progress;

/// How many tools, or other things, one page of a list has.
pub const PAGE: usize = 1_000;

/// How many resources one session may watch.
const MOST_WATCHED: usize = 1_000;

/// One connection of an MCP client to the hub.
#[derive(Clone)]
pub(crate) struct Server {
    hub: Hub,
    info: ServerInfo,
    origin: Origin,
    /// Fires at the end of the input, so that subscriptions do not hold up the end of the session.
    closing: CancellationToken,
    /// The addresses that a session of an older revision wants to hear of.
    watched: Arc<Mutex<BTreeSet<String>>>,
}

impl Server {
    pub(crate) fn new(hub: Hub, info: ServerInfo, origin: Origin, closing: CancellationToken) -> Self {
        Self {
            hub,
            info,
            origin,
            closing,
            watched: Arc::default(),
        }
    }

    fn watched(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub's name for a tool that a client names.
    fn full_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.hub.shown() {
            None => Cow::Borrowed(name),
            Some(only) => Cow::Owned(format!("{only}{}{name}", name::SEPARATOR)),
        }
    }

    fn tool(&self, entry: &CatalogTool) -> Tool {
        let mut tool = convert::tool(entry);
        if self.hub.shown().is_some() {
            tool.name = Cow::Owned(entry.tool.clone());
        }
        tool
    }

    /// What ends the announcements and the subscriptions of this connection.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let offers = self.hub.offers();
        let mut capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        if offers.resources.is_empty() {
            capabilities.resources = None;
        }
        if offers.prompts.is_empty() {
            capabilities.prompts = None;
        }
        if offers.resources.is_empty() && offers.prompts.is_empty() {
            capabilities.completions = None;
        }
        ServerConfig::new(capabilities).with_server_info(Implementation::new(
            self.info.name.as_str(),
            self.info.version.as_str(),
        ))
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        // A session with a handshake is told of every change; the others subscribe.
        let (server, peer) = (self.clone(), context.peer);
        tokio::spawn(async move { server.announce(&peer).await });
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let catalog = self.hub.catalog();
        let shown = |tool: &&Arc<CatalogTool>| self.hub.shown().is_none_or(|only| tool.toolset == only);
        let start = place(request, catalog.tools.len())?;
        let page = catalog.tools.iter().skip(start).take(PAGE);
        let tools = page.filter(shown).map(|tool| self.tool(tool));
        let mut result = ListToolsResult::with_all_items(tools.collect());
        if start + PAGE < catalog.tools.len() {
            result.next_cursor = Some((start + PAGE).to_string());
        }
        Ok(result)
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let approver = Arc::new(approve::ClientApprover::new(&context, &mut request)?);
        let is_modern = approve::is_modern(&context);
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let progress = progress::Reports::new(&context);
        let ctx = CallContext {
            origin: self.origin,
            cancel: context.ct,
            progress: progress.progress(),
            approver: Some(Arc::clone(&approver) as Arc<dyn crate::context::Approver>),
        };
        let outcome = progress
            .forward(self.hub.try_call(&self.full_name(&request.name), arguments, ctx))
            .await;
        // The client asks its user and calls again.
        if let (Err(_), Some(questions)) = (&outcome, approver.questions()) {
            return Ok(questions.into());
        }
        let result = outcome.unwrap_or_else(crate::tool::ToolResult::from);
        Ok(convert::call_result(result, is_modern).into())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let catalog = self.hub.catalog();
        catalog.tool(&self.full_name(name)).map(|tool| self.tool(tool))
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let offers = self.hub.offers();
        // A cursor names the provider and that provider's own place.
        let cursor = request.and_then(|request| request.cursor);
        let (index, after) = match cursor.as_deref() {
            None => (0, None),
            Some(cursor) => {
                let parts = cursor.split_once(':');
                let parts = parts.and_then(|(index, after)| Some((index.parse::<usize>().ok()?, after)));
                let (index, after) = parts.ok_or_else(foreign_cursor)?;
                (index, (!after.is_empty()).then_some(after))
            }
        };
        let Some(provider) = offers.resources.get(index) else {
            return match cursor {
                None => Ok(ListResourcesResult::default()),
                Some(_) => Err(foreign_cursor()),
            };
        };
        let page = provider.list(after, PAGE).await.map_err(|error| failed(&error))?;
        let next = match page.next {
            Some(after) => Some(format!("{index}:{after}")),
            None => (index + 1 < offers.resources.len()).then(|| format!("{}:", index + 1)),
        };
        let mut result =
            ListResourcesResult::with_all_items(page.resources.into_iter().map(convert::resource).collect());
        result.next_cursor = next;
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let offers = self.hub.offers();
        let templates = offers.resources.iter().flat_map(|provider| provider.templates());
        Ok(ListResourceTemplatesResult::with_all_items(
            templates.map(convert::template).collect(),
        ))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let offers = self.hub.offers();
        if offers.resources.is_empty() {
            return Err(ErrorData::method_not_found::<ReadResourceRequestMethod>());
        }
        for provider in &offers.resources {
            if let Some(bodies) = provider
                .read(&request.uri)
                .await
                .map_err(|error| failed(&error))?
            {
                let contents = bodies.into_iter().map(convert::body).collect();
                return Ok(ReadResourceResult::new(contents).into());
            }
        }
        Err(ErrorData::resource_not_found(
            "There is nothing at this address",
            Some(serde_json::json!({"uri": request.uri})),
        ))
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let mut watched = self.watched();
        if watched.len() >= MOST_WATCHED && !watched.contains(&request.uri) {
            let text =
                format!("A session can watch {MOST_WATCHED} resources; stop watching another one first");
            return Err(ErrorData::invalid_params(text, None));
        }
        watched.insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.watched().remove(&request.uri);
        Ok(())
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let offers = self.hub.offers();
        let prompts: Vec<_> = offers
            .prompts
            .iter()
            .flat_map(|provider| provider.prompts())
            .collect();
        let start = place(request, prompts.len())?;
        let more = start + PAGE < prompts.len();
        let page = prompts.into_iter().skip(start).take(PAGE);
        let mut result = ListPromptsResult::with_all_items(page.map(convert::prompt).collect());
        result.next_cursor = more.then(|| (start + PAGE).to_string());
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let offers = self.hub.offers();
        if offers.prompts.is_empty() {
            return Err(ErrorData::method_not_found::<GetPromptRequestMethod>());
        }
        let arguments = request.arguments.unwrap_or_default();
        for provider in &offers.prompts {
            let known = provider.prompts();
            let Some(prompt) = known.iter().find(|prompt| prompt.name == request.name) else {
                continue;
            };
            let mut required = prompt.arguments.iter().filter(|argument| argument.required);
            if let Some(missing) = required.find(|argument| !arguments.contains_key(&argument.name)) {
                return Err(ErrorData::invalid_params(
                    format!("The argument '{}' is missing", missing.name),
                    None,
                ));
            }
            let messages = provider
                .get(&prompt.name, &arguments)
                .await
                .map_err(|error| failed(&error))?;
            return Ok(convert::filled(prompt.description.clone(), messages).into());
        }
        Err(ErrorData::invalid_params(
            "There is no prompt with this name",
            None,
        ))
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let offers = self.hub.offers();
        let (name, typed) = (&request.argument.name, &request.argument.value);
        let mut values = match &request.r#ref {
            Reference::Prompt(prompt) => {
                let knows = |known: &crate::Prompt| known.name == prompt.name;
                match offers.prompts.iter().find(|one| one.prompts().iter().any(knows)) {
                    Some(provider) => provider.complete(&prompt.name, name, typed).await,
                    None => {
                        return Err(ErrorData::invalid_params(
                            "There is no prompt with this name",
                            None,
                        ));
                    }
                }
            }
            Reference::Resource(resource) => {
                let knows = |known: &crate::ResourceTemplate| known.uri_template == resource.uri;
                match offers
                    .resources
                    .iter()
                    .find(|one| one.templates().iter().any(knows))
                {
                    Some(provider) => provider.complete(&resource.uri, name, typed).await,
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        let total = u32::try_from(values.len()).ok();
        let more = values.len() > CompletionInfo::MAX_VALUES;
        values.truncate(CompletionInfo::MAX_VALUES);
        let info = CompletionInfo::with_pagination(values, total, more);
        info.map(CompleteResult::new)
            .map_err(|reason| ErrorData::internal_error(reason, None))
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let watched = requested.resource_subscriptions.iter().flatten();
        let builder = SubscriptionFilter::builder()
            .tools_list_changed()
            .prompts_list_changed()
            .resources_list_changed()
            .resource_subscriptions(watched.take(MOST_WATCHED).cloned());
        Some(builder.build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.tell(&context).await;
        Ok(())
    }
}

/// Where a page of a numbered list begins.
fn place(request: Option<PaginatedRequestParams>, length: usize) -> Result<usize, ErrorData> {
    match request.and_then(|request| request.cursor) {
        None => Ok(0),
        Some(cursor) => cursor
            .parse::<usize>()
            .ok()
            .filter(|start| *start <= length)
            .ok_or_else(foreign_cursor),
    }
}

fn foreign_cursor() -> ErrorData {
    ErrorData::invalid_params("The cursor is not one this server gave out", None)
}

fn failed(error: &CallError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
