//! Public addresses that lead to a user's desktop.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Tunnels one user may have.
pub const MAX_TUNNELS: usize = 64;

/// One public address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tunnel {
    /// The id its owner uses.
    pub id: String,
    /// The secret part of the address: `/webhooks/ingress/{uuid}`.
    pub uuid: String,
    /// Whom it belongs to.
    pub user: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// Where tunnels live. Calls may wait for a disk or a network.
pub trait TunnelStore: Send + Sync {
    /// Adds a tunnel; false when its user has [`MAX_TUNNELS`].
    ///
    /// # Errors
    /// When the store does not work.
    fn insert(&self, tunnel: &Tunnel) -> Result<bool, TunnelStoreError>;

    /// The tunnel with this uuid.
    ///
    /// # Errors
    /// When the store does not work.
    fn find(&self, uuid: &str) -> Result<Option<Tunnel>, TunnelStoreError>;

    /// The tunnels of a user, oldest first.
    ///
    /// # Errors
    /// When the store does not work.
    fn list(&self, user: &str) -> Result<Vec<Tunnel>, TunnelStoreError>;

    /// Removes a tunnel of this user; false when there is none with this id.
    ///
    /// # Errors
    /// When the store does not work.
    fn remove(&self, user: &str, id: &str) -> Result<bool, TunnelStoreError>;
}

/// A store of tunnels failed.
#[derive(Debug, thiserror::Error)]
#[error("the store of tunnels failed: {reason}")]
pub struct TunnelStoreError {
    /// What failed.
    pub reason: String,
}

/// Tunnels in memory: a restart forgets them.
#[derive(Debug, Default)]
pub struct MemoryTunnels {
    by_uuid: Mutex<HashMap<String, Tunnel>>,
}

impl MemoryTunnels {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Tunnel>> {
        self.by_uuid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TunnelStore for MemoryTunnels {
    fn insert(&self, tunnel: &Tunnel) -> Result<bool, TunnelStoreError> {
        let mut all = self.all();
        if all.values().filter(|known| known.user == tunnel.user).count() >= MAX_TUNNELS {
            return Ok(false);
        }
        all.insert(tunnel.uuid.clone(), tunnel.clone());
        Ok(true)
    }

    fn find(&self, uuid: &str) -> Result<Option<Tunnel>, TunnelStoreError> {
        Ok(self.all().get(uuid).cloned())
    }

    fn list(&self, user: &str) -> Result<Vec<Tunnel>, TunnelStoreError> {
        let mut of_user: Vec<Tunnel> = self
            .all()
            .values()
            .filter(|tunnel| tunnel.user == user)
            .cloned()
            .collect();
        of_user.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(of_user)
    }

    fn remove(&self, user: &str, id: &str) -> Result<bool, TunnelStoreError> {
        let mut all = self.all();
        let before = all.len();
        all.retain(|_, tunnel| !(tunnel.user == user && tunnel.id == id));
        Ok(all.len() < before)
    }
}
