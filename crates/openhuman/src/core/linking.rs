//! The link of a core: made, ended, and made again at the next start.

use std::sync::{Arc, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Core, Inner};
use crate::CoreError;
use crate::link::{self, Credential, Ends, Link, LinkReport, SocketState, SocketStatus};

impl Inner {
    pub(crate) async fn connected_link(&self) -> Option<Arc<Link>> {
        let link = self.link.lock().await.clone();
        link.filter(|_| self.socket.borrow().status == SocketState::Connected)
    }

    /// Why there is no link, and what to do about it.
    pub(crate) fn not_connected(&self) -> CoreError {
        let status = self.socket.borrow();
        let reason = status.error.as_deref().unwrap_or("none was opened");
        CoreError::NotConnected(match status.status {
            SocketState::Reconnecting | SocketState::Connecting => {
                format!("it was lost ({reason}) and is being restored; ask again in a moment")
            }
            SocketState::Error => format!("{reason}; log in again with a new login token"),
            _ => format!("{reason}; connect to one first"),
        })
    }

    fn ends(&self) -> Ends {
        Ends {
            hub: self.hub.clone(),
            engine: self.engine.clone(),
            status: self.socket.clone(),
            sessions: self.sessions.clone(),
            network: self.session.network().clone(),
        }
    }
}

impl Core {
    /// Logs in at a backend and keeps the link until [`Core::disconnect`]. An earlier link is closed first. The session
    /// is kept in the vault: from then on [`Credential::Kept`] is enough, until [`Core::log_out`].
    ///
    /// # Errors
    /// When the backend cannot be reached or refuses the credential. Once connected, losses are repaired by themselves.
    pub async fn connect(&self, url: &str, credential: &Credential) -> Result<Arc<Link>, CoreError> {
        let inner = &self.inner;
        self.replace_link(url, Link::connect(url, credential, inner.ends()))
            .await
    }

    /// Connects to the backend that [`Core::stay_connected`] noted, with the session that is kept, and returns at once:
    /// a backend that is not there is tried until it is. `None` when there is nothing to resume.
    ///
    /// # Errors
    /// When the vault cannot be read or the network settings cannot be used.
    pub async fn resume_link(&self) -> Result<Option<Arc<Link>>, CoreError> {
        let sessions = self.inner.sessions.clone();
        let Some(backend) = tokio::task::spawn_blocking(move || sessions.wanted()).await?? else {
            return Ok(None);
        };
        let resumed = Link::resume(&backend, self.inner.ends());
        self.replace_link(backend.as_str(), resumed).await.map(Some)
    }

    /// Whether a later start resumes the link that is there now ([`Core::resume_link`]).
    ///
    /// # Errors
    /// When the vault cannot be written.
    pub async fn stay_connected(&self, stay: bool) -> Result<(), CoreError> {
        let link = self.inner.link.lock().await.clone();
        let (sessions, url) = (
            self.inner.sessions.clone(),
            link.map(|link| link.url().to_owned()),
        );
        let noted = move || sessions.want(url.as_deref().filter(|_| stay));
        Ok(tokio::task::spawn_blocking(noted).await??)
    }

    /// The backends that a session is kept for.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn logged_in(&self) -> Result<Vec<String>, CoreError> {
        let sessions = self.inner.sessions.clone();
        Ok(tokio::task::spawn_blocking(move || sessions.backends()).await??)
    }

    /// Forgets the session at a backend and ends a link to it; whether there was a session.
    ///
    /// # Errors
    /// When the address is none, or the vault cannot be written.
    pub async fn log_out(&self, url: &str) -> Result<bool, CoreError> {
        let session = self.inner.sessions.at(&link::base(url)?);
        let there = session.forget().await?;
        let link = self.inner.link.lock().await.clone();
        if link.is_some_and(|link| link.url() == session.address()) {
            self.stay_connected(false).await?;
            self.disconnect().await;
        }
        Ok(there)
    }

    /// One link at a time: the earlier one is closed, and [`Core::disconnect`] gives the attempt up.
    async fn replace_link(
        &self,
        url: &str,
        made: impl Future<Output = Result<Link, CoreError>>,
    ) -> Result<Arc<Link>, CoreError> {
        let _one_at_a_time = self.inner.connecting.lock().await;
        self.close_link().await;
        let attempt = CancellationToken::new();
        *self.inner.attempt.lock().unwrap_or_else(PoisonError::into_inner) = attempt.clone();
        let connected = attempt.run_until_cancelled(made).await.unwrap_or_else(|| {
            Err(CoreError::Backend {
                url: url.to_owned(),
                reason: "the attempt was given up".into(),
            })
        });
        let link = match connected {
            Ok(link) => Arc::new(link),
            Err(error) => {
                // Without a link nothing of the session is lent.
                self.inner.session.set(None);
                return Err(error);
            }
        };
        *self.inner.link.lock().await = Some(link.clone());
        Ok(link)
    }

    async fn close_link(&self) {
        let link = self.inner.link.lock().await.take();
        if let Some(link) = link {
            link.close().await;
        }
        // No attempt is under way any more that could lend it again.
        self.inner.session.set(None);
    }

    /// Ends the link, if there is one, and an attempt to make one. The session stays.
    pub async fn disconnect(&self) {
        self.inner
            .attempt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cancel();
        let _one_at_a_time = self.inner.connecting.lock().await;
        self.close_link().await;
        self.inner.socket.send_replace(SocketStatus::default());
    }

    /// The state of the link, now and as it changes.
    #[must_use]
    pub fn socket(&self) -> watch::Receiver<SocketStatus> {
        self.inner.socket.subscribe()
    }

    /// What the link has done so far; `None` without one.
    pub async fn link_report(&self) -> Option<LinkReport> {
        let link = self.inner.link.lock().await.clone();
        link.map(|link| link.report())
    }
}
