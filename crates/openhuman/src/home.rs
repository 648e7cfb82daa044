//! Where everything lives on disk.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use openhuman_vault::{KeyStore, Password, RecoveryKey, Vault, VaultOptions};

use crate::CoreError;

/// The name of the environment variable that overrides the home directory.
pub const HOME_VARIABLE: &str = "OPENHUMAN_HOME";

/// The directory that holds one user's vault, memory, skills and skill databases.
///
/// ```text
/// HOME/vault/        vault.ohv, secrets.ohv   keys, sealed; databases.ohv: which state of each database is the newest
/// HOME/memory/       memory.db, sessions/     sealed
/// HOME/skills/       <skill>/manifest.json    installed packages, as their author shipped them
/// HOME/skills_data/  <skill>/skill.db         sealed, one database per skill and publisher; files.db beside it, its
///                                             data files; <skill>.2 is another publisher's skill of that id
/// HOME/skill-preferences.json                 which skills are set up and switched on
/// HOME/core.lock                              held while a core runs
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// A home at the given directory; nothing is created yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The user's home: `OPENHUMAN_HOME` when set, else `openhuman` in the platform's data directory
    /// (`$XDG_DATA_HOME` or `~/.local/share`, `~/Library/Application Support`, `%APPDATA%`).
    ///
    /// # Errors
    /// When neither the variable nor the platform tells a directory.
    pub fn of_user() -> Result<Self, CoreError> {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        if let Some(root) = variable(HOME_VARIABLE) {
            return Ok(Self { root });
        }
        let data = if cfg!(windows) {
            variable("APPDATA")
        } else if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        };
        data.map(|data| Self {
            root: data.join("openhuman"),
        })
        .ok_or(CoreError::Setting {
            setting: HOME_VARIABLE,
            reason: "no home directory is known for this user; set it to a directory of your own".into(),
        })
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The directory of the vault.
    #[must_use]
    pub fn vault_dir(&self) -> PathBuf {
        self.root.join("vault")
    }

    /// The directory of the memory.
    #[must_use]
    pub fn memory_dir(&self) -> PathBuf {
        self.root.join("memory")
    }

    /// The directory of installed skill packages.
    #[must_use]
    pub fn skills_dir(&self) -> PathBuf {
        self.root.join("skills")
    }

    /// The directory of skill databases.
    #[must_use]
    pub fn skills_data_dir(&self) -> PathBuf {
        self.root.join("skills_data")
    }

    /// The file that says which skills are set up and switched on: no secret.
    #[must_use]
    pub fn skill_preferences(&self) -> PathBuf {
        self.root.join("skill-preferences.json")
    }

    /// Whether a vault exists here.
    #[must_use]
    pub fn has_vault(&self) -> bool {
        Vault::exists(&self.vault_dir())
    }

    /// Creates the vault. Takes as long as Argon2id does (300 to 700 ms by default) and blocks the thread.
    ///
    /// # Errors
    /// When a vault exists already, when there is data of one that is gone, or the directory cannot be written.
    pub fn create_vault(&self, password: &Password, options: &VaultOptions) -> Result<Vault, CoreError> {
        let dir = self.vault_dir();
        if !Vault::try_exists(&dir)? && self.has_sealed_data() {
            return Err(CoreError::VaultMissing { path: dir });
        }
        create_private_dir(&self.root)?;
        create_private_dir(&dir)?;
        Ok(Vault::create(&dir, password, options)?)
    }

    /// Whether there is anything here that only an earlier vault can open.
    #[must_use]
    pub fn has_sealed_data(&self) -> bool {
        let databases =
            std::fs::read_dir(self.skills_data_dir()).is_ok_and(|mut entries| entries.next().is_some());
        databases
            || self.memory_dir().join("memory.db").exists()
            || self.vault_dir().join("secrets.ohv").exists()
    }

    /// Opens the vault with the password. Takes as long as Argon2id does and blocks the thread.
    ///
    /// # Errors
    /// [`CoreError::is_wrong_password`] for a wrong password, [`CoreError::retry_after_ms`] after too many of them;
    /// else what the vault says.
    pub fn open_vault(&self, password: &Password) -> Result<Vault, CoreError> {
        Ok(Vault::open(&self.vault_dir(), password)?)
    }

    /// How many milliseconds the next password has to wait after too many wrong ones, for a front end that says so before
    /// anybody types; 0 when it need not. Reads one small file and makes no attempt.
    #[must_use]
    pub fn waiting_ms(&self) -> u64 {
        Vault::waiting_ms(&self.vault_dir(), jiff::Timestamp::now().as_millisecond())
    }

    /// Opens a vault that `Vault::cache_in` left unlocked, without the password.
    ///
    /// # Errors
    /// When nothing was left or the time is over (`VaultError::NotCached`), or the cache cannot be asked: then the password
    /// is the way in.
    pub fn open_vault_from_cache(&self, cache: &dyn KeyStore) -> Result<Vault, CoreError> {
        Ok(Vault::open_from_cache(&self.vault_dir(), cache)?)
    }

    /// Opens the vault with the key that an OS keychain remembers for it.
    ///
    /// # Errors
    /// When the keychain holds no key for this vault, or is locked, absent or denied.
    pub fn open_vault_from(&self, keys: &dyn KeyStore) -> Result<Vault, CoreError> {
        Ok(Vault::open_from_key_store(&self.vault_dir(), keys)?)
    }

    /// Opens the vault with its recovery key, when the password is lost. Fast; the next step is a new password.
    ///
    /// # Errors
    /// When the vault has no recovery key, or this is not the latest one.
    pub fn open_vault_with_recovery_key(&self, key: &RecoveryKey) -> Result<Vault, CoreError> {
        Ok(Vault::open_with_recovery_key(&self.vault_dir(), key)?)
    }

    /// Changes the password; the old one is needed, whatever else would open the vault. One slot is rewritten, at any
    /// size of the vault. A core that runs with this vault goes on. Runs Argon2id twice and blocks the thread.
    ///
    /// # Errors
    /// As [`Home::open_vault`], and when the new password cannot be used or the vault cannot be written.
    pub fn change_password(
        &self,
        old: &Password,
        new: &Password,
        options: &VaultOptions,
    ) -> Result<(), CoreError> {
        Ok(self.open_vault(old)?.change_password(new, options)?)
    }

    /// Makes a recovery key, which opens the vault without the password; an earlier one opens nothing any more.
    /// Blocks as [`Home::open_vault`].
    ///
    /// # Errors
    /// As [`Home::open_vault`], and when the vault cannot be written.
    pub fn create_recovery_key(&self, password: &Password) -> Result<RecoveryKey, CoreError> {
        Ok(self.open_vault(password)?.create_recovery_key()?)
    }

    /// Opens the vault with its recovery key and sets a new password. The recovery key stays valid. Runs Argon2id once
    /// and blocks the thread.
    ///
    /// # Errors
    /// As [`Home::open_vault_with_recovery_key`], and when the new password cannot be used or the vault cannot be
    /// written.
    pub fn recover_vault(
        &self,
        key: &RecoveryKey,
        new: &Password,
        options: &VaultOptions,
    ) -> Result<Vault, CoreError> {
        let mut vault = self.open_vault_with_recovery_key(key)?;
        vault.change_password(new, options)?;
        Ok(vault)
    }

    /// Takes the home for this process, until the returned file is dropped.
    pub(crate) fn lock(&self) -> Result<File, CoreError> {
        create_private_dir(&self.root)?;
        let path = self.root.join("core.lock");
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| CoreError::io("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(CoreError::Busy {
                path: self.root.clone(),
            }),
            Err(TryLockError::Error(error)) => Err(CoreError::io("lock", &path, error)),
        }
    }
}

/// Creates a directory that only its owner can enter, where the platform has such a notion.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), CoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
        .create(path)
        .map_err(|error| CoreError::io("create", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_vault_is_not_replaced_while_its_data_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        fs::create_dir_all(home.memory_dir()).unwrap();
        fs::write(home.memory_dir().join("memory.db"), b"sealed").unwrap();
        let refused = home.create_vault(
            &Password::from("long enough".to_owned()),
            &VaultOptions::fast_for_tests(),
        );
        assert!(matches!(refused, Err(CoreError::VaultMissing { .. })));
        assert!(
            !home.vault_dir().exists(),
            "nothing may stand where the real vault has to be put back"
        );
    }

    #[test]
    fn a_home_is_held_by_one_core_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let held = home.lock().unwrap();
        let refused = home.lock().unwrap_err();
        assert!(matches!(refused, CoreError::Busy { .. }), "{refused}");
        assert!(refused.to_string().contains("--home"), "{refused}");
        drop(held);
        home.lock().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_new_home_is_closed_to_other_users() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("new"));
        let _held = home.lock().unwrap();
        assert_eq!(
            home.path().metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
