//! Telling clients that lists have changed.

use std::time::Duration;

use futures_util::future::{BoxFuture, select_all};
use rmcp::RoleServer;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, ServiceError, SubscriptionContext};
use tokio::sync::watch;

use super::Server;

/// How often to look whether a session is still there.
const LOOK: Duration = Duration::from_secs(30);

/// Which list changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Tools,
    Prompts,
    Resources,
}

/// The counters of all lists.
struct Changes(Vec<(List, watch::Receiver<u64>)>);

impl Changes {
    fn of(server: &Server) -> Self {
        let offers = server.hub.offers();
        let mut all = vec![(List::Tools, server.hub.changes())];
        all.extend(offers.prompts.iter().map(|one| (List::Prompts, one.changes())));
        all.extend(
            offers
                .resources
                .iter()
                .map(|one| (List::Resources, one.changes())),
        );
        for (_, receiver) in &mut all {
            receiver.mark_unchanged();
        }
        Self(all)
    }

    /// The next list that changes; `None` when nothing will any more.
    async fn next(&mut self) -> Option<List> {
        while !self.0.is_empty() {
            let waiting = self.0.iter_mut().map(|(list, receiver)| {
                let list = *list;
                let change: BoxFuture<'_, _> =
                    Box::pin(async move { receiver.changed().await.map(|()| list) });
                change
            });
            let (changed, index, _) = select_all(waiting).await;
            match changed {
                Ok(list) => return Some(list),
                Err(_gone) => drop(self.0.swap_remove(index)),
            }
        }
        None
    }
}

impl Server {
    /// Tells a session with a handshake until it is closed.
    pub(super) async fn announce(&self, peer: &Peer<RoleServer>) {
        let mut changes = Changes::of(self);
        loop {
            let list = tokio::select! {
                () = self.closing.cancelled() => return,
                // A session over HTTP ends without a word to this one.
                () = tokio::time::sleep(LOOK) => {
                    if peer.is_transport_closed() {
                        return;
                    }
                    continue;
                }
                list = changes.next() => list,
            };
            let Some(list) = list else { return };
            let told = match list {
                List::Tools => peer.notify_tool_list_changed().await,
                List::Prompts => peer.notify_prompt_list_changed().await,
                List::Resources => self.tell_of_resources(peer).await,
            };
            if let Err(error) = told {
                tracing::debug!(%error, "the client was not told about a change");
                if peer.is_transport_closed() {
                    return;
                }
            }
        }
    }

    /// A provider does not say what has changed: whatever is watched may have.
    async fn tell_of_resources(&self, peer: &Peer<RoleServer>) -> Result<(), ServiceError> {
        let watched: Vec<String> = self.watched().iter().cloned().collect();
        for uri in watched {
            peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri))
                .await?;
        }
        peer.notify_resource_list_changed().await
    }

    /// Tells a subscription what it asked for until it ends.
    pub(super) async fn tell(&self, context: &SubscriptionContext) {
        let mut changes = Changes::of(self);
        let accepted = context.accepted();
        let wants = |list| {
            Some(true)
                == match list {
                    List::Tools => accepted.tools_list_changed,
                    List::Prompts => accepted.prompts_list_changed,
                    List::Resources => accepted.resources_list_changed,
                }
        };
        loop {
            let list = tokio::select! {
                () = context.cancelled() => return,
                () = self.closing.cancelled() => return,
                list = changes.next() => list,
            };
            let Some(list) = list else {
                // Nothing changes any more; the subscription stands until the client or the input ends it.
                tokio::select! {
                    () = context.cancelled() => return,
                    () = self.closing.cancelled() => return,
                }
            };
            if list == List::Resources {
                for uri in accepted.resource_subscriptions.iter().flatten() {
                    if context
                        .sink()
                        .notify_resource_updated(uri.as_str())
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
            if !wants(list) {
                continue;
            }
            let told = match list {
                List::Tools => context.sink().notify_tool_list_changed().await,
                List::Prompts => context.sink().notify_prompt_list_changed().await,
                List::Resources => context.sink().notify_resource_list_changed().await,
            };
            if told.is_err() {
                return;
            }
        }
    }
}
