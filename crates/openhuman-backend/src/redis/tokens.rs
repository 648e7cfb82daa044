//! Login tokens that instances share. Each step is one script, which Redis runs as a whole.

use std::sync::LazyLock;

use openhuman_vault::tokens::{
    MAX_OUTSTANDING, MAX_SKEW_MS, Redemption, TokenRecord, TokenStore, TokenStoreError,
};
use redis::{RedisError, Script};

use super::Link;
use crate::error::BackendError;

/// All unused tokens by the time they expire, those of one subject the same way, the records, the latest time.
const ALL: &str = "openhuman:tokens";
const LATEST: &str = "openhuman:tokens:latest";
/// Records are gone from Redis by themselves some time after they expired, by Redis' own clock.
const LINGER_MS: i64 = 3_600_000;

static INSERT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local all, subject, record = KEYS[1], KEYS[2], KEYS[3]
        local hash, issued, expires, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
        if redis.call('ZCOUNT', subject, issued, '+inf') >= most then return 0 end
        redis.call('ZADD', all, expires, hash)
        redis.call('ZADD', subject, expires, hash)
        redis.call('HSET', record, 'subject', ARGV[5], 'audience', ARGV[6], 'challenge', ARGV[7], 'issued', issued,
            'expires', expires)
        redis.call('PEXPIRE', record, ARGV[8])
        redis.call('PEXPIRE', subject, ARGV[8])
        return 1
        ",
    )
});

static REDEEM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local all, record = KEYS[1], KEYS[2]
        local hash, audience, challenge, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
        local found = redis.call('HMGET', record, 'subject', 'audience', 'challenge', 'issued', 'expires')
        if not found[1] or found[2] ~= audience or found[3] ~= challenge or tonumber(found[5]) < now then
            return {}
        end
        redis.call('DEL', record)
        redis.call('ZREM', all, hash)
        redis.call('ZREM', ARGV[5] .. found[1], hash)
        return { found[1], found[4], found[5] }
        ",
    )
});

static OBSERVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local all, latest = KEYS[1], KEYS[2]
        local now, skew = tonumber(ARGV[1]), tonumber(ARGV[2])
        local known = redis.call('GET', latest)
        if known and now < tonumber(known) - skew then
            for _, hash in ipairs(redis.call('ZRANGE', all, 0, -1)) do
                local record = ARGV[3] .. hash
                local subject = redis.call('HGET', record, 'subject')
                if subject then redis.call('DEL', ARGV[4] .. subject) end
                redis.call('DEL', record)
            end
            redis.call('DEL', all)
        elseif known and now < tonumber(known) then
            return known
        end
        redis.call('SET', latest, ARGV[1])
        return ARGV[1]
        ",
    )
});

static PURGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
        for _, hash in ipairs(gone) do
            local record = ARGV[2] .. hash
            local subject = redis.call('HGET', record, 'subject')
            if subject then redis.call('ZREM', ARGV[3] .. subject, hash) end
            redis.call('DEL', record)
            redis.call('ZREM', KEYS[1], hash)
        end
        return #gone
        ",
    )
});

const RECORD: &str = "openhuman:token:";
const SUBJECT: &str = "openhuman:tokens:of:";

/// A [`TokenStore`] in Redis, for any number of instances. All need the same key
/// ([`BackendBuilder::key`](crate::BackendBuilder::key)).
pub struct RedisTokenStore {
    link: Link,
}

impl RedisTokenStore {
    /// Connects to a server like `redis://127.0.0.1:6379/0`. Waits for the network, at most a few seconds.
    ///
    /// # Errors
    /// [`BackendError::Cluster`] when the address is none or nobody answers there.
    pub fn connect(url: &str) -> Result<RedisTokenStore, BackendError> {
        let link = Link::connect(url)?;
        Ok(RedisTokenStore { link })
    }
}

impl std::fmt::Debug for RedisTokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisTokenStore(..)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed(error: RedisError) -> TokenStoreError {
    TokenStoreError::failed(error)
}

impl TokenStore for RedisTokenStore {
    fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError> {
        let hash = hex(&record.hash);
        let life = record.expires_ms.saturating_sub(record.issued_ms).max(0);
        let mut call = INSERT.prepare_invoke();
        call.key(ALL)
            .key(format!("{SUBJECT}{}", record.subject))
            .key(format!("{RECORD}{hash}"))
            .arg(&hash)
            .arg(record.issued_ms)
            .arg(record.expires_ms)
            .arg(MAX_OUTSTANDING)
            .arg(&record.subject)
            .arg(&record.audience)
            .arg(
                record
                    .challenge
                    .map_or_else(String::new, |challenge| hex(&challenge)),
            )
            .arg(life.saturating_add(LINGER_MS));
        let inserted: i64 = self
            .link
            .run(|connection| call.invoke(connection))
            .map_err(failed)?;
        if inserted == 0 {
            let subject = record.subject.clone();
            return Err(TokenStoreError::TooManyOutstanding { subject });
        }
        Ok(())
    }

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Option<TokenRecord>, TokenStoreError> {
        let hash = hex(&redemption.hash);
        let mut call = REDEEM.prepare_invoke();
        call.key(ALL)
            .key(format!("{RECORD}{hash}"))
            .arg(&hash)
            .arg(redemption.audience)
            .arg(
                redemption
                    .challenge
                    .map_or_else(String::new, |challenge| hex(&challenge)),
            )
            .arg(redemption.now_ms)
            .arg(SUBJECT);
        let found: Vec<String> = self
            .link
            .run(|connection| call.invoke(connection))
            .map_err(failed)?;
        let [subject, issued, expires] = found.as_slice() else {
            return Ok(None);
        };
        let time = |text: &String| text.parse::<i64>().map_err(TokenStoreError::failed);
        Ok(Some(TokenRecord {
            hash: redemption.hash,
            subject: subject.clone(),
            audience: redemption.audience.to_owned(),
            challenge: redemption.challenge,
            issued_ms: time(issued)?,
            expires_ms: time(expires)?,
        }))
    }

    fn observe(&self, now_ms: i64) -> Result<i64, TokenStoreError> {
        let mut call = OBSERVE.prepare_invoke();
        call.key(ALL)
            .key(LATEST)
            .arg(now_ms)
            .arg(MAX_SKEW_MS)
            .arg(RECORD)
            .arg(SUBJECT);
        let time: String = self
            .link
            .run(|connection| call.invoke(connection))
            .map_err(failed)?;
        time.parse().map_err(TokenStoreError::failed)
    }

    fn purge(&self, now_ms: i64) -> Result<usize, TokenStoreError> {
        let mut call = PURGE.prepare_invoke();
        call.key(ALL).arg(now_ms).arg(RECORD).arg(SUBJECT);
        self.link
            .run(|connection| call.invoke(connection))
            .map_err(failed)
    }
}
