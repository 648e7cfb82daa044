//! Temporary files: in memory while they are small, then in a file sealed under a key that lives only here.

use std::ffi::c_int;

use libsqlite3_sys as ffi;
use openhuman_vault::Key;
use openhuman_vault::seal::{NONCE_LEN, NonceSource, Sealer, TAG_LEN};
use zeroize::Zeroizing;

use self::window::Window;
use super::heap_file::HeapFile;
use super::raw::{Code, RawFile};

mod window;

/// Above this size a temporary file goes to the disk.
pub(crate) const IN_MEMORY: u64 = 1024 * 1024;
/// Pages of SQLite's temporary databases and buffers of its sorter have this size.
const BLOCK: usize = 4096;

/// Opens the nameless file on the disk.
pub(crate) type OpenDisk<R> = Box<dyn FnMut() -> Result<R, Code> + Send>;

pub(crate) struct TempFile<R> {
    memory: HeapFile,
    disk: Option<SealedBlocks<R>>,
    open_disk: OpenDisk<R>,
    in_memory: u64,
}

impl<R: RawFile> TempFile<R> {
    pub(crate) fn new(in_memory: u64, open_disk: OpenDisk<R>) -> TempFile<R> {
        TempFile {
            memory: HeapFile::default(),
            disk: None,
            open_disk,
            in_memory,
        }
    }

    pub(crate) fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<(), Code> {
        match &mut self.disk {
            Some(disk) => disk.read(buf, offset),
            None => self.memory.read(buf, offset),
        }
    }

    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) -> Result<(), Code> {
        if self.disk.is_none() && offset + buf.len() as u64 > self.in_memory {
            self.move_to_disk()?;
        }
        match &mut self.disk {
            Some(disk) => disk.write(buf, offset),
            None => self.memory.write(buf, offset),
        }
    }

    pub(crate) fn truncate(&mut self, size: u64) -> Result<(), Code> {
        match &mut self.disk {
            Some(disk) => disk.truncate(size),
            None => self.memory.truncate(size),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        match &self.disk {
            Some(disk) => disk.size,
            None => self.memory.size(),
        }
    }

    fn move_to_disk(&mut self) -> Result<(), Code> {
        let key = Key::generate().map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        let mut disk = SealedBlocks {
            raw: (self.open_disk)()?,
            sealer: Sealer::new(&key),
            nonces: NonceSource::new(),
            tails: Vec::new(),
            size: 0,
            window: Window::default(),
            block: Box::new(Zeroizing::new([0; BLOCK])),
            at: None,
            dirty: false,
        };
        let mut block = Zeroizing::new([0; BLOCK]);
        let (mut done, size) = (0, self.memory.size());
        while done < size {
            let n = (size - done).min(BLOCK as u64);
            let part = &mut block[..n as usize];
            self.memory.read(part, done)?;
            disk.write(part, done)?;
            done += n;
        }
        self.memory = HeapFile::default();
        self.disk = Some(disk);
        Ok(())
    }
}

/// Nonce and tag of a block. They stay in memory like the key: the blocks keep their place on the disk, and an older
/// version of one is noticed, too.
type Tail = ([u8; NONCE_LEN], [u8; TAG_LEN]);

/// Block `n` is stored at `n * BLOCK` as ciphertext, bound to its number. One block is kept open, for writes that are
/// smaller.
struct SealedBlocks<R> {
    raw: R,
    sealer: Sealer,
    nonces: NonceSource,
    /// One per block; none for a block that was never written.
    tails: Vec<Option<Tail>>,
    size: u64,
    window: Window,
    block: Box<Zeroizing<[u8; BLOCK]>>,
    at: Option<u64>,
    dirty: bool,
}

impl<R: RawFile> SealedBlocks<R> {
    fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<(), Code> {
        let available = self.size.saturating_sub(offset).min(buf.len() as u64) as usize;
        buf[available..].fill(0);
        let mut done = 0;
        while done < available {
            let (number, inside) = place(offset + done as u64);
            let n = (BLOCK - inside).min(available - done);
            let part = &mut buf[done..done + n];
            match <&mut [u8; BLOCK]>::try_from(&mut *part) {
                Ok(block) if self.at != Some(number) => self.open_block(number, block)?,
                _ => {
                    self.load(number)?;
                    part.copy_from_slice(&self.block[inside..inside + n]);
                }
            }
            done += n;
        }
        if available < buf.len() {
            Err(ffi::SQLITE_IOERR_SHORT_READ)
        } else {
            Ok(())
        }
    }

    fn write(&mut self, buf: &[u8], offset: u64) -> Result<(), Code> {
        let mut done = 0;
        while done < buf.len() {
            let (number, inside) = place(offset + done as u64);
            let n = (BLOCK - inside).min(buf.len() - done);
            if let Ok(block) = <&[u8; BLOCK]>::try_from(&buf[done..done + n]) {
                if self.at == Some(number) {
                    (self.at, self.dirty) = (None, false);
                }
                self.seal_block(number, Some(block))?;
            } else {
                self.load(number)?;
                self.block[inside..inside + n].copy_from_slice(&buf[done..done + n]);
                self.dirty = true;
            }
            done += n;
            self.size = self.size.max(offset + done as u64);
        }
        self.size = self.size.max(offset);
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> Result<(), Code> {
        if size >= self.size {
            return Ok(());
        }
        let (number, inside) = place(size);
        if inside > 0 {
            self.load(number)?;
            self.block[inside..].fill(0);
            self.dirty = true;
        } else if self.at.is_some_and(|at| at >= number) {
            (self.at, self.dirty) = (None, false);
        }
        if self.at.is_some_and(|at| at > number) {
            (self.at, self.dirty) = (None, false);
        }
        let kept = number + u64::from(inside > 0);
        self.size = size;
        self.tails.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.window.truncate(kept);
        let present = self.raw.size()?;
        self.raw.truncate(present.min(kept * BLOCK as u64))
    }

    /// Makes block `number` the open one. A block that was never written is zeros, like a hole.
    fn load(&mut self, number: u64) -> Result<(), Code> {
        if self.at == Some(number) {
            return Ok(());
        }
        self.flush_unless(number)?;
        let mut block = std::mem::replace(&mut self.block, Box::new(Zeroizing::new([0; BLOCK])));
        let opened = self.open_block(number, &mut block);
        self.block = block;
        opened?;
        self.at = Some(number);
        Ok(())
    }

    fn flush_unless(&mut self, number: u64) -> Result<(), Code> {
        let Some(at) = self.at.filter(|at| *at != number) else {
            return Ok(());
        };
        if self.dirty {
            self.seal_block(at, None)?;
        }
        (self.at, self.dirty) = (None, false);
        Ok(())
    }

    fn open_block(&mut self, number: u64, out: &mut [u8; BLOCK]) -> Result<(), Code> {
        let tail = usize::try_from(number)
            .ok()
            .and_then(|number| self.tails.get(number));
        let Some(Some((nonce, tag))) = tail else {
            out.fill(0);
            return Ok(());
        };
        let blocks = self.tails.len() as u64;
        if !self.window.get(&mut self.raw, number, blocks, out)? {
            out.fill(0);
            return Err(ffi::SQLITE_IOERR_DATA);
        }
        self.sealer
            .open_in_place(nonce, &number.to_be_bytes(), out, tag)
            .map_err(|_| ffi::SQLITE_IOERR_DATA)
    }

    /// Seals a block, the open one if there is no other.
    fn seal_block(&mut self, number: u64, block: Option<&[u8; BLOCK]>) -> Result<(), Code> {
        let at = usize::try_from(number).map_err(|_| ffi::SQLITE_FULL)?;
        if self.tails.len() <= at {
            let missing = at + 1 - self.tails.len();
            self.tails
                .try_reserve(missing)
                .map_err(|_| ffi::SQLITE_IOERR_NOMEM)?;
            self.tails.resize(at + 1, None);
        }
        let nonce = self.nonces.next().map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        let place = self.window.place_for(&mut self.raw, number)?;
        match block {
            Some(block) => place.copy_from_slice(block),
            None => place.copy_from_slice(&self.block[..]),
        }
        let tag = self.sealer.seal_in_place(&nonce, &number.to_be_bytes(), place);
        self.tails[at] = Some((nonce, tag));
        Ok(())
    }
}

fn place(offset: u64) -> (u64, usize) {
    (offset / BLOCK as u64, (offset % BLOCK as u64) as usize)
}

/// How the platform opens a nameless file that is gone when it is closed.
pub(crate) const DISK_FLAGS: c_int = ffi::SQLITE_OPEN_TEMP_DB
    | ffi::SQLITE_OPEN_READWRITE
    | ffi::SQLITE_OPEN_CREATE
    | ffi::SQLITE_OPEN_EXCLUSIVE
    | ffi::SQLITE_OPEN_DELETEONCLOSE;

#[cfg(test)]
mod tests;
