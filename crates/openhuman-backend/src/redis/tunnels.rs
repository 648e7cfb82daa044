//! Webhooks that instances share and a restart keeps.

use redis::{Commands as _, RedisError, Script};

use super::Link;
use crate::error::BackendError;
use crate::tunnels::{MAX_TUNNELS, Tunnel, TunnelStore, TunnelStoreError};

const TUNNEL: &str = "openhuman:tunnel:";
const OF_USER: &str = "openhuman:tunnels:of:";

/// A [`TunnelStore`] in Redis.
pub struct RedisTunnels {
    link: Link,
    insert: Script,
}

impl RedisTunnels {
    /// Connects to a server like `redis://127.0.0.1:6379/0`. Waits for the network, at most a few seconds.
    ///
    /// # Errors
    /// [`BackendError::Cluster`] when the address is none or nobody answers there.
    pub fn connect(url: &str) -> Result<RedisTunnels, BackendError> {
        let insert = Script::new(
            r"
            if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
            redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
            redis.call('SET', KEYS[2], ARGV[4])
            return 1
            ",
        );
        let link = Link::connect(url)?;
        Ok(RedisTunnels { link, insert })
    }
}

impl std::fmt::Debug for RedisTunnels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisTunnels(..)")
    }
}

fn failed(error: &dyn std::fmt::Display) -> TunnelStoreError {
    TunnelStoreError {
        reason: error.to_string(),
    }
}

impl TunnelStore for RedisTunnels {
    fn insert(&self, tunnel: &Tunnel) -> Result<bool, TunnelStoreError> {
        let text = serde_json::to_string(tunnel).map_err(|error| failed(&error))?;
        let mut call = self.insert.prepare_invoke();
        call.key(format!("{OF_USER}{}", tunnel.user))
            .key(format!("{TUNNEL}{}", tunnel.uuid))
            .arg(MAX_TUNNELS)
            .arg(&tunnel.id)
            .arg(&tunnel.uuid)
            .arg(text);
        let inserted: i64 = self
            .link
            .run(|connection| call.invoke(connection))
            .map_err(|error: RedisError| failed(&error))?;
        Ok(inserted == 1)
    }

    fn find(&self, uuid: &str) -> Result<Option<Tunnel>, TunnelStoreError> {
        let key = format!("{TUNNEL}{uuid}");
        let text: Option<String> = self
            .link
            .run(|connection| connection.get(key))
            .map_err(|error: RedisError| failed(&error))?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| failed(&error)))
            .transpose()
    }

    fn list(&self, user: &str) -> Result<Vec<Tunnel>, TunnelStoreError> {
        let key = format!("{OF_USER}{user}");
        let uuids: Vec<String> = self
            .link
            .run(|connection| connection.hvals(key))
            .map_err(|error: RedisError| failed(&error))?;
        let mut tunnels = Vec::with_capacity(uuids.len());
        for uuid in uuids {
            tunnels.extend(self.find(&uuid)?);
        }
        tunnels.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(tunnels)
    }

    fn remove(&self, user: &str, id: &str) -> Result<bool, TunnelStoreError> {
        let key = format!("{OF_USER}{user}");
        let removed = self.link.run(|connection| {
            let uuid: Option<String> = connection.hget(&key, id)?;
            let Some(uuid) = uuid else { return Ok(false) };
            let () = redis::pipe()
                .atomic()
                .hdel(&key, id)
                .ignore()
                .del(format!("{TUNNEL}{uuid}"))
                .ignore()
                .query(connection)?;
            Ok(true)
        });
        removed.map_err(|error: RedisError| failed(&error))
    }
}
