//! The hub: providers on one side, callers on the other, a snapshot in between.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::catalog::Catalog;
use crate::tool::{CallContext, CallError, ToolProvider, ToolResult, Toolset};

/// How a hub behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// How long one call may take. Default: 30 s.
    pub deadline: Duration,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
        }
    }
}

/// Every tool of this process in one place. Clones share the same hub.
///
/// Reading the catalog never waits for a provider that has nothing new. It is rebuilt when a provider's counter moves, and a reader that is
/// faster than the watching task rebuilds it itself, so nobody sees a list that is older than the counter.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    options: HubOptions,
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
        let stop = CancellationToken::new();
        Self {
            inner: Arc::new(Inner {
                options,
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
    /// # Errors
    ///
    /// When the name is wrong, the tool is not there, or it did not answer in time.
    pub async fn try_call(&self, name: &str, args: Value, ctx: CallContext) -> Result<ToolResult, CallError> {
        let snapshot = self.inner.current();
        if snapshot.providers.is_empty() {
            return Err(CallError::RuntimeUnavailable);
        }
        let route = snapshot.catalog.route(name)?;
        let tool = || route.tool.to_owned();
        let args = match args {
            Value::Null => Value::Object(Map::new()),
            Value::Object(_) => args,
            _ => {
                return Err(CallError::InvalidArguments {
                    tool: tool(),
                    reason: "they must be a JSON object".into(),
                });
            }
        };
        let Some(entry) = snapshot.providers.get(route.owner) else {
            return Err(CallError::RuntimeUnavailable);
        };

        let caller = ctx.cancel;
        let stop = caller.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let ctx = CallContext {
            origin: ctx.origin,
            cancel: stop,
        };
        // The async block keeps a panic before the first await inside as well.
        let handler = async { entry.provider.call(route.toolset, route.tool, args, ctx).await };
        tokio::select! {
            biased;
            outcome = AssertUnwindSafe(handler).catch_unwind() => match outcome {
                Ok(result) => result,
                Err(_panic) => {
                    tracing::error!(toolset = route.toolset, tool = route.tool, "a tool provider panicked");
                    Err(CallError::Panicked { tool: tool() })
                }
            },
            () = caller.cancelled() => Err(CallError::Cancelled { tool: tool() }),
            () = tokio::time::sleep(self.inner.options.deadline) => Err(CallError::DeadlineExceeded {
                tool: tool(),
                millis: u64::try_from(self.inner.options.deadline.as_millis()).unwrap_or(u64::MAX),
            }),
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
        let mut found = Vec::new();
        for (index, entry) in providers.iter_mut().enumerate() {
            // The counter is read first: a change in between makes the snapshot stale, never wrong.
            entry.seen = *entry.changes.borrow_and_update();
            found.extend(ask(entry.provider.as_ref()).into_iter().map(|set| (index, set)));
        }
        let old = self.snapshot.load();
        let next = Catalog::build(old.catalog.revision + 1, found);
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

fn ask(provider: &dyn ToolProvider) -> Vec<Toolset> {
    std::panic::catch_unwind(AssertUnwindSafe(|| provider.toolsets())).unwrap_or_else(|_panic| {
        tracing::error!("a tool provider panicked while it listed its tools; its tools are left out");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Behaviour, Bench};
    use crate::tool::Origin;
    use serde_json::json;

    fn ctx() -> CallContext {
        CallContext::new(Origin::Agent)
    }

    #[tokio::test]
    async fn an_empty_hub_says_that_the_runtime_is_missing() {
        let result = Hub::default().call("a__b", Value::Null, ctx()).await;
        assert_eq!(result, ToolResult::error("Skill runtime not available"));
    }

    #[tokio::test]
    async fn calls_reach_the_provider_with_an_object() {
        let (hub, _bench) = Bench::hub(HubOptions::default());
        let result = hub.call("bench__echo", json!({"text": "hé"}), ctx()).await;
        assert_eq!(result, ToolResult::text("{\"text\":\"hé\"}"));
        assert_eq!(
            hub.call("bench__echo", Value::Null, ctx()).await,
            ToolResult::text("{}")
        );
        let bad = hub.call("bench__echo", json!([1]), ctx()).await;
        assert_eq!(
            bad,
            ToolResult::error("Invalid arguments for tool 'echo': they must be a JSON object")
        );
    }

    #[tokio::test]
    async fn a_change_is_seen_at_once_and_an_equal_list_is_no_change() {
        let (hub, bench) = Bench::hub(HubOptions::default());
        let mut changes = hub.changes();
        let before = hub.catalog().revision;
        changes.mark_unchanged();
        bench.add_tool("late");
        assert_eq!(
            hub.catalog().revision,
            before + 1,
            "the reader does not wait for the watching task"
        );
        assert_eq!(
            hub.call("bench__late", json!({}), ctx()).await,
            ToolResult::text("{}")
        );
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        bench.touch();
        assert_eq!(hub.catalog().revision, before + 1);
        assert!(!changes.has_changed().unwrap());
    }

    #[tokio::test]
    async fn the_watching_task_publishes_without_a_reader_and_ends_with_the_hub() {
        let (hub, bench) = Bench::hub(HubOptions::default());
        let mut changes = hub.changes();
        changes.mark_unchanged();
        bench.add_tool("late");
        changes.changed().await.unwrap();
        drop(hub);
        assert!(
            changes.changed().await.is_err(),
            "the hub is gone, so is its sender"
        );
        bench.closed().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_answers_and_cancels_the_handler() {
        let (hub, bench) = Bench::hub(HubOptions::default());
        let started = tokio::time::Instant::now();
        let result = hub.call("bench__hang", json!({}), ctx()).await;
        assert_eq!(started.elapsed(), Duration::from_secs(30));
        assert!(result.is_error);
        assert!(
            result.to_text().contains("did not answer within 30000 ms"),
            "{}",
            result.to_text()
        );
        assert!(bench.last_token().is_cancelled());
    }

    #[tokio::test]
    async fn cancelling_and_dropping_both_reach_the_handler() {
        let (hub, bench) = Bench::hub(HubOptions::default());
        let ctx = ctx();
        let token = ctx.cancel.clone();
        let call = tokio::spawn({
            let hub = hub.clone();
            async move { hub.call("bench__hang", json!({}), ctx).await }
        });
        bench.started().await;
        token.cancel();
        assert_eq!(
            call.await.unwrap(),
            ToolResult::error("The call of tool 'hang' was cancelled")
        );
        assert!(bench.last_token().is_cancelled());

        let dropped = tokio::spawn({
            let hub = hub.clone();
            async move { hub.call("bench__hang", json!({}), self::ctx()).await }
        });
        bench.started().await;
        dropped.abort();
        bench.last_token().cancelled().await;
    }

    #[tokio::test]
    async fn a_provider_that_panics_is_contained() {
        let (hub, bench) = Bench::hub(HubOptions::default());
        for tool in ["bench__panic", "bench__panic-early"] {
            let result = hub.call(tool, json!({}), ctx()).await;
            assert!(
                result.is_error && result.to_text().ends_with("crashed"),
                "{}",
                result.to_text()
            );
        }
        assert!(!hub.call("bench__echo", json!({}), ctx()).await.is_error);
        bench.set(Behaviour::PanicOnList);
        assert!(hub.catalog().tools.is_empty());
        bench.set(Behaviour::Normal);
        assert!(!hub.catalog().tools.is_empty());
    }
}
