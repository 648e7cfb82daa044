//! The database file: whole pages, each sealed.

use std::ffi::c_int;
use std::sync::Arc;

use libsqlite3_sys as ffi;
use zeroize::Zeroize;

use super::raw::{Code, RawFile};
use crate::database::{Damage, Database, Purpose};
use crate::format::{self, PAGE};

#[cfg(test)]
thread_local! {
    /// Takes the fix for a torn page 1 away, for the control of the power-loss simulation.
    pub(crate) static NO_STAND_IN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

pub(crate) struct MainFile<R> {
    /// Closed before the last owner of `database` frees the lock.
    raw: R,
    database: Arc<Database>,
    read_only: bool,
    /// The page of which SQLite wants a part: in one place that is wiped, and not on the stack.
    page: Box<[u8; PAGE]>,
}

impl<R: RawFile> MainFile<R> {
    pub(crate) fn new(raw: R, database: Arc<Database>, read_only: bool) -> MainFile<R> {
        MainFile {
            raw,
            database,
            read_only,
            page: Box::new([0; PAGE]),
        }
    }

    pub(crate) fn raw(&mut self) -> &mut R {
        &mut self.raw
    }

    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Serves any range. SQLite asks for whole pages, for the first 100 bytes at open, and for 16 bytes of the
    /// header when it looks whether the file changed.
    pub(crate) fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<(), Code> {
        if self.filling() && self.raw.size()? == 0 {
            buf.fill(0);
            return Err(ffi::SQLITE_IOERR_SHORT_READ);
        }
        if offset == 0 && buf.len() == 100 {
            return self.read_header(buf);
        }
        if offset.is_multiple_of(PAGE as u64)
            && let Ok(page) = <&mut [u8; PAGE]>::try_from(&mut *buf)
        {
            // A whole page is opened where SQLite wants it.
            let number = offset / PAGE as u64 + 1;
            let opened = self.open_page(number, Some(page))?;
            return opened.map_err(|damage| self.damaged(number, damage, buf));
        }
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let (number, inside) = (at / PAGE as u64 + 1, (at % PAGE as u64) as usize);
            if let Err(damage) = self.open_page(number, None)? {
                return Err(self.damaged(number, damage, buf));
            }
            let n = (PAGE - inside).min(buf.len() - done);
            buf[done..done + n].copy_from_slice(&self.page[inside..inside + n]);
            done += n;
        }
        Ok(())
    }

    /// SQLite reads these 100 bytes before it looks into the log. A page 1 that a crash tore during a checkpoint
    /// does not authenticate here although the log has a good copy, so the constants of the format stand in for
    /// it. Nothing is accepted by that: the page itself is read, and authenticated, right after.
    fn read_header(&mut self, buf: &mut [u8]) -> Result<(), Code> {
        match self.open_page(1, None)? {
            Ok(()) => buf.copy_from_slice(&self.page[..100]),
            #[cfg(test)]
            Err(_) if NO_STAND_IN.get() => return Err(ffi::SQLITE_NOTADB),
            Err(_) => buf.copy_from_slice(&format::constant_header()),
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) -> Result<(), Code> {
        if self.read_only {
            return Err(ffi::SQLITE_READONLY);
        }
        if !offset.is_multiple_of(PAGE as u64) || buf.len() != PAGE {
            return Err(ffi::SQLITE_IOERR_WRITE);
        }
        let number = offset / PAGE as u64 + 1;
        self.page.copy_from_slice(buf);
        if self.filling() && number == 1 {
            // SQLite writes the copy with a rollback journal, and marks it so. It becomes one of this format.
            self.page[18..20].fill(2);
        }
        if !format::acceptable(number, &self.page[..]) {
            return Err(ffi::SQLITE_IOERR_WRITE);
        }
        self.database.before_write()?;
        self.database
            .codec
            .seal_page(number, &mut self.page)
            .map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        self.raw.write(&self.page[..], offset)
    }

    pub(crate) fn truncate(&mut self, size: u64) -> Result<(), Code> {
        if self.read_only || size == 0 || !size.is_multiple_of(PAGE as u64) {
            return Err(ffi::SQLITE_IOERR_TRUNCATE);
        }
        self.database.before_write()?;
        self.raw.truncate(size)
    }

    pub(crate) fn sync(&mut self, flags: c_int) -> Result<(), Code> {
        self.raw.sync(flags)
    }

    pub(crate) fn size(&mut self) -> Result<u64, Code> {
        self.raw.size()
    }

    fn filling(&self) -> bool {
        self.database.purpose() == Purpose::Fill
    }

    fn damaged(&self, number: u64, damage: Damage, buf: &mut [u8]) -> Code {
        self.database.note_damage(damage);
        buf.fill(0);
        if number == 1 {
            ffi::SQLITE_NOTADB
        } else {
            ffi::SQLITE_IOERR_DATA
        }
    }

    /// Opens a page where the caller wants it, or into `page`.
    fn open_page(&mut self, number: u64, out: Option<&mut [u8; PAGE]>) -> Result<Result<(), Damage>, Code> {
        let filling = self.filling();
        let page = out.unwrap_or(&mut self.page);
        let present = self.raw.read(page, (number - 1) * PAGE as u64)?;
        if present < PAGE {
            return Ok(Err(Damage::EndsBefore {
                page: number,
                size: self.raw.size()?,
            }));
        }
        let opened = self.database.codec.open_page(number, page);
        if filling && number == 1 {
            page[18..20].fill(1);
        }
        Ok(opened.map_err(|_| Damage::Page(number)))
    }
}

impl<R> Drop for MainFile<R> {
    fn drop(&mut self) {
        self.page.zeroize();
    }
}

#[cfg(test)]
mod tests;
