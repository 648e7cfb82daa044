//! Requests and events between instances, over publish and subscribe.
//!
//! A request goes to all instances; each says that it has no desktop of the user, or asks its desktop and sends the
//! answer. Redis tells how many instances got the request, so the asker knows when all have said no.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use openhuman_vault::Key;
use redis::Client;
use redis::aio::ConnectionManager;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::unreachable;
use crate::cluster::{AskError, Cluster, DesktopRequest, Instance};
use crate::error::BackendError;

const ALL: &str = "openhuman:backend:all";
/// How long another instance may take for an answer. Its own deadlines are shorter.
const DEADLINE: Duration = Duration::from_secs(60);
/// The pause before subscribing again, and the longest one.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Message {
    Ask {
        id: u64,
        from: String,
        user: String,
        request: DesktopRequest,
    },
    Tell {
        from: String,
        user: String,
        event: String,
        payload: Value,
    },
    /// `None`: no desktop of the user is here.
    Answer {
        id: u64,
        answer: Option<Result<Value, AskError>>,
    },
}

type Answer = Option<Result<Value, AskError>>;

/// The way to the other instances that use the same Redis server.
pub struct RedisCluster {
    inner: Arc<Inner>,
    /// Ends the listening with this value.
    _listening: DropGuard,
    listening: CancellationToken,
}

struct Inner {
    client: Client,
    publisher: ConnectionManager,
    /// The name of this instance.
    name: String,
    serial: AtomicU64,
    /// Whether this instance hears what goes to all.
    hears: AtomicBool,
    waiting: Mutex<HashMap<u64, mpsc::UnboundedSender<Answer>>>,
}

impl RedisCluster {
    /// Connects to a server like `redis://127.0.0.1:6379/0`.
    ///
    /// # Errors
    /// [`BackendError::Cluster`] when the address is none or nobody answers there.
    pub async fn connect(url: &str) -> Result<RedisCluster, BackendError> {
        let client = Client::open(url).map_err(|error| unreachable(&error))?;
        let publisher = tokio::time::timeout(super::PATIENCE, client.get_connection_manager());
        let publisher = publisher.await.map_err(|_| BackendError::Cluster {
            reason: "nobody answers".to_owned(),
        })?;
        let random = Key::generate()?;
        let name = random
            .expose()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let listening = CancellationToken::new();
        Ok(RedisCluster {
            _listening: listening.clone().drop_guard(),
            listening,
            inner: Arc::new(Inner {
                client,
                publisher: publisher.map_err(|error| unreachable(&error))?,
                name,
                serial: AtomicU64::new(0),
                hears: AtomicBool::new(false),
                waiting: Mutex::default(),
            }),
        })
    }
}

impl std::fmt::Debug for RedisCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisCluster")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Cluster for RedisCluster {
    fn join(&self, here: Weak<dyn Instance>) {
        let inner = Arc::downgrade(&self.inner);
        let listening = self.listening.clone();
        tokio::spawn(listening.run_until_cancelled_owned(listen(inner, here)));
    }

    fn ask<'a>(&'a self, user: &'a str, request: DesktopRequest) -> BoxFuture<'a, Result<Value, AskError>> {
        self.inner.ask(user, request).boxed()
    }

    fn tell<'a>(&'a self, user: &'a str, event: &'a str, payload: &'a Value) -> BoxFuture<'a, ()> {
        async move {
            let message = Message::Tell {
                from: self.inner.name.clone(),
                user: user.to_owned(),
                event: event.to_owned(),
                payload: payload.clone(),
            };
            if let Err(error) = self.inner.publish(ALL, &message).await {
                tracing::warn!(%error, "an event did not reach the other instances");
            }
        }
        .boxed()
    }
}

/// Forgets a request however its waiting ends.
struct Forget<'a>(&'a Inner, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.waiting().remove(&self.1);
    }
}

impl Inner {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, mpsc::UnboundedSender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_channel(&self) -> String {
        format!("openhuman:backend:{}", self.name)
    }

    /// How many instances got it.
    async fn publish(&self, channel: &str, message: &Message) -> Result<usize, String> {
        let text = serde_json::to_string(message).map_err(|error| error.to_string())?;
        let mut publisher = self.publisher.clone();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(text);
        let sent = publish.query_async::<usize>(&mut publisher);
        match tokio::time::timeout(super::PATIENCE, sent).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("Redis did not answer in time".to_owned()),
        }
    }

    async fn ask(&self, user: &str, request: DesktopRequest) -> Result<Value, AskError> {
        let id = self.serial.fetch_add(1, Ordering::Relaxed);
        let (sender, mut answers) = mpsc::unbounded_channel();
        self.waiting().insert(id, sender);
        let _forget = Forget(self, id);
        let message = Message::Ask {
            id,
            from: self.name.clone(),
            user: user.to_owned(),
            request,
        };
        let no_answer = |reason: String| AskError::NoAnswer { reason };
        let reached = self
            .publish(ALL, &message)
            .await
            .map_err(|error| no_answer(format!("The other instances cannot be reached: {error}")))?;
        // This instance gets it too, and has said no already.
        let mut silent = reached.saturating_sub(usize::from(self.hears.load(Ordering::SeqCst)));
        let all = async {
            while silent > 0 {
                match answers.recv().await {
                    Some(Some(answer)) => return answer,
                    Some(None) => silent -= 1,
                    None => break,
                }
            }
            Err(AskError::NotConnected)
        };
        match tokio::time::timeout(DEADLINE, all).await {
            Ok(answer) => answer,
            Err(_) => Err(no_answer("Another instance did not answer in time".to_owned())),
        }
    }

    async fn handle(self: &Arc<Self>, here: &Weak<dyn Instance>, message: Message) {
        match message {
            Message::Ask { from, .. } | Message::Tell { from, .. } if from == self.name => {}
            Message::Ask {
                id,
                from,
                user,
                request,
            } => {
                let Some(here) = here.upgrade() else { return };
                let inner = Arc::clone(self);
                tokio::spawn(async move {
                    let answer = here.ask_here(&user, request).await;
                    let channel = format!("openhuman:backend:{from}");
                    if let Err(error) = inner.publish(&channel, &Message::Answer { id, answer }).await {
                        tracing::warn!(%error, "an answer did not reach the instance that asked");
                    }
                });
            }
            Message::Tell {
                user, event, payload, ..
            } => {
                if let Some(here) = here.upgrade() {
                    here.tell_here(&user, &event, &payload).await;
                }
            }
            Message::Answer { id, answer } => {
                if let Some(sender) = self.waiting().get(&id) {
                    // The asker may have given up this very moment.
                    let _ = sender.send(answer);
                }
            }
        }
    }
}

/// Serves the other instances until this one is gone.
async fn listen(inner: Weak<Inner>, here: Weak<dyn Instance>) {
    let mut pause = PAUSE;
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let (client, own) = (strong.client.clone(), strong.own_channel());
        drop(strong);
        let subscribed = async {
            let mut subscription = client.get_async_pubsub().await?;
            subscription.subscribe(&[ALL, own.as_str()]).await?;
            Ok::<_, redis::RedisError>(subscription)
        };
        match subscribed.await {
            Ok(subscription) => {
                pause = PAUSE;
                if let Some(inner) = inner.upgrade() {
                    inner.hears.store(true, Ordering::SeqCst);
                }
                let mut messages = subscription.into_on_message();
                while let Some(message) = messages.next().await {
                    let Some(inner) = inner.upgrade() else { return };
                    match serde_json::from_slice(message.get_payload_bytes()) {
                        Ok(message) => inner.handle(&here, message).await,
                        Err(error) => tracing::warn!(%error, "a message between instances cannot be read"),
                    }
                }
                if let Some(inner) = inner.upgrade() {
                    inner.hears.store(false, Ordering::SeqCst);
                }
                tracing::warn!("the connection to Redis is lost; subscribing again");
            }
            Err(error) => tracing::warn!(%error, "Redis cannot be subscribed to; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
