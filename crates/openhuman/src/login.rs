//! Logging in with a link that the browser hands over: only with one that this device has asked for.

use std::sync::{Arc, MutexGuard, PoisonError};

use openhuman_vault::VaultError;
use openhuman_vault::tokens::{LoginLinkError, LoginRequests};

use crate::{Core, CoreError, Credential, Link};

/// For how long a login may take, in milliseconds.
pub(crate) use openhuman_vault::tokens::TTL_MS as LOGIN_MS;

/// The login that this device has asked for, and where.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    requests: LoginRequests,
    backend: Option<String>,
}

impl Core {
    /// Begins a login at a backend and returns the challenge that the login page has to be opened with. The link that
    /// comes back is taken for five minutes, once, and shown to no other backend; an earlier login that was not finished
    /// ends.
    ///
    /// # Errors
    /// When the address is none, or the operating system has no randomness to give.
    pub fn start_login(&self, url: &str) -> Result<String, CoreError> {
        crate::link::base(url)?;
        let mut logins = self.logins();
        let challenge = logins.requests.start(now_ms()).map_err(VaultError::from)?;
        logins.backend = Some(url.to_owned());
        Ok(challenge.to_string())
    }

    /// Ends the login that was begun, if any.
    pub fn cancel_login(&self) {
        *self.logins() = Logins::default();
    }

    /// Finishes the login that was begun with a link `openhuman://auth?token=..`, and connects.
    ///
    /// # Errors
    /// [`CoreError::LoginLink`] for a link that this device did not ask for, that is too late, or that carries a session
    /// instead of a login token; otherwise as [`Core::connect`].
    pub async fn finish_login(&self, link: &str) -> Result<Arc<Link>, CoreError> {
        let (proof, backend) = {
            let mut logins = self.logins();
            let proof = logins.requests.accept(link.trim(), now_ms())?;
            let backend = logins.backend.take();
            (proof, backend.ok_or(LoginLinkError::NotAskedFor)?)
        };
        let credential = Credential::LoginProof {
            token: proof.token().to_owned(),
            verifier: proof.verifier().to_owned(),
        };
        self.connect(&backend, &credential).await
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.inner().logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
