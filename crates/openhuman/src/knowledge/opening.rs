//! Opening the memory with the embedder that fits its vectors.

use std::path::Path;
use std::sync::Arc;

use openhuman_memory::{Memory, MemoryError, MemoryOptions, Sealing, SystemClock, UnavailableEmbedder};
use openhuman_vault::{KeyStore, Vault};

use super::embedding::Wanted;
use crate::core::MEMORY;
use crate::databases::{DatabaseName, Databases, explained};
use crate::{CoreError, Home, HomeDatabases};

/// Opens the memory. The vault remembers that there is one: a file that was removed or emptied is not silently
/// replaced by a new, empty memory.
pub(crate) async fn open_memory(
    home: &Home,
    mut vault: Vault,
    key_store: Option<Arc<dyn KeyStore>>,
) -> Result<(Vault, Arc<Databases>, Memory), CoreError> {
    let home = home.clone();
    crate::home::create_private_dir(&home.memory_dir())?;
    tokio::task::spawn_blocking(move || {
        let databases = Arc::new(Databases::open(home, &mut vault)?);
        if let Some(store) = key_store {
            databases.begin_session(&mut vault, store.as_ref())?;
        }
        let file = databases.path(&DatabaseName::Memory);
        let there = file.metadata().is_ok_and(|metadata| metadata.len() > 1);
        if vault.has_database(MEMORY) && !there {
            return Err(CoreError::MemoryMissing { path: file });
        }
        let memory = open(&databases, &Wanted::load(&vault)?)?;
        if !vault.has_database(MEMORY) {
            vault.note_database(MEMORY)?;
        }
        Ok((vault, databases, memory))
    })
    .await?
}

/// Opens the memory with the chosen embedder, or with what there is for the space that its vectors are in.
fn open(databases: &Databases, wanted: &Wanted) -> Result<Memory, CoreError> {
    let opened = |embedder| {
        let options = MemoryOptions {
            embedder,
            clock: Arc::new(SystemClock),
        };
        sealed(databases, |dir, sealing| {
            Memory::open_sealed(dir, sealing, options)
        })
    };
    match opened(wanted.for_space(&wanted.space)) {
        Err(MemoryError::SpaceMismatch { stored, .. }) => opened(wanted.for_space(&stored)),
        other => other,
    }
    .map_err(told)
}

/// Calls with the place and the keys of the memory.
fn sealed<T>(
    databases: &Databases,
    call: impl FnOnce(&Path, &Sealing<'_>) -> Result<T, MemoryError>,
) -> Result<T, MemoryError> {
    let name = DatabaseName::Memory;
    let sealing = Sealing {
        database_key: &databases.key(&name),
        key: databases.memory_key(),
        anchor: Some(databases.anchor(&name)),
    };
    call(&databases.home().memory_dir(), &sealing)
}

fn told(error: MemoryError) -> CoreError {
    match error {
        MemoryError::Database(error) => explained(&DatabaseName::Memory, error),
        other => other.into(),
    }
}

/// Notes in the memory that a copy of it is about to be at `path`, so that forgetting can name it. Nothing to note
/// when there is no memory yet. Blocks.
pub(crate) fn note_backup(databases: &HomeDatabases, path: &Path) -> Result<(), CoreError> {
    let databases = databases.databases();
    let space = sealed(databases, Memory::stored_space).map_err(told)?;
    let Some(space) = space else {
        return Ok(());
    };
    let embedder = Arc::new(UnavailableEmbedder::new(space, "only a note is made"));
    let options = MemoryOptions {
        embedder,
        clock: Arc::new(SystemClock),
    };
    let memory = sealed(databases, |dir, sealing| {
        Memory::open_sealed(dir, sealing, options)
    })
    .map_err(told)?;
    Ok(memory.note_backup(path)?)
}
