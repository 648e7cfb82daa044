//! The sealed databases of a home: their names, files, keys and seals, and the care of them while no core runs.

mod care;
mod name;

use std::path::PathBuf;
use std::sync::Arc;

use openhuman_sqlite::rusqlite::Connection;
use openhuman_sqlite::{Anchor, Options};
use openhuman_vault::{Age, Key, KeyStore, Vault, VaultError};

pub use self::care::{HomeDatabases, Rekeyed};
pub use self::name::DatabaseName;
use self::name::Keys;
use crate::ledger::{Ledger, State};
use crate::{CoreError, Home};

/// Opens the sealed databases of a home with their keys and seals. Only while the home is held.
pub(crate) struct Databases {
    home: Home,
    keys: Keys,
    ledger: Arc<Ledger>,
}

impl Databases {
    pub(crate) fn open(home: Home, vault: &mut Vault) -> Result<Self, CoreError> {
        let ledger = Ledger::open(&home.vault_dir(), vault)?;
        Ok(Self::with(home, vault, ledger))
    }

    fn with(home: Home, vault: &Vault, ledger: Ledger) -> Self {
        Self {
            home,
            keys: Keys::of(vault),
            ledger: Arc::new(ledger),
        }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// What the keys of sessions are derived from. It does not change.
    pub(crate) fn memory_key(&self) -> &Key {
        self.keys.memory()
    }

    pub(crate) fn path(&self, name: &DatabaseName) -> PathBuf {
        name.path(&self.home)
    }

    /// The key that a database has now; of a new one, the key it is to have.
    pub(crate) fn key(&self, name: &DatabaseName) -> Key {
        let State { keys, next, .. } = self.ledger.state();
        if let Some(next) = next {
            let key = name.key(&self.keys, next);
            if openhuman_sqlite::opens_with(&self.path(name), &key).unwrap_or(false) {
                return key;
            }
        }
        name.key(&self.keys, keys)
    }

    /// Begins a session of the vault, whose number `store` keeps outside of the home: an older copy of the whole home is
    /// noticed. A store that is locked or absent is no reason to stop. Before any database is opened.
    pub(crate) fn begin_session(&self, vault: &mut Vault, store: &dyn KeyStore) -> Result<(), CoreError> {
        let session = vault.session();
        if self.ledger.state().session < session {
            return Err(CoreError::OlderHome);
        }
        // The notes first: a crash in between leaves them newer than the vault, which is no older copy.
        self.ledger.change(|state| state.session = session + 1)?;
        match vault.begin_session(store) {
            Ok(Age::Forgotten) => {
                tracing::info!("the keychain does not know the age of this home any more");
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(VaultError::RolledBack { .. }) => Err(CoreError::OlderHome),
            Err(VaultError::KeyStore(error)) => {
                tracing::info!(%error, "the age of this home is not known");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where the seal of a database is kept.
    pub(crate) fn anchor(&self, name: &DatabaseName) -> Arc<dyn Anchor> {
        self.ledger.anchor(&name.to_string())
    }

    /// Forgets which state of a database was the newest.
    pub(crate) fn forget_seal(&self, name: &DatabaseName) -> Result<(), CoreError> {
        let text = name.to_string();
        if !self.ledger.state().seals.contains_key(&text) {
            return Ok(());
        }
        self.ledger.change(|state| {
            state.seals.remove(&text);
        })
    }

    fn options(&self, name: &DatabaseName) -> Options {
        Options {
            anchor: Some(self.anchor(name)),
            ..Options::default()
        }
    }

    /// Opens or creates a database.
    pub(crate) fn open_database(&self, name: &DatabaseName) -> Result<Connection, CoreError> {
        let opened = openhuman_sqlite::open(&self.path(name), &self.key(name), &self.options(name));
        opened.map_err(|error| explained(name, error))
    }
}

/// Says of an error what it means for the user.
pub(crate) fn explained(name: &DatabaseName, error: openhuman_sqlite::Error) -> CoreError {
    use openhuman_sqlite::Error;
    let name = name.to_string();
    match error {
        Error::RolledBack { path, generation, .. } => CoreError::RolledBack {
            name,
            path,
            generation,
        },
        Error::LogCorrupt { path, .. } => CoreError::LogDamaged { name, path },
        Error::PageCorrupt { path, page, .. } => CoreError::PageDamaged { name, path, page },
        other => other.into(),
    }
}
