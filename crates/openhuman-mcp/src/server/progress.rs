//! Progress of a call, on its way to the client that asked for it.

use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use tokio::sync::mpsc;

use crate::context::{Progress, ProgressReport, ProgressSink};

/// Reports that may wait for a slow client; more are dropped, since a later one says more.
const WAITING: usize = 64;

/// The reports of one call.
pub(super) struct Reports {
    to: Option<(Peer<RoleServer>, ProgressToken, mpsc::Receiver<ProgressReport>)>,
    progress: Progress,
}

struct Queue(mpsc::Sender<ProgressReport>);

impl ProgressSink for Queue {
    fn report(&self, report: ProgressReport) {
        let _full_or_gone = self.0.try_send(report);
    }
}

impl Reports {
    pub(super) fn new(context: &RequestContext<RoleServer>) -> Self {
        let Some(token) = context.meta.get_progress_token() else {
            return Self {
                to: None,
                progress: Progress::default(),
            };
        };
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            to: Some((context.peer.clone(), token, receiver)),
            progress: Progress::new(Arc::new(Queue(sender))),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Runs the call and sends its reports; all that were made are sent before this ends.
    pub(super) async fn forward<T>(self, call: impl Future<Output = T>) -> T {
        let Some((peer, token, mut reports)) = self.to else {
            return call.await;
        };
        drop(self.progress);
        tokio::pin!(call);
        let outcome = loop {
            tokio::select! {
                biased;
                Some(report) = reports.recv() => send(&peer, &token, report).await,
                outcome = &mut call => break outcome,
            }
        };
        while let Ok(report) = reports.try_recv() {
            send(&peer, &token, report).await;
        }
        outcome
    }
}

async fn send(peer: &Peer<RoleServer>, token: &ProgressToken, report: ProgressReport) {
    let mut param = ProgressNotificationParam::new(token.clone(), report.progress);
    param.total = report.total;
    param.message = report.message;
    if let Err(error) = peer.notify_progress(param).await {
        tracing::debug!(%error, "progress was not sent");
    }
}
