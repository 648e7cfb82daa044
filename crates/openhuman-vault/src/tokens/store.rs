use super::{MAX_OUTSTANDING, MAX_SKEW_MS};

/// What a store keeps about a token. The token itself cannot be found from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// HMAC-SHA256 of the token under the issuer's key.
    pub hash: [u8; 32],
    /// Whom the token logs in.
    pub subject: String,
    /// What the token may be used for; redeeming names the same audience.
    pub audience: String,
    /// The SHA-256 of the verifier that only the device knows which asked for the token; `None` when the token is
    /// good for whoever has it.
    pub challenge: Option<[u8; 32]>,
    /// When it was issued, in milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// The last millisecond at which it is good.
    pub expires_ms: i64,
}

/// An attempt to redeem a token. All of it has to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption<'a> {
    /// As in [`TokenRecord::hash`].
    pub hash: [u8; 32],
    /// As in [`TokenRecord::audience`].
    pub audience: &'a str,
    /// As in [`TokenRecord::challenge`]: `None` fits only a token that is bound to none.
    pub challenge: Option<[u8; 32]>,
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// What a new reading of the clock means, given the latest one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time goes on: this is the latest reading now.
    Ahead(i64),
    /// A little behind, as servers are of each other: go by the latest reading.
    Behind(i64),
    /// More than [`MAX_SKEW_MS`] behind: the clock was set back. Whatever has expired by the latest reading would
    /// be good again, so nothing may be.
    SetBack(i64),
}

impl Clock {
    /// Judges a reading, in milliseconds since the Unix epoch.
    pub fn advance(latest_ms: Option<i64>, now_ms: i64) -> Clock {
        match latest_ms {
            Some(latest) if now_ms < latest.saturating_sub(MAX_SKEW_MS) => Clock::SetBack(now_ms),
            Some(latest) if now_ms < latest => Clock::Behind(latest),
            _ => Clock::Ahead(now_ms),
        }
    }
}

/// Where token records live: memory here, a database in a server.
///
/// [`contract::check`](super::contract::check) tests an implementation.
pub trait TokenStore: Send + Sync {
    /// Adds a record.
    ///
    /// # Errors
    /// [`TokenStoreError::TooManyOutstanding`] when the subject has [`MAX_OUTSTANDING`] unused records that are
    /// good at `record.issued_ms`, [`TokenStoreError::Failed`] when the store does not work.
    fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError>;

    /// Takes the record out of the store that has this hash, audience and challenge, in one atomic step: of any
    /// number of callers at the same time, in any number of processes, at most one gets it. `None` when there is
    /// no such record, when it was taken, or when `now_ms` is after its `expires_ms`; a record that was not taken
    /// stays. The step is durable before the method returns, so that a crash cannot make a used token good again.
    ///
    /// # Errors
    /// [`TokenStoreError::Failed`] when the store does not work.
    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Option<TokenRecord>, TokenStoreError>;

    /// Tells the store what time it is and returns the time to go by, as [`Clock::advance`] says. The latest time
    /// is durable, to the second; when the clock was set back, all records are forgotten and it begins anew.
    ///
    /// # Errors
    /// [`TokenStoreError::Failed`] when the store does not work.
    fn observe(&self, now_ms: i64) -> Result<i64, TokenStoreError>;

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

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Option<TokenRecord>, TokenStoreError> {
        (**self).redeem(redemption)
    }

    fn observe(&self, now_ms: i64) -> Result<i64, TokenStoreError> {
        (**self).observe(now_ms)
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
