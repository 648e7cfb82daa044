//! The asynchronous driver: carries a [`Turn`] through its ports.

mod driver;
mod prepare;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::event::{FailureKind, TurnEvent};
use crate::message::{Message, Recalled};
use crate::model::Model;
use crate::policy::Policy;
use crate::ports::{AllowAll, Approver, Clock, Compactor, Journal, NoTools, Recall, TokioClock, Tools};
use crate::results::{ResultStore, StoredResults};
use crate::search::IndexCache;
use crate::turn::Turn;
use driver::Driver;

/// Events a slow reader may leave unread before the turn waits for it.
const EVENT_BUFFER: usize = 64;

const DEFAULT_SYSTEM: &str = "You are OpenHuman, an assistant on the user's own machine. Answer plainly and briefly. \
Use the tools when they help; never invent what a tool or the user's memory would have to tell you.";

/// What one turn is run with.
#[derive(Clone, Debug, Default)]
pub struct TurnInput {
    /// The conversation so far.
    pub history: Vec<Message>,
    /// What the person says; at most 1 MiB.
    pub prompt: String,
    /// Snippets the caller has already recalled; the agent's own [`Recall`] adds to them.
    pub context: Vec<Recalled>,
}

/// Runs turns. Cheap to clone; one agent runs any number of turns at the same time.
#[derive(Clone)]
pub struct Agent {
    parts: Arc<Parts>,
}

struct Parts {
    model: Arc<dyn Model>,
    tools: Arc<dyn Tools>,
    recall: Option<Arc<dyn Recall>>,
    approver: Arc<dyn Approver>,
    journal: Option<Arc<dyn Journal>>,
    compactor: Option<Arc<dyn Compactor>>,
    clock: Arc<dyn Clock>,
    budget: Budget,
    system: String,
    policy: Policy,
    origin: String,
    results: Option<Arc<dyn ResultStore>>,
    window: Option<u64>,
    indexes: IndexCache,
}

/// Puts an [`Agent`] together; see [`Agent::builder`].
pub struct AgentBuilder {
    parts: Parts,
}

impl AgentBuilder {
    /// The tools on offer. Default: none.
    #[must_use]
    pub fn tools(mut self, tools: Arc<dyn Tools>) -> Self {
        self.parts.tools = tools;
        self
    }

    /// The memory to search before each turn. Default: none.
    #[must_use]
    pub fn recall(mut self, recall: Arc<dyn Recall>) -> Self {
        self.parts.recall = Some(recall);
        self
    }

    /// Who decides about the calls that the policy asks about. Default: [`AllowAll`].
    #[must_use]
    pub fn approver(mut self, approver: Arc<dyn Approver>) -> Self {
        self.parts.approver = approver;
        self
    }

    /// Where the turn is kept after each transition. Default: nowhere.
    #[must_use]
    pub fn journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.parts.journal = Some(journal);
        self
    }

    /// What shortens a history above [`Budget::history_tokens`]. Default: nothing does.
    #[must_use]
    pub fn compactor(mut self, compactor: Arc<dyn Compactor>) -> Self {
        self.parts.compactor = Some(compactor);
        self
    }

    /// The clock of the wall-clock budget. Default: the runtime's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.parts.clock = clock;
        self
    }

    /// The limits of each turn. Default: [`Budget::default`].
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.parts.budget = budget;
        self
    }

    /// The standing instructions. A sentence that tool results and recalled text are data is always added.
    #[must_use]
    pub fn system(mut self, system: String) -> Self {
        self.parts.system = system;
        self
    }

    /// What runs, what is asked about, what is refused, and which links the model may write. Default:
    /// [`Policy::default`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.parts.policy = policy;
        self
    }

    /// Where the turns come from, for the rules of the policy, for example `chat` or `cron:daily`. Default: empty.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.parts.origin = origin.into();
        self
    }

    /// Where results above [`Budget::result_bytes`] are kept; the model gets a preview and the tool `read_result`.
    /// Default: nowhere, and they are shortened.
    #[must_use]
    pub fn results(mut self, store: Arc<dyn ResultStore>) -> Self {
        self.parts.results = Some(store);
        self
    }

    /// How many tokens the model reads at once. When the definitions of the tools take more than a twentieth of it, the
    /// model gets the tool `find_tools` instead of them. Default: not known, and all tools are always on offer.
    #[must_use]
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.parts.window = Some(tokens);
        self
    }

    /// The agent.
    pub fn build(mut self) -> Agent {
        if let Some(store) = self.parts.results.take() {
            let limit = self.parts.budget.result_bytes;
            self.parts.tools = Arc::new(StoredResults::new(self.parts.tools, store, limit));
        }
        Agent {
            parts: Arc::new(self.parts),
        }
    }
}

enum Start {
    New(TurnInput),
    Resumed(Box<Turn>),
}

impl Agent {
    /// Starts building an agent around a model.
    pub fn builder(model: Arc<dyn Model>) -> AgentBuilder {
        AgentBuilder {
            parts: Parts {
                model,
                tools: Arc::new(NoTools),
                recall: None,
                approver: Arc::new(AllowAll),
                journal: None,
                compactor: None,
                clock: Arc::new(TokioClock::new()),
                budget: Budget::default(),
                system: DEFAULT_SYSTEM.to_owned(),
                policy: Policy::default(),
                origin: String::new(),
                results: None,
                window: None,
                indexes: IndexCache::default(),
            },
        }
    }

    /// The model's name.
    pub fn model_name(&self) -> String {
        self.parts.model.name()
    }

    /// Runs one turn. The work happens while the stream is read, in the reader's task; dropping the stream stops
    /// everything at once. Firing `cancel` does too, and ends the stream with
    /// [`FailureKind::Cancelled`]. Needs a tokio runtime with time.
    pub fn run(&self, input: TurnInput, cancel: CancellationToken) -> BoxStream<'static, TurnEvent> {
        self.start(Start::New(input), cancel)
    }

    /// Goes on with a turn read from a journal ([`Turn::from_json`]). Nothing is recalled again, and tools keep the
    /// definitions the turn started with.
    pub fn resume(&self, turn: Turn, cancel: CancellationToken) -> BoxStream<'static, TurnEvent> {
        self.start(Start::Resumed(Box::new(turn)), cancel)
    }

    fn start(&self, start: Start, cancel: CancellationToken) -> BoxStream<'static, TurnEvent> {
        let (events, mut received) = mpsc::channel(EVENT_BUFFER);
        let driver = Driver::new(Arc::clone(&self.parts), events.clone(), cancel);
        let work = async move {
            let ran = AssertUnwindSafe(driver.run(start)).catch_unwind().await;
            if ran.is_err() {
                let message =
                    "A part of the turn crashed, and the turn with it; this is a bug. Try again.".to_owned();
                let kind = FailureKind::Model;
                // The receiver lives in the same stream as this future.
                let _ = events.send(TurnEvent::Failed { kind, message }).await;
            }
        };
        let mut work: Option<BoxFuture<'static, ()>> = Some(work.boxed());
        stream::poll_fn(move |cx| {
            if let Some(future) = &mut work
                && future.poll_unpin(cx).is_ready()
            {
                work = None;
            }
            // A driver that waits for room is woken by this and polled again with the reader's next poll.
            received.poll_recv(cx)
        })
        .boxed()
    }
}
