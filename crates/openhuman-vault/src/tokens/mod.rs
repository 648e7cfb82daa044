//! Login tokens: short-lived, good for one use, stored only as a MAC.
//!
//! ```
//! use openhuman_vault::Key;
//! use openhuman_vault::tokens::{LoginRequests, LoginTokens, MemoryTokenStore, TokenError};
//!
//! // A desktop asks to log in and sends the challenge along.
//! let mut requests = LoginRequests::default();
//! let challenge = requests.start(1_000)?;
//!
//! // The server issues a token for it, which comes back to the desktop in a link.
//! let tokens = LoginTokens::new(MemoryTokenStore::new(), &Key::generate()?);
//! let token = tokens.issue_for("alice", "desktop", &challenge, 1_500)?;
//! let link = format!("openhuman://auth?token={}", token.expose());
//!
//! // Only this desktop can redeem it, once.
//! let proof = requests.accept(&link, 2_000)?;
//! let (token, verifier) = (proof.token(), proof.verifier());
//! assert_eq!(tokens.redeem_with(token, "desktop", verifier, 2_000)?, "alice");
//! let again = tokens.redeem_with(token, "desktop", verifier, 2_000);
//! assert!(matches!(again, Err(TokenError::Invalid)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Times are milliseconds since the Unix epoch and always an argument: the caller owns the clock.

mod challenge;
pub mod contract;
mod memory;
mod request;
#[cfg(feature = "sqlite-tokens")]
mod sqlite;
mod store;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use self::challenge::{Challenge, Verifier};
pub use self::memory::MemoryTokenStore;
pub use self::request::{LoginLinkError, LoginProof, LoginRequests};
#[cfg(feature = "sqlite-tokens")]
pub use self::sqlite::{SqliteTokenStore, SqliteTokenStoreError};
pub use self::store::{Clock, Redemption, TokenRecord, TokenStore, TokenStoreError};
use crate::key::{Key, RandomError, fill_random};

/// How long a token is good for: exactly 300 seconds. At 300.000 s it still is, later it is not.
pub const TTL_MS: i64 = 300_000;
/// How many unused tokens one subject may have at a time.
pub const MAX_OUTSTANDING: usize = 8;
/// Clocks of two servers may differ by this much: 30 seconds.
pub const MAX_SKEW_MS: i64 = 30_000;

const PREFIX: &str = "oht1_";
const SECRET_LEN: usize = 32;

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

/// Issues and redeems login tokens over a [`TokenStore`].
///
/// The store remembers the latest time it was told, so that a clock that is set back does not revive a token, not
/// even across a restart. A clock that is more than [`MAX_SKEW_MS`] behind ends every unused token: the users ask
/// for new ones, and time goes on from there.
pub struct LoginTokens<S> {
    store: S,
    key: Key,
}

impl<S: TokenStore> LoginTokens<S> {
    /// Uses a key derived from `key`; all servers that share a store need the same one.
    pub fn new(store: S, key: &Key) -> LoginTokens<S> {
        LoginTokens {
            store,
            key: key.derive(b"", "openhuman-vault/v1/login-token"),
        }
    }

    /// Issues a token that logs `subject` in at `audience`, once, until [`TTL_MS`] after `now_ms`. Forgets
    /// expired tokens on the way. Whoever has the token can use it; [`LoginTokens::issue_for`] binds it to the
    /// device that asked.
    ///
    /// # Errors
    /// [`TokenError::Store`] - also for too many unused tokens - and [`TokenError::Random`].
    pub fn issue(&self, subject: &str, audience: &str, now_ms: i64) -> Result<LoginToken, TokenError> {
        self.issue_bound(subject, audience, None, now_ms)
    }

    /// As [`LoginTokens::issue`], for the device that knows the verifier of this challenge. A link that somebody
    /// else reads is of no use to them.
    ///
    /// # Errors
    /// As [`LoginTokens::issue`].
    pub fn issue_for(
        &self,
        subject: &str,
        audience: &str,
        challenge: &Challenge,
        now_ms: i64,
    ) -> Result<LoginToken, TokenError> {
        self.issue_bound(subject, audience, Some(*challenge.bytes()), now_ms)
    }

    /// Redeems a token from [`LoginTokens::issue`] and returns its subject.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] for a token that is malformed, unknown, for another audience, bound to a challenge,
    /// expired or used: the caller cannot tell which. [`TokenError::Store`] when the store fails.
    pub fn redeem(&self, token: &str, audience: &str, now_ms: i64) -> Result<String, TokenError> {
        self.redeem_bound(token, audience, None, now_ms)
    }

    /// Redeems a token from [`LoginTokens::issue_for`]. `verifier` is the text of the device's [`Verifier`].
    ///
    /// # Errors
    /// As [`LoginTokens::redeem`]; also [`TokenError::Invalid`] when the verifier is not the one of the challenge,
    /// or the token is bound to none. The token stays good for the device that has the right one.
    pub fn redeem_with(
        &self,
        token: &str,
        audience: &str,
        verifier: &str,
        now_ms: i64,
    ) -> Result<String, TokenError> {
        self.redeem_bound(token, audience, Some(challenge::of(verifier)), now_ms)
    }

    fn issue_bound(
        &self,
        subject: &str,
        audience: &str,
        challenge: Option<[u8; 32]>,
        now_ms: i64,
    ) -> Result<LoginToken, TokenError> {
        let now_ms = self.store.observe(now_ms)?;
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
            challenge,
            issued_ms: now_ms,
            expires_ms: now_ms.saturating_add(TTL_MS),
        })?;
        Ok(LoginToken(token))
    }

    fn redeem_bound(
        &self,
        token: &str,
        audience: &str,
        challenge: Option<[u8; 32]>,
        now_ms: i64,
    ) -> Result<String, TokenError> {
        let refused = |reason: &str| {
            tracing::info!(reason, "login token refused");
            Err(TokenError::Invalid)
        };
        if !is_well_formed(token) {
            return refused("malformed");
        }
        let now_ms = self.store.observe(now_ms)?;
        let redeemed = self.store.redeem(&Redemption {
            hash: self.hash(token),
            audience,
            challenge,
            now_ms,
        })?;
        match redeemed {
            Some(record) if record.issued_ms > now_ms.saturating_add(MAX_SKEW_MS) => {
                refused("issued in the future")
            }
            Some(record) => Ok(record.subject),
            None => refused("unknown, for another device or audience, expired or used"),
        }
    }

    fn hash(&self, token: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.expose()).expect("HMAC takes keys of any length");
        mac.update(token.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl<S> fmt::Debug for LoginTokens<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginTokens(..)")
    }
}

/// Whether a text has the form of a login token. Says nothing about whether it was ever issued.
pub fn is_well_formed(token: &str) -> bool {
    token.strip_prefix(PREFIX).is_some_and(is_43_of_base64url)
}

/// 32 bytes in base64url without padding.
fn is_43_of_base64url(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
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

#[cfg(test)]
mod tests;
