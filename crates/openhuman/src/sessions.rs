//! Sessions at backends, kept in the vault: a restart needs no new login, and each attempt asks for the latest one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openhuman_skills::SecretValue;
use openhuman_vault::{Vault, VaultError};
use url::Url;

use crate::CoreError;
use crate::bridge::BackendSession;

/// Before the address of a backend in the name of its session.
const PREFIX: &str = "backend-session/";

/// The name under which the vault notes which backend a start connects to.
const WANTED: &str = "backend-link";

/// The backends that a session is kept for in this vault, for a program that runs no core. Blocks.
///
/// # Errors
/// When the vault's secrets cannot be read.
pub fn logged_in(vault: &Vault) -> Result<Vec<String>, VaultError> {
    let names = vault.secret_names()?;
    let known = names.iter().filter_map(|name| name.strip_prefix(PREFIX));
    Ok(known.map(str::to_owned).collect())
}

/// The sessions in a vault. Its calls block.
#[derive(Clone)]
pub(crate) struct Sessions {
    vault: Arc<Vault>,
    /// What requests beside the link use.
    lent: BackendSession,
}

impl Sessions {
    pub(crate) fn new(vault: Arc<Vault>, lent: BackendSession) -> Self {
        Self { vault, lent }
    }

    /// The session at one backend.
    pub(crate) fn at(&self, backend: &Url) -> SessionAt {
        let address = address(backend);
        SessionAt {
            shared: Arc::new(Shared {
                vault: self.vault.clone(),
                lent: self.lent.clone(),
                name: format!("{PREFIX}{address}"),
                address,
                seen: Mutex::new(None),
            }),
        }
    }

    /// The addresses of all backends that a session is kept for.
    pub(crate) fn backends(&self) -> Result<Vec<String>, VaultError> {
        logged_in(&self.vault)
    }

    /// Notes which backend a start connects to; `None` for none.
    pub(crate) fn want(&self, backend: Option<&str>) -> Result<(), VaultError> {
        match backend {
            Some(backend) => self.vault.set_secret(WANTED, backend.as_bytes()),
            None => self.vault.remove_secret(WANTED).map(drop),
        }
    }

    /// The backend that a start connects to, when a session is kept for it.
    pub(crate) fn wanted(&self) -> Result<Option<Url>, VaultError> {
        let Some(noted) = self.vault.secret(WANTED)? else {
            return Ok(None);
        };
        let url = std::str::from_utf8(&noted)
            .ok()
            .and_then(|text| Url::parse(text).ok());
        Ok(match url {
            Some(url) if self.backends()?.contains(&address(&url)) => Some(url),
            _ => None,
        })
    }
}

/// The session at one backend: read from the vault whenever it is asked for, so that a new one is used and a removed one
/// is missed. Clones share what they have read.
#[derive(Clone)]
pub(crate) struct SessionAt {
    shared: Arc<Shared>,
}

struct Shared {
    vault: Arc<Vault>,
    lent: BackendSession,
    name: String,
    address: String,
    /// The version that was read last, and its token.
    seen: Mutex<Option<(u64, SecretValue)>>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Option<(u64, SecretValue)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest token. A version that was read before is not read and not written down again: attempts are many.
    fn read(&self) -> Result<SecretValue, CoreError> {
        let secrets = self.vault.secrets(now_ms());
        loop {
            let Some(handle) = secrets.handle(&self.name)? else {
                *self.seen() = None;
                self.lent.set(None);
                return Err(CoreError::LoggedOut {
                    url: self.address.clone(),
                });
            };
            if let Some((_, token)) = self.seen().as_ref().filter(|(seen, _)| *seen == handle.version()) {
                return Ok(SecretValue::from(token.expose()));
            }
            match secrets.reveal(&handle, "the link to the backend uses its session") {
                Ok(secret) => {
                    let token = secret.expose_str().ok_or_else(|| CoreError::LoggedOut {
                        url: self.address.clone(),
                    })?;
                    *self.seen() = Some((handle.version(), SecretValue::from(token)));
                    self.lent
                        .set(Some((self.address.clone(), SecretValue::from(token))));
                    return Ok(SecretValue::from(token));
                }
                // Replaced or removed in the meantime: the loop looks again.
                Err(VaultError::SecretChanged { .. } | VaultError::SecretMissing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl SessionAt {
    /// The address of the backend, as it is shown.
    pub(crate) fn address(&self) -> &str {
        &self.shared.address
    }

    /// The latest token.
    ///
    /// # Errors
    /// [`CoreError::LoggedOut`] when none is kept; what the vault says.
    pub(crate) async fn current(&self) -> Result<SecretValue, CoreError> {
        self.blocking(Shared::read).await
    }

    /// Keeps a token that was just obtained.
    pub(crate) async fn keep(&self, token: &str) -> Result<(), CoreError> {
        let token = SecretValue::from(token);
        self.blocking(move |shared| {
            let purpose = "the user logged in at the backend";
            shared
                .vault
                .secrets(now_ms())
                .put(&shared.name, token.expose().as_bytes(), purpose)?;
            Ok(())
        })
        .await
    }

    /// Forgets the session; whether there was one.
    pub(crate) async fn forget(&self) -> Result<bool, CoreError> {
        self.blocking(|shared| {
            let purpose = "the user logged out of the backend";
            Ok(shared.vault.secrets(now_ms()).remove(&shared.name, purpose)?)
        })
        .await
    }

    /// The token as it is kept now, to be put back when another one turns out to be no good.
    pub(crate) async fn kept(&self) -> Result<Option<SecretValue>, CoreError> {
        self.blocking(|shared| {
            let kept = shared.vault.secret(&shared.name)?;
            let text = kept.as_deref().and_then(|kept| std::str::from_utf8(kept).ok());
            Ok(text.map(SecretValue::from))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Shared) -> Result<T, CoreError> + Send + 'static,
    ) -> Result<T, CoreError> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || call(&shared)).await?
    }
}

/// The address of a backend in one form, however it was typed: without a path's last slash, query or fragment.
pub(crate) fn address(backend: &Url) -> String {
    let mut url = backend.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().trim_end_matches('/').to_owned()
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use openhuman_vault::{AuditAction, Password, VaultOptions};

    use super::*;

    fn sessions(dir: &std::path::Path) -> Sessions {
        let password = Password::from("a password for tests".to_owned());
        let vault = Vault::create(dir, &password, &VaultOptions::fast_for_tests()).unwrap();
        Sessions::new(Arc::new(vault), BackendSession::default())
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_session_is_asked_for_anew_and_its_removal_is_missed() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = sessions(dir.path());
        let here = sessions.at(&url("https://a.example/"));
        assert!(matches!(here.current().await, Err(CoreError::LoggedOut { .. })));
        here.keep("t-1").await.unwrap();
        for _ in 0..3 {
            assert_eq!(here.current().await.unwrap().expose(), "t-1");
        }
        // Another part of the program renews it.
        let again = sessions.at(&url("https://a.example"));
        again.keep("t-2").await.unwrap();
        assert_eq!(here.current().await.unwrap().expose(), "t-2");
        assert_eq!(sessions.lent.current().unwrap().1.expose(), "t-2");
        assert!(again.forget().await.unwrap());
        assert!(!again.forget().await.unwrap());
        let gone = here.current().await.unwrap_err();
        assert!(
            gone.to_string().contains("openhuman login https://a.example"),
            "{gone}"
        );
        assert!(sessions.lent.current().is_none());

        let log = sessions.vault.secrets(0).audit().unwrap();
        let used = log.iter().filter(|entry| entry.action == AuditAction::Revealed);
        assert_eq!(
            used.count(),
            2,
            "once for each session, not for each attempt: {log:?}"
        );
    }

    #[tokio::test]
    async fn a_start_connects_only_where_there_is_a_session() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = sessions(dir.path());
        assert_eq!(sessions.wanted().unwrap(), None);
        sessions.want(Some("https://a.example/")).unwrap();
        assert_eq!(sessions.wanted().unwrap(), None, "nobody is logged in there");
        sessions.at(&url("https://a.example")).keep("t").await.unwrap();
        assert_eq!(sessions.backends().unwrap(), ["https://a.example"]);
        assert_eq!(sessions.wanted().unwrap(), Some(url("https://a.example")));
        sessions.want(None).unwrap();
        sessions.want(None).unwrap();
        assert_eq!(sessions.wanted().unwrap(), None);
    }

    #[test]
    fn an_address_has_one_form() {
        for text in [
            "https://A.example",
            "https://a.example/",
            "https://a.example:443/?x#y",
        ] {
            assert_eq!(address(&url(text)), "https://a.example", "{text}");
        }
        assert_eq!(
            address(&url("http://a.example:8080/base/")),
            "http://a.example:8080/base"
        );
    }
}
