//! What the vault keeps about the sealed databases: which key they have, and the seal of each.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openhuman_sqlite::{Anchor, AnchorError};
use openhuman_vault::Vault;
use openhuman_vault::seal::Sealer;
use serde::{Deserialize, Serialize};

use crate::CoreError;

/// The file in the vault's directory.
const FILE: &str = "databases.ohv";

/// Under this name the vault notes that the file exists, and derives its key.
const LABEL: &str = "databases";

/// Bound to what is sealed, so that nothing else under that key is taken for it.
const CONTENT: &[u8] = b"openhuman databases 1";

/// The generations of keys, and the seals by the names of the databases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Every database has the key of this generation ..
    pub(crate) keys: u32,
    /// .. or, while keys are being replaced, of this one.
    pub(crate) next: Option<u32>,
    pub(crate) seals: BTreeMap<String, Vec<u8>>,
    /// The session of the vault, at least, in which this was written; 0 while sessions are not counted.
    #[serde(default)]
    pub(crate) session: u64,
}

/// The sealed file, held in memory and written whole at every change.
pub(crate) struct Ledger {
    path: PathBuf,
    sealer: Sealer,
    state: Mutex<State>,
}

impl Ledger {
    /// Reads the ledger, or begins one in a vault that never had one. Only while the home is held.
    pub(crate) fn open(vault_dir: &Path, vault: &mut Vault) -> Result<Self, CoreError> {
        let path = vault_dir.join(FILE);
        let sealer = Sealer::new(&vault.subkey(LABEL));
        let known = vault.has_database(LABEL);
        let state = match fs::read(&path) {
            Ok(bytes) => decode(&sealer, &bytes).ok_or_else(|| CoreError::Ledger {
                path: path.clone(),
                missing: false,
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && known => {
                return Err(CoreError::Ledger { path, missing: true });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(CoreError::io("read", path, error)),
        };
        let ledger = Self {
            path,
            sealer,
            state: Mutex::new(state),
        };
        if !known {
            // The file first: a note without it would read as a loss.
            ledger.change(|_| {})?;
            vault.note_database(LABEL)?;
        }
        Ok(ledger)
    }

    /// Begins anew, whatever is there: every database is taken as it is.
    pub(crate) fn replace(vault_dir: &Path, vault: &mut Vault, keys: State) -> Result<Self, CoreError> {
        let ledger = Self {
            path: vault_dir.join(FILE),
            sealer: Sealer::new(&vault.subkey(LABEL)),
            state: Mutex::default(),
        };
        ledger.change(|state| *state = keys)?;
        vault.note_database(LABEL)?;
        Ok(ledger)
    }

    pub(crate) fn state(&self) -> State {
        self.lock().clone()
    }

    /// Changes the state, on disk first.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), CoreError> {
        let mut state = self.lock();
        let mut changed = state.clone();
        change(&mut changed);
        let failed = |error| CoreError::io("write", &self.path, error);
        let plain = serde_json::to_vec(&changed).map_err(|error| failed(io::Error::other(error)))?;
        let sealed = self
            .sealer
            .seal(CONTENT, &plain)
            .map_err(openhuman_vault::VaultError::from)?;
        write_whole(&self.path, &sealed).map_err(failed)?;
        *state = changed;
        Ok(())
    }

    /// Where the seal of one database is kept.
    pub(crate) fn anchor(self: &Arc<Self>, name: &str) -> Arc<dyn Anchor> {
        Arc::new(Seal {
            ledger: Arc::clone(self),
            name: name.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn decode(sealer: &Sealer, bytes: &[u8]) -> Option<State> {
    let plain = sealer.open(CONTENT, bytes).ok()?;
    serde_json::from_slice(&plain).ok()
}

/// Replaces a file: after a crash it has the old content or the new.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("ohv.tmp");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    #[cfg(unix)]
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[derive(Debug)]
struct Seal {
    ledger: Arc<Ledger>,
    name: String,
}

impl Anchor for Seal {
    fn load(&self) -> Result<Option<Vec<u8>>, AnchorError> {
        Ok(self.ledger.lock().seals.get(&self.name).cloned())
    }

    fn store(&self, seal: &[u8]) -> Result<(), AnchorError> {
        let changed = self.ledger.change(|state| {
            state.seals.insert(self.name.clone(), seal.to_vec());
        });
        Ok(changed?)
    }
}

#[cfg(test)]
mod tests {
    use openhuman_vault::{Password, VaultOptions};

    use super::*;

    fn vault(dir: &Path) -> Vault {
        let password = Password::from("a password for tests".to_owned());
        Vault::create(dir, &password, &VaultOptions::fast_for_tests()).unwrap()
    }

    #[test]
    fn seals_stay_and_a_ledger_that_is_gone_or_changed_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut vault = vault(dir.path());
        let ledger = Arc::new(Ledger::open(dir.path(), &mut vault).unwrap());
        ledger.anchor("memory").store(b"seal 1").unwrap();
        ledger.anchor("egress").store(b"seal 2").unwrap();
        let again = Arc::new(Ledger::open(dir.path(), &mut vault).unwrap());
        assert_eq!(again.anchor("memory").load().unwrap().unwrap(), b"seal 1");
        assert_eq!(again.anchor("other").load().unwrap(), None);

        let file = dir.path().join(FILE);
        let good = fs::read(&file).unwrap();
        assert!(!good.windows(6).any(|bytes| bytes == b"memory"));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, bad).unwrap();
            let refused = Ledger::open(dir.path(), &mut vault).unwrap_err();
            assert!(
                matches!(refused, CoreError::Ledger { missing: false, .. }),
                "byte {at}"
            );
        }
        fs::remove_file(&file).unwrap();
        let refused = Ledger::open(dir.path(), &mut vault).unwrap_err();
        assert!(
            matches!(refused, CoreError::Ledger { missing: true, .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("missing") && refused.to_string().contains("accept --all"));
        Ledger::replace(dir.path(), &mut vault, State::default()).unwrap();
        assert_eq!(
            Ledger::open(dir.path(), &mut vault).unwrap().state(),
            State::default()
        );
    }
}
