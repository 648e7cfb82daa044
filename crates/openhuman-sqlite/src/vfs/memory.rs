//! A file in memory below the sealing files, for their unit tests.

use std::ffi::c_int;
use std::sync::Arc;

use openhuman_vault::Key;

use super::raw::{Code, RawFile};
use crate::Processes;
use crate::database::{Database, Purpose};
use crate::format::new_file_id;

#[derive(Default)]
pub(crate) struct MemoryFile {
    pub(crate) content: Vec<u8>,
    pub(crate) writes: Vec<(u64, usize)>,
    /// Every write fails with this code.
    pub(crate) broken: Option<Code>,
}

impl RawFile for MemoryFile {
    fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<usize, Code> {
        let present = self.content.get(offset as usize..).unwrap_or_default();
        let n = present.len().min(buf.len());
        buf[..n].copy_from_slice(&present[..n]);
        buf[n..].fill(0);
        Ok(n)
    }

    fn write(&mut self, buf: &[u8], offset: u64) -> Result<(), Code> {
        if let Some(code) = self.broken {
            return Err(code);
        }
        let end = offset as usize + buf.len();
        self.content.resize(self.content.len().max(end), 0);
        self.content[offset as usize..end].copy_from_slice(buf);
        self.writes.push((offset, buf.len()));
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> Result<(), Code> {
        self.content.resize(size as usize, 0);
        Ok(())
    }

    fn sync(&mut self, _flags: c_int) -> Result<(), Code> {
        Ok(())
    }

    fn size(&mut self) -> Result<u64, Code> {
        Ok(self.content.len() as u64)
    }
}

pub(crate) fn database() -> Arc<Database> {
    let key = Key::from_bytes([1; 32]);
    let id = new_file_id(&key).unwrap();
    Arc::new(Database::new(&key, id, Processes::One, Purpose::Use, None, None))
}
