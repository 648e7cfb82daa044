//! From the global arguments to an opened vault and a running core.

use std::sync::Arc;

use openhuman::vault::{
    Key, KeyStore, KeyStoreError, KeychainStore, Password, Vault, VaultError, VaultOptions,
};
use openhuman::{
    Core, CoreBuilder, CoreError, Credential, Home, Network, context_window_from_env, earlier_skill_dirs,
    model_from_env, working_memory_from_env,
};

use crate::args::{BackendLogin, Global};
use crate::exit::{Code, Failure, interruptible, tell};
use crate::password::{Asking, new_password, open_from_terminal};
use crate::style::{DIM, ERROR};
use crate::unlock;

pub(crate) fn home(global: &Global) -> Result<Home, Failure> {
    match &global.home {
        Some(path) => Ok(Home::at(path)),
        None => Ok(Home::of_user()?),
    }
}

/// Opens the vault and builds the core; problems of single skills are said on standard error.
pub(crate) async fn core(global: &Global) -> Result<Core, Failure> {
    let core = core_quietly(global).await?;
    for problem in core.problems() {
        tell(format_args!(
            "{ERROR}warning:{ERROR:#} the skill in {} is not available: {}",
            problem.path.display(),
            problem.error
        ));
    }
    Ok(core)
}

/// As [`core`], leaving the problems to the caller.
pub(crate) async fn core_quietly(global: &Global) -> Result<Core, Failure> {
    interruptible(async {
        let home = home(global)?;
        let vault = vault(global, &home).await?;
        Ok(with_skills(global, builder(home, vault)?)?.build().await?)
    })
    .await
}

/// A core as the environment wants it.
pub(crate) fn builder(home: Home, vault: Vault) -> Result<CoreBuilder, Failure> {
    let keeper = age_keeper(&vault);
    Ok(Core::builder(home, vault)
        .model(model_from_env())
        .network(Network::from_env())
        .working_memory(working_memory_from_env())
        .context_window(context_window_from_env()?)
        .key_store(keeper))
}

/// The keychain of a user who lets it open the vault: it keeps the age of the home too. One that cannot be reached keeps
/// nothing, and nothing is asked of anybody else.
pub(crate) fn age_keeper(vault: &Vault) -> Option<Arc<dyn KeyStore>> {
    if !vault.is_remembered() {
        return None;
    }
    let keychain = KeychainStore::new().ok()?;
    Some(Arc::new(keychain))
}

/// Adds the directories of skills that the user named, and those of an earlier installation.
pub(crate) fn with_skills(global: &Global, mut builder: CoreBuilder) -> Result<CoreBuilder, Failure> {
    for dir in &global.skills_dir {
        if !dir.is_dir() {
            let message = format!(
                "the skills directory {} does not exist; check --skills-dir",
                dir.display()
            );
            return Err(Failure::new(Code::NotFound, message));
        }
        builder = builder.skills_dir(dir);
    }
    // A home of its own has skills of its own.
    let earlier = earlier_skill_dirs(global.home.is_none());
    Ok(earlier.into_iter().fold(builder, CoreBuilder::skills_dir))
}

/// Whether there is a vault. A directory that cannot be looked into is no answer.
pub(crate) fn has_vault(home: &Home) -> Result<bool, Failure> {
    if home.has_vault() {
        return Ok(true);
    }
    match home.vault_dir().join("vault.ohv").try_exists() {
        Ok(_) => Ok(false),
        Err(error) => {
            let path = home.path().display();
            let message = format!(
                "cannot look into the home directory {path}: {error}; make it readable, or choose another one with --home"
            );
            Err(Failure::new(Code::Unavailable, message))
        }
    }
}

/// Opens the vault: with the password of `--password-fd`, else as `openhuman unlock` left it, else with the key in the
/// keychain, else with the password typed at the terminal. A home without a vault gets one.
pub(crate) async fn vault(global: &Global, home: &Home) -> Result<Vault, Failure> {
    if !has_vault(home)? {
        return create_vault(global, home).await;
    }
    if let Some(secret) = &global.password {
        return Ok(open(home, secret.to_password()).await?);
    }
    if let Some(vault) = unlock::unlocked(home).await? {
        return Ok(vault);
    }
    match ask_keychain(home).await? {
        Keychain::Opens(vault) => Ok(*vault),
        Keychain::NotAsked => open_from_terminal(home, None).await,
        Keychain::Refuses(reason) => open_from_terminal(home, Some(&reason)).await,
    }
}

/// As [`vault`], for a command that makes no sense in a home without one.
pub(crate) async fn existing_vault(global: &Global, home: &Home) -> Result<Vault, Failure> {
    require_vault(home)?;
    vault(global, home).await
}

/// Fails where there is no vault.
pub(crate) fn require_vault(home: &Home) -> Result<(), Failure> {
    if has_vault(home)? {
        return Ok(());
    }
    let path = home.path().display();
    let message = format!("there is no vault in {path}; `openhuman vault create` makes one");
    Err(Failure::new(Code::NotFound, message))
}

/// Creates the vault with a password from `--password-fd`, or typed twice.
pub(crate) async fn create_vault(global: &Global, home: &Home) -> Result<Vault, Failure> {
    if home.has_sealed_data() {
        // Said before anybody thinks of a new password.
        return Err(CoreError::VaultMissing {
            path: home.vault_dir(),
        }
        .into());
    }
    let path = home.path().display();
    let password = new_password(
        global.password.as_ref(),
        &Asking {
            intro: format!(
                "There is no vault in {path} yet. Choose a password: it seals your keys and memory."
            ),
            nobody: format!(
                "there is no vault in {path} yet; create it with `openhuman vault create` at a terminal, or give a \
                 password with --password-fd N"
            ),
            nothing: "nothing was created",
        },
    )?;
    let new_home = home.clone();
    let options = VaultOptions::default();
    let vault = tokio::task::spawn_blocking(move || new_home.create_vault(&password, &options)).await??;
    tell(format_args!(
        "{DIM}Created a vault in {}. `openhuman vault recovery-key` makes a key for the day the password is lost.{DIM:#}",
        home.path().display()
    ));
    Ok(vault)
}

pub(crate) async fn open(home: &Home, password: Password) -> Result<Vault, CoreError> {
    let home = home.clone();
    tokio::task::spawn_blocking(move || home.open_vault(&password)).await?
}

/// What the keychain did about a vault.
pub(crate) enum Keychain {
    /// The vault is not remembered there.
    NotAsked,
    Opens(Box<Vault>),
    /// The vault is remembered there, and the keychain is locked, denied, absent or has another key.
    Refuses(String),
}

/// Lets the keychain open the vault, if it is remembered there.
pub(crate) async fn ask_keychain(home: &Home) -> Result<Keychain, Failure> {
    let home = home.clone();
    match tokio::task::spawn_blocking(move || home.open_vault_from(&OnDemand)).await? {
        Ok(vault) => Ok(Keychain::Opens(Box::new(vault))),
        Err(CoreError::Vault(VaultError::NotRemembered)) => Ok(Keychain::NotAsked),
        Err(CoreError::Vault(
            error
            @ (VaultError::KeyStore(_) | VaultError::KeyStoreEntryMissing | VaultError::WrongKeyInStore),
        )) => {
            tracing::info!(%error, "the keychain does not open the vault");
            Ok(Keychain::Refuses(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The keychain, reached only when a vault has a key in it: most have none, and reaching it may ask the user.
struct OnDemand;

impl KeyStore for OnDemand {
    fn get(&self, account: &str) -> Result<Option<Key>, KeyStoreError> {
        KeychainStore::new()?.get(account)
    }

    fn set(&self, account: &str, key: &Key) -> Result<(), KeyStoreError> {
        KeychainStore::new()?.set(account, key)
    }

    fn delete(&self, account: &str) -> Result<bool, KeyStoreError> {
        KeychainStore::new()?.delete(account)
    }
}

/// The login for `--backend`, if one was given: with a token, or with the session that is kept.
pub(crate) fn login(backend: &BackendLogin) -> Option<(String, Credential)> {
    let url = backend.backend.clone()?;
    let credential = match &backend.login_token {
        Some(token) => Credential::LoginToken(token.text().to_owned()),
        None => Credential::Kept,
    };
    Some((url, credential))
}
