//! Login tokens: short-lived, good for one use, stored only as a MAC.
//!
//! ```
//! use openhuman_vault::Key;
//! use openhuman_vault::tokens::{LoginTokens, MemoryTokenStore, TokenError};
//!
//! let tokens = LoginTokens::new(MemoryTokenStore::new(), &Key::generate()?);
//! let token = tokens.issue("alice", "desktop", 1_000)?;
//! assert_eq!(tokens.redeem(token.expose(), "desktop", 2_000)?, "alice");
//! let again = tokens.redeem(token.expose(), "desktop", 2_000);
//! assert!(matches!(again, Err(TokenError::Invalid)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Times are milliseconds since the Unix epoch and always an argument: the caller owns the clock.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::key::{Key, RandomError, fill_random};

/// How long a token is good for: exactly 300 seconds. At 300.000 s it still is, later it is not.
pub const TTL_MS: i64 = 300_000;
/// How many unused tokens one subject may have at a time.
pub const MAX_OUTSTANDING: usize = 8;

const PREFIX: &str = "oht1_";
const SECRET_LEN: usize = 32;
/// Clocks of two servers may differ by this much.
const MAX_SKEW_MS: i64 = 30_000;

/// A token as its user sees it: `oht1_` and 43 characters of base64url. It does not print.
pub struct LoginToken(Zeroizing<String>);

impl LoginToken {
    /// The text to hand to the user. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LoginToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginToken(..)")
    }
}

/// What a store keeps about a token. The token itself cannot be found from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// HMAC-SHA256 of the token under the issuer's key.
    pub hash: [u8; 32],
    /// Whom the token logs in.
    pub subject: String,
    /// What the token may be used for; redeeming names the same audience.
    pub audience: String,
    /// When it was issued, in milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// The last millisecond at which it is good.
    pub expires_ms: i64,
}

/// Where token records live: memory here, a database in a server.
///
/// [`contract::check`] tests an implementation.
pub trait TokenStore: Send + Sync {
    /// Adds a record.
    ///
    /// # Errors
    /// [`TokenStoreError::TooManyOutstanding`] when the subject has [`MAX_OUTSTANDING`] unused records that are
    /// good at `record.issued_ms`, [`TokenStoreError::Failed`] when the store does not work.
    fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError>;

    /// Takes the record with this hash and audience out of the store, in one atomic step: of any number of
    /// callers at the same time, in any number of processes, at most one gets it. `None` when there is no such
    /// record, when it was taken, or when `now_ms` is after its `expires_ms`. The step is durable before the
    /// method returns, so that a crash cannot make a used token good again.
    ///
    /// # Errors
    /// [`TokenStoreError::Failed`] when the store does not work.
    fn redeem(
        &self,
        hash: &[u8; 32],
        audience: &str,
        now_ms: i64,
    ) -> Result<Option<TokenRecord>, TokenStoreError>;

    /// Forgets what has expired before `now_ms` and returns how many records that were.
    ///
    /// # Errors
    /// [`TokenStoreError::Failed`] when the store does not work.
    fn purge(&self, now_ms: i64) -> Result<usize, TokenStoreError>;
}

impl<S: TokenStore + ?Sized> TokenStore for std::sync::Arc<S> {
    fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError> {
        (**self).insert(record)
    }

    fn redeem(
        &self,
        hash: &[u8; 32],
        audience: &str,
        now_ms: i64,
    ) -> Result<Option<TokenRecord>, TokenStoreError> {
        (**self).redeem(hash, audience, now_ms)
    }

    fn purge(&self, now_ms: i64) -> Result<usize, TokenStoreError> {
        (**self).purge(now_ms)
    }
}

/// Why a token store could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenStoreError {
    /// The subject has too many unused tokens.
    #[error(
        "{subject} already has {MAX_OUTSTANDING} unused login tokens; use one of them or wait five minutes"
    )]
    TooManyOutstanding {
        /// Whom the token was for.
        subject: String,
    },
    /// The store itself failed.
    #[error("the token store failed ({0}); try again")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl TokenStoreError {
    /// Wraps the error of a store's own backend.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TokenStoreError {
        TokenStoreError::Failed(error.into())
    }
}

/// Issues and redeems login tokens over a [`TokenStore`].
pub struct LoginTokens<S> {
    store: S,
    key: Key,
    /// The latest time seen: a clock that is set back does not revive a token while the process lives.
    latest_ms: AtomicI64,
}

impl<S: TokenStore> LoginTokens<S> {
    /// Uses a key derived from `key`; all servers that share a store need the same one.
    pub fn new(store: S, key: &Key) -> LoginTokens<S> {
        LoginTokens {
            store,
            key: key.derive(b"", "openhuman-vault/v1/login-token"),
            latest_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Issues a token that logs `subject` in at `audience`, once, until [`TTL_MS`] after `now_ms`. Forgets
    /// expired tokens on the way.
    ///
    /// # Errors
    /// [`TokenError::Store`] - also for too many unused tokens - and [`TokenError::Random`].
    pub fn issue(&self, subject: &str, audience: &str, now_ms: i64) -> Result<LoginToken, TokenError> {
        let now_ms = self.not_before(now_ms);
        self.store.purge(now_ms)?;
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        fill_random(secret.as_mut_slice())?;
        let mut token = Zeroizing::new(String::with_capacity(PREFIX.len() + 44));
        token.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(secret.as_slice(), &mut token);
        self.store.insert(&TokenRecord {
            hash: self.hash(&token),
            subject: subject.to_owned(),
            audience: audience.to_owned(),
            issued_ms: now_ms,
            expires_ms: now_ms.saturating_add(TTL_MS),
        })?;
        Ok(LoginToken(token))
    }

    /// Redeems a token and returns its subject.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] for a token that is malformed, unknown, for another audience, expired or used:
    /// the caller cannot tell which. [`TokenError::Store`] when the store fails.
    pub fn redeem(&self, token: &str, audience: &str, now_ms: i64) -> Result<String, TokenError> {
        let now_ms = self.not_before(now_ms);
        if !well_formed(token) {
            tracing::info!(reason = "malformed", "login token refused");
            return Err(TokenError::Invalid);
        }
        match self.store.redeem(&self.hash(token), audience, now_ms)? {
            Some(record) if record.issued_ms > now_ms.saturating_add(MAX_SKEW_MS) => {
                tracing::info!(reason = "issued in the future", "login token refused");
                Err(TokenError::Invalid)
            }
            Some(record) => Ok(record.subject),
            None => {
                tracing::info!(reason = "unknown, expired or used", "login token refused");
                Err(TokenError::Invalid)
            }
        }
    }

    fn hash(&self, token: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.expose()).expect("HMAC takes keys of any length");
        mac.update(token.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn not_before(&self, now_ms: i64) -> i64 {
        self.latest_ms.fetch_max(now_ms, Ordering::AcqRel).max(now_ms)
    }
}

impl<S> fmt::Debug for LoginTokens<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginTokens(..)")
    }
}

fn well_formed(token: &str) -> bool {
    token.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == 43
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

/// Why a token was not issued or not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// One answer for every reason, so that nobody learns anything from trying.
    #[error("the login token is not valid; ask for a new one")]
    Invalid,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The store failed, or refused a further token.
    #[error(transparent)]
    Store(#[from] TokenStoreError),
}

/// A token store in memory: for one process, gone when it ends.
#[derive(Default)]
pub struct MemoryTokenStore(Mutex<HashMap<[u8; 32], TokenRecord>>);

impl MemoryTokenStore {
    /// An empty store.
    pub fn new() -> MemoryTokenStore {
        MemoryTokenStore::default()
    }
}

impl TokenStore for MemoryTokenStore {
    fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outstanding = records
            .values()
            .filter(|other| other.subject == record.subject && other.expires_ms >= record.issued_ms)
            .count();
        if outstanding >= MAX_OUTSTANDING {
            return Err(TokenStoreError::TooManyOutstanding {
                subject: record.subject.clone(),
            });
        }
        records.insert(record.hash, record.clone());
        Ok(())
    }

    fn redeem(
        &self,
        hash: &[u8; 32],
        audience: &str,
        now_ms: i64,
    ) -> Result<Option<TokenRecord>, TokenStoreError> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match records.get(hash) {
            Some(record) if record.audience == audience && record.expires_ms >= now_ms => {
                Ok(records.remove(hash))
            }
            _ => Ok(None),
        }
    }

    fn purge(&self, now_ms: i64) -> Result<usize, TokenStoreError> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = records.len();
        records.retain(|_, record| record.expires_ms >= now_ms);
        Ok(before - records.len())
    }
}

impl fmt::Debug for MemoryTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryTokenStore(..)")
    }
}

/// What every [`TokenStore`] must do, for the tests of an implementation.
pub mod contract {
    use super::{MAX_OUTSTANDING, TokenRecord, TokenStore, TokenStoreError};

    /// Runs the contract against an empty store.
    ///
    /// # Panics
    /// With the rule that was broken.
    pub fn check<S: TokenStore>(store: &S) {
        let record = |n: u8| TokenRecord {
            hash: [n; 32],
            subject: "alice".to_owned(),
            audience: "desktop".to_owned(),
            issued_ms: 1_000,
            expires_ms: 2_000,
        };
        let redeem =
            |n: u8, audience: &str, now| store.redeem(&[n; 32], audience, now).expect("redeem works");
        let insert = |n: u8| store.insert(&record(n)).expect("insert works");

        insert(1);
        assert_eq!(redeem(9, "desktop", 1_500), None, "an unknown token is refused");
        assert_eq!(redeem(1, "other", 1_500), None, "another audience is refused");
        assert_eq!(redeem(1, "desktop", 2_001), None, "an expired token is refused");
        assert_eq!(
            redeem(1, "desktop", 2_000),
            Some(record(1)),
            "the last millisecond is good"
        );
        assert_eq!(redeem(1, "desktop", 2_000), None, "a used token is refused");

        insert(2);
        let wins: usize = std::thread::scope(|scope| {
            let race = || usize::from(redeem(2, "desktop", 1_500).is_some());
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .sum()
        });
        assert_eq!(wins, 1, "of many callers at once, exactly one wins");

        insert(3);
        assert_eq!(
            store.purge(2_000).expect("purge works"),
            0,
            "a good token is kept"
        );
        assert!(
            store.purge(2_001).expect("purge works") >= 1,
            "an expired token is forgotten"
        );
        assert_eq!(redeem(3, "desktop", 1_500), None, "a forgotten token is refused");

        (0..MAX_OUTSTANDING as u8).for_each(|n| insert(10 + n));
        let refused = store.insert(&record(99));
        assert!(
            matches!(refused, Err(TokenStoreError::TooManyOutstanding { .. })),
            "a subject has at most {MAX_OUTSTANDING} unused tokens"
        );
        let other = TokenRecord {
            subject: "bob".to_owned(),
            ..record(100)
        };
        store.insert(&other).expect("the limit is per subject");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> LoginTokens<MemoryTokenStore> {
        LoginTokens::new(MemoryTokenStore::new(), &Key::from_bytes([5; 32]))
    }

    #[test]
    fn the_memory_store_keeps_the_contract() {
        contract::check(&MemoryTokenStore::new());
    }

    #[test]
    fn a_token_is_good_for_exactly_300_seconds() {
        for (later, good) in [(0, true), (299_999, true), (300_000, true), (300_001, false)] {
            let tokens = tokens();
            let token = tokens.issue("alice", "desktop", 1_000).unwrap();
            assert_eq!(
                tokens.redeem(token.expose(), "desktop", 1_000 + later).is_ok(),
                good,
                "after {later} ms"
            );
        }
    }

    #[test]
    fn a_clock_set_back_does_not_revive_a_token() {
        let tokens = tokens();
        let token = tokens.issue("alice", "desktop", 0).unwrap();
        assert!(tokens.redeem("oht1_bogus", "desktop", TTL_MS + 1).is_err());
        assert!(matches!(
            tokens.redeem(token.expose(), "desktop", 1),
            Err(TokenError::Invalid)
        ));
    }

    #[test]
    fn a_token_from_the_future_is_refused() {
        let store = std::sync::Arc::new(MemoryTokenStore::new());
        let key = Key::from_bytes([5; 32]);
        for (ahead, good) in [(30_000, true), (30_001, false)] {
            let token = LoginTokens::new(store.clone(), &key)
                .issue("alice", "desktop", ahead)
                .unwrap();
            let other_server = LoginTokens::new(store.clone(), &key);
            assert_eq!(
                other_server.redeem(token.expose(), "desktop", 0).is_ok(),
                good,
                "{ahead} ms ahead"
            );
        }
    }

    #[test]
    fn the_ninth_unused_token_is_refused_and_expiry_makes_room() {
        let tokens = tokens();
        for _ in 0..MAX_OUTSTANDING {
            tokens.issue("alice", "desktop", 0).unwrap();
        }
        assert!(matches!(
            tokens.issue("alice", "desktop", 0),
            Err(TokenError::Store(_))
        ));
        tokens.issue("bob", "desktop", 0).unwrap();
        tokens.issue("alice", "desktop", TTL_MS + 1).unwrap();
    }

    #[test]
    fn tokens_have_the_documented_form_and_do_not_print() {
        let token = tokens().issue("alice", "desktop", 0).unwrap();
        assert!(well_formed(token.expose()), "{}", token.expose());
        assert_eq!(format!("{token:?}"), "LoginToken(..)");
        for bad in [
            "",
            "oht1_",
            "oht2_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "oht1_é",
        ] {
            assert!(!well_formed(bad), "{bad}");
        }
        let other_key = LoginTokens::new(MemoryTokenStore::new(), &Key::from_bytes([6; 32]));
        assert!(other_key.redeem(token.expose(), "desktop", 0).is_err());
    }
}
