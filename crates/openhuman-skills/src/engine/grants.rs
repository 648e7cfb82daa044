//! What skills may do while they are installed, and what they did.

use std::sync::Arc;

use super::Engine;
use crate::{EgressRecord, Grant, LedgerQuery, Manifest, SkillError, SkillId};

impl Engine {
    /// What to put before the user for this manifest: [`Grant::from_manifest`] and, for a manifest from before
    /// permissions existed, the host of the backend ([`EngineBuilder::backend`](crate::EngineBuilder::backend)).
    #[must_use]
    pub fn proposed_grant(&self, manifest: &Manifest) -> Grant {
        let mut grant = Grant::from_manifest(manifest);
        if let (None, Some(backend)) = (&manifest.permissions, &self.0.shared.backend) {
            grant.allow_backend(backend);
        }
        grant
    }

    /// What an installed skill may do now.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill.
    pub fn grant(&self, skill: &SkillId) -> Result<Grant, SkillError> {
        let found = self
            .find(skill)
            .ok_or_else(|| SkillError::Unknown { skill: skill.clone() })?;
        Ok((*found.grant()).clone())
    }

    /// Replaces what an installed skill may do, also while it runs: the next request, event or call is decided
    /// by the new grant. What is under way goes on; open WebSocket connections the new grant does not allow are
    /// closed.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill.
    pub fn set_grant(&self, skill: &SkillId, grant: Grant) -> Result<(), SkillError> {
        let found = self
            .find(skill)
            .ok_or_else(|| SkillError::Unknown { skill: skill.clone() })?;
        found.set_grant(grant);
        Ok(())
    }

    /// What skills sent, and were refused to send, oldest first: the newest 10,000 attempts of all skills are kept, and
    /// of those that were refused 2,000. [`EngineBuilder::egress_log`](crate::EngineBuilder::egress_log) is for a host
    /// that keeps them longer.
    #[must_use]
    pub fn ledger(&self, query: &LedgerQuery) -> Vec<Arc<EgressRecord>> {
        self.0.shared.client.recorder.ledger.query(query)
    }
}
