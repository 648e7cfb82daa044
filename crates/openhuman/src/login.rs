//! Logging in with a link that the browser hands over: only with one that this device has asked for.

use std::sync::{Arc, MutexGuard, PoisonError};

use openhuman_vault::VaultError;
use openhuman_vault::tokens::LoginRequests;

use crate::{Core, CoreError, Credential, Link};

/// For how long a login may take, in milliseconds.
pub(crate) use openhuman_vault::tokens::TTL_MS as LOGIN_MS;

impl Core {
    /// Begins a login at a backend and returns the challenge that the login page has to be opened with. The link that
    /// comes back is taken for five minutes, once; an earlier login that was not finished ends.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn start_login(&self) -> Result<String, CoreError> {
        let challenge = self.logins().start(now_ms()).map_err(VaultError::from)?;
        Ok(challenge.to_string())
    }

    /// Ends the login that was begun, if any.
    pub fn cancel_login(&self) {
        self.logins().cancel();
    }

    /// Finishes the login that was begun with a link `openhuman://auth?token=..`, and connects.
    ///
    /// # Errors
    /// [`CoreError::LoginLink`] for a link that this device did not ask for, that is too late, or that carries a session
    /// instead of a login token; otherwise as [`Core::connect`].
    pub async fn connect_with_link(&self, url: &str, link: &str) -> Result<Arc<Link>, CoreError> {
        let proof = self.logins().accept(link, now_ms())?;
        let credential = Credential::LoginProof {
            token: proof.token().to_owned(),
            verifier: proof.verifier().to_owned(),
        };
        self.connect(url, &credential).await
    }

    fn logins(&self) -> MutexGuard<'_, LoginRequests> {
        self.inner().logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
