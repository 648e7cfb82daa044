//! The hub: providers on one side, callers on the other, a snapshot in between.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::catalog::{Catalog, Found, Route};
use crate::context::{Approval, ApprovalRequest, CallContext, Pulse};
use crate::error::CallError;
use crate::offer::Offers;
use crate::policy::{AllowAll, Asked, Policy, Verdict};
use crate::tool::{ToolProvider, ToolResult, Toolset};

/// How a hub behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// How long a call may take without a sign of life. Default: 30 s.
    pub deadline: Duration,
    /// How long a call may take that reports progress. Default: 10 min.
    pub longest: Duration,
    /// How long a person may take to approve a call. Default: 5 min.
    pub patience: Duration,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            longest: Duration::from_secs(600),
            patience: Duration::from_secs(300),
        }
    }
}

/// Every tool of this process in one place. Clones share the same hub.
///
/// Reading the catalog never waits for a provider that has nothing new. It is rebuilt when a provider's counter moves,
/// and a reader that is faster than the watching task rebuilds it itself, so nobody sees a list that is older than the
/// counter.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
    policy: Arc<dyn Policy>,
    /// The one toolset that MCP servers show.
    only: Option<Arc<str>>,
}

struct Inner {
    options: HubOptions,
    offers: ArcSwap<Offers>,
    snapshot: ArcSwap<Snapshot>,
    rebuild: Mutex<()>,
    revision: watch::Sender<u64>,
    stop: CancellationToken,
    _stop_watchers: DropGuard,
}

#[derive(Default)]
struct Snapshot {
    catalog: Arc<Catalog>,
    providers: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    provider: Arc<dyn ToolProvider>,
    changes: watch::Receiver<u64>,
    seen: u64,
}

impl Hub {
    /// An empty hub.
    pub fn new(options: HubOptions) -> Self {
        Self::with_policy(options, Arc::new(AllowAll))
    }

    /// An empty hub that asks `policy` about each call.
    pub fn with_policy(options: HubOptions, policy: Arc<dyn Policy>) -> Self {
        let stop = CancellationToken::new();
        Self {
            policy,
            only: None,
            inner: Arc::new(Inner {
                options,
                offers: ArcSwap::default(),
                snapshot: ArcSwap::default(),
                rebuild: Mutex::new(()),
                revision: watch::Sender::new(0),
                stop: stop.clone(),
                _stop_watchers: stop.drop_guard(),
            }),
        }
    }

    /// Adds a provider and starts to follow its changes, until the last clone of the hub is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, because following needs a task.
    pub fn add_provider(&self, provider: Arc<dyn ToolProvider>) {
        let mut changes = provider.changes();
        let seen = *changes.borrow_and_update();
        {
            let _rebuilding = self.inner.rebuilding();
            let mut providers = self.inner.snapshot.load().providers.clone();
            providers.push(Entry {
                provider,
                changes: changes.clone(),
                seen,
            });
            self.inner.replace(providers);
        }
        let hub = Arc::downgrade(&self.inner);
        let stop = self.inner.stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(follow(hub, changes)).await;
        });
    }

    /// The same hub for callers that another policy decides about.
    #[must_use]
    pub fn guarded(&self, policy: Arc<dyn Policy>) -> Self {
        Self {
            policy,
            ..self.clone()
        }
    }

    /// The same hub for MCP servers that show one toolset only, under the bare names of its tools.
    #[must_use]
    pub fn only(&self, toolset: &str) -> Self {
        Self {
            only: Some(toolset.into()),
            ..self.clone()
        }
    }

    #[cfg(feature = "server")]
    pub(crate) fn shown(&self) -> Option<&str> {
        self.only.as_deref()
    }

    pub(crate) fn change_offers(&self, change: impl FnOnce(&mut Offers)) {
        let _one_at_a_time = self.inner.rebuilding();
        let mut next = Offers::clone(&self.inner.offers.load());
        change(&mut next);
        self.inner.offers.store(Arc::new(next));
    }

    pub(crate) fn offers(&self) -> Arc<Offers> {
        self.inner.offers.load_full()
    }

    /// The present snapshot.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.inner.current().catalog)
    }

    /// The revision of the catalog, for callers that want to be told about changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.revision.subscribe()
    }

    /// Calls a tool by its listed name and answers exactly once, also when the name is wrong, the provider
    /// panics or the deadline passes.
    ///
    /// `null` arguments count as an empty object. When the deadline passes, when `ctx.cancel` fires and
    /// when this future is dropped, the provider's future is dropped and the token it was given is
    /// cancelled.
    pub async fn call(&self, name: &str, args: Value, ctx: CallContext) -> ToolResult {
        self.try_call(name, args, ctx)
            .await
            .unwrap_or_else(ToolResult::from)
    }

    /// As [`call`](Self::call), with a typed reason when there is no result. A tool that fails by itself is a result.
    ///
    /// Before the provider hears of the call, its arguments are checked against the schema and the policy decides.
    ///
    /// # Errors
    ///
    /// When the name is wrong, the tool is not there, the arguments contradict its schema, the policy or a person
    /// refuses, or the tool did not answer in time or not as it promised.
    pub async fn try_call(&self, name: &str, args: Value, ctx: CallContext) -> Result<ToolResult, CallError> {
        let snapshot = self.inner.current();
        if snapshot.providers.is_empty() {
            return Err(CallError::RuntimeUnavailable);
        }
        let route = snapshot.catalog.route(name)?;
        let args = match args {
            Value::Null => Value::Object(Map::new()),
            args => args,
        };
        route.tool.check_arguments(&args)?;
        let Some(entry) = snapshot.providers.get(route.owner) else {
            return Err(CallError::RuntimeUnavailable);
        };
        self.inner
            .permit(self.policy.as_ref(), &route, &args, &ctx)
            .await?;
        let result = self.inner.run(entry.provider.as_ref(), &route, args, ctx).await?;
        route.tool.check_result(&result)?;
        Ok(result)
    }
}

impl Inner {
    async fn permit(
        &self,
        policy: &dyn Policy,
        route: &Route<'_>,
        args: &Value,
        ctx: &CallContext,
    ) -> Result<(), CallError> {
        let tool = route.tool;
        let verdict = policy.decide(&Asked {
            origin: ctx.origin,
            toolset: route.toolset,
            tool: &tool.tool,
            annotations: tool.annotations,
        });
        let denied = |reason| CallError::Denied {
            tool: tool.name.clone(),
            reason,
        };
        let reason = match verdict {
            Verdict::Allow => return Ok(()),
            Verdict::Deny(reason) => return Err(denied(reason)),
            Verdict::Ask(reason) => reason,
        };
        let Some(approver) = &ctx.approver else {
            return Err(denied(format!("{reason}, and nobody can be asked")));
        };
        let question = approver.approve(ApprovalRequest {
            name: &tool.name,
            annotations: tool.annotations,
            arguments: args,
            reason: &reason,
        });
        tokio::select! {
            decision = question => match decision {
                Approval::Granted => Ok(()),
                Approval::Refused(reason) => Err(denied(reason)),
            },
            () = ctx.cancel.cancelled() => Err(CallError::Cancelled { tool: tool.tool.clone() }),
            () = tokio::time::sleep(self.options.patience) => Err(denied("nobody decided in time".into())),
        }
    }

    async fn run(
        &self,
        provider: &dyn ToolProvider,
        route: &Route<'_>,
        args: Value,
        ctx: CallContext,
    ) -> Result<ToolResult, CallError> {
        let tool = || route.tool.tool.clone();
        let started = Instant::now();
        let pulse = Arc::new(Pulse::new(started));
        let caller = ctx.cancel;
        let stop = caller.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let ctx = CallContext {
            origin: ctx.origin,
            cancel: stop,
            progress: ctx.progress.beating(Arc::clone(&pulse)),
            approver: ctx.approver,
        };
        // The async block keeps a panic before the first await inside as well.
        let handler = async { provider.call(route.toolset, &route.tool.tool, args, ctx).await };
        tokio::select! {
            biased;
            outcome = AssertUnwindSafe(handler).catch_unwind() => outcome.unwrap_or_else(|_panic| {
                tracing::error!(toolset = route.toolset, tool = %route.tool.tool, "a tool provider panicked");
                Err(CallError::Panicked { tool: tool() })
            }),
            () = caller.cancelled() => Err(CallError::Cancelled { tool: tool() }),
            ended = self.expired(&pulse) => Err(CallError::DeadlineExceeded {
                tool: tool(),
                millis: u64::try_from((ended - started).as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// Ends at the deadline, which each sign of life moves.
    async fn expired(&self, pulse: &Pulse) -> Instant {
        loop {
            let deadline = pulse.deadline(self.options.deadline, self.options.longest);
            tokio::time::sleep_until(deadline).await;
            if pulse.deadline(self.options.deadline, self.options.longest) <= deadline {
                return deadline;
            }
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let snapshot = self.inner.snapshot.load();
        f.debug_struct("Hub")
            .field("providers", &snapshot.providers.len())
            .field("revision", &snapshot.catalog.revision)
            .finish_non_exhaustive()
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(HubOptions::default())
    }
}

async fn follow(hub: Weak<Inner>, mut changes: watch::Receiver<u64>) {
    while changes.changed().await.is_ok() {
        let Some(inner) = hub.upgrade() else { return };
        inner.current();
    }
}

impl Inner {
    /// The snapshot, rebuilt first when a provider's counter has moved.
    fn current(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.load_full();
        if !snapshot.is_stale() {
            return snapshot;
        }
        let _rebuilding = self.rebuilding();
        let snapshot = self.snapshot.load_full();
        if !snapshot.is_stale() {
            return snapshot;
        }
        self.replace(snapshot.providers.clone());
        self.snapshot.load_full()
    }

    /// Asks every provider and publishes the result. The caller holds the rebuild lock.
    fn replace(&self, mut providers: Vec<Entry>) {
        let noticed = Instant::now();
        let old = self.snapshot.load();
        let mut found = Vec::new();
        for (index, entry) in providers.iter_mut().enumerate() {
            // The counter is read first: a change in between makes the snapshot stale, never wrong.
            entry.seen = *entry.changes.borrow_and_update();
            found.extend(ask(index, entry.provider.as_ref(), &old.catalog));
        }
        let mut next = Catalog::build(old.catalog.revision + 1, found, &old.catalog);
        next.noticed = Some(noticed);
        let changed = !next.same_content(&old.catalog);
        let catalog = if changed {
            Arc::new(next)
        } else {
            Arc::clone(&old.catalog)
        };
        let revision = catalog.revision;
        self.snapshot.store(Arc::new(Snapshot { catalog, providers }));
        if changed {
            self.revision.send_replace(revision);
        }
    }

    fn rebuilding(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data, so a panic under it leaves nothing half done.
        self.rebuild.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    fn is_stale(&self) -> bool {
        self.providers
            .iter()
            .any(|entry| *entry.changes.borrow() != entry.seen)
    }
}

/// Everything a provider has, where it can be as it was in the snapshot before.
fn ask(owner: usize, provider: &dyn ToolProvider, before: &Catalog) -> Vec<Found> {
    let fresh = |version: Option<u64>, set: Toolset| {
        let promised = set.tools.iter().filter_map(|tool| {
            let schema = provider.output_schema(&set.id, &tool.name)?;
            Some((tool.name.clone(), schema))
        });
        let outputs: HashMap<String, Value> = promised.collect();
        Found::fresh(owner, version, set, outputs)
    };
    let asked = AssertUnwindSafe(|| match provider.versions() {
        None => provider
            .toolsets()
            .into_iter()
            .map(|set| fresh(None, set))
            .collect(),
        Some(versions) => {
            let found = versions.into_iter().filter_map(|(id, version)| {
                if let Some(kept) = before.still(&id, owner, version) {
                    return Some(Found::kept(Arc::clone(kept)));
                }
                Some(fresh(Some(version), provider.toolset(&id)?))
            });
            found.collect()
        }
    });
    std::panic::catch_unwind(asked).unwrap_or_else(|_panic| {
        tracing::error!("a tool provider panicked while it listed its tools; its tools are left out");
        Vec::new()
    })
}

#[cfg(test)]
mod tests;
