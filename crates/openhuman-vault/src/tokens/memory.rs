use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Clock, MAX_OUTSTANDING, Redemption, TokenRecord, TokenStore, TokenStoreError};

/// A token store in memory: for one process, gone when it ends.
#[derive(Default)]
pub struct MemoryTokenStore(Mutex<Records>);

#[derive(Default)]
struct Records {
    by_hash: HashMap<[u8; 32], TokenRecord>,
    latest_ms: Option<i64>,
}

impl MemoryTokenStore {
    /// An empty store.
    pub fn new() -> MemoryTokenStore {
        MemoryTokenStore::default()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for MemoryTokenStore {
    fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError> {
        let mut records = self.records();
        let outstanding = records
            .by_hash
            .values()
            .filter(|other| other.subject == record.subject && other.expires_ms >= record.issued_ms)
            .count();
        if outstanding >= MAX_OUTSTANDING {
            return Err(TokenStoreError::TooManyOutstanding {
                subject: record.subject.clone(),
            });
        }
        records.by_hash.insert(record.hash, record.clone());
        Ok(())
    }

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Option<TokenRecord>, TokenStoreError> {
        let mut records = self.records();
        match records.by_hash.get(&redemption.hash) {
            Some(record)
                if record.audience == redemption.audience
                    && record.challenge == redemption.challenge
                    && record.expires_ms >= redemption.now_ms =>
            {
                Ok(records.by_hash.remove(&redemption.hash))
            }
            _ => Ok(None),
        }
    }

    fn observe(&self, now_ms: i64) -> Result<i64, TokenStoreError> {
        let mut records = self.records();
        let time = match Clock::advance(records.latest_ms, now_ms) {
            Clock::Ahead(time) | Clock::Behind(time) => time,
            Clock::SetBack(time) => {
                tracing::warn!("the clock was set back; unused login tokens are void");
                records.by_hash.clear();
                time
            }
        };
        records.latest_ms = Some(time);
        Ok(time)
    }

    fn purge(&self, now_ms: i64) -> Result<usize, TokenStoreError> {
        let mut records = self.records();
        let before = records.by_hash.len();
        records.by_hash.retain(|_, record| record.expires_ms >= now_ms);
        Ok(before - records.by_hash.len())
    }
}

impl fmt::Debug for MemoryTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryTokenStore(..)")
    }
}
