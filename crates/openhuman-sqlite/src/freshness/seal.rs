//! The bytes that an anchor keeps, and how they are compared with a file.

use std::io::{self, Read};

use hmac::{Hmac, KeyInit, Mac};
use openhuman_vault::Key;
use sha2::Sha256;

use super::locator::{LOCATOR, Locator};
use crate::format::{ID, PAGE};

/// Seals of this version have no locator: which page was put back is not known then.
const FIRST_VERSION: u8 = 1;
const VERSION: u8 = 2;
const OPEN: u8 = 0;
const CLOSED: u8 = 1;
/// `version(1) || state(1) || generation(8) || pages(8) || file id(16)`
const HEAD: usize = 34;
const MAC: usize = 32;

/// A seal's fields; MAC and locator of an open one are zero.
#[derive(Clone, Copy)]
pub(super) struct Seal {
    version: u8,
    pub(super) closed: bool,
    pub(super) generation: u64,
    pub(super) pages: u64,
    pub(super) file_id: [u8; ID],
    locator: Locator,
    mac: [u8; MAC],
}

/// What a comparison of a seal with a file gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    /// Not the file that was sealed; the page if it is only one, and the seal tells.
    Other(Option<u64>),
}

impl Seal {
    /// Says that a session is open.
    pub(super) fn open(generation: u64, file_id: [u8; ID]) -> Seal {
        Seal {
            version: VERSION,
            closed: false,
            generation,
            pages: 0,
            file_id,
            locator: Locator::default(),
            mac: [0; MAC],
        }
    }

    /// Seals a file of so many pages. Reads all of it.
    pub(super) fn close(
        generation: u64,
        file_id: [u8; ID],
        pages: u64,
        key: &Key,
        file: &mut dyn Read,
    ) -> io::Result<Seal> {
        let mut seal = Seal {
            closed: true,
            pages,
            ..Seal::open(generation, file_id)
        };
        let (mac, locator) = seal.read(key, file)?;
        seal.locator = locator;
        seal.mac = mac.chain_update(locator.bytes()).finalize().into_bytes().into();
        Ok(seal)
    }

    /// Whether a file of [`Seal::pages`] pages is the one that was sealed. Reads all of it.
    pub(super) fn compare(&self, key: &Key, file: &mut dyn Read) -> io::Result<Compared> {
        let (mac, now) = self.read(key, file)?;
        let mac = match self.version {
            FIRST_VERSION => mac,
            _ => mac.chain_update(self.locator.bytes()),
        };
        if mac.verify_slice(&self.mac).is_ok() {
            return Ok(Compared::Same);
        }
        let page = match self.version {
            FIRST_VERSION => None,
            _ => self.locator.changed_page(&now, self.pages),
        };
        Ok(Compared::Other(page))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head().to_vec();
        if self.version != FIRST_VERSION {
            bytes.extend_from_slice(&self.locator.bytes());
        }
        bytes.extend_from_slice(&self.mac);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Seal> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let version = head[0];
        let (locator, mac) = match version {
            FIRST_VERSION => (Locator::default(), rest),
            VERSION => {
                let (locator, mac) = rest.split_first_chunk::<LOCATOR>()?;
                (Locator::parse(locator), mac)
            }
            _ => return None,
        };
        if head[1] > CLOSED {
            return None;
        }
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&head[at..at + 8]);
            u64::from_be_bytes(word)
        };
        let mut file_id = [0; ID];
        file_id.copy_from_slice(&head[18..]);
        Some(Seal {
            version,
            closed: head[1] == CLOSED,
            generation: word(2),
            pages: word(10),
            file_id,
            locator,
            mac: mac.try_into().ok()?,
        })
    }

    fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[0] = self.version;
        head[1] = if self.closed { CLOSED } else { OPEN };
        head[2..10].copy_from_slice(&self.generation.to_be_bytes());
        head[10..18].copy_from_slice(&self.pages.to_be_bytes());
        head[18..].copy_from_slice(&self.file_id);
        head
    }

    /// HMAC-SHA256 over the head and the tags of all pages, in order, not finished; and the sums of the tags.
    fn read(&self, key: &Key, file: &mut dyn Read) -> io::Result<(Hmac<Sha256>, Locator)> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose())
            .map_err(|_| io::Error::other("HMAC refused its key"))?;
        mac.update(&self.head());
        let mut locator = Locator::default();
        let mut block = vec![0; 64 * PAGE];
        let mut done = 0;
        while done < self.pages {
            let n = (self.pages - done).min(64) as usize;
            file.read_exact(&mut block[..n * PAGE])?;
            for (number, page) in (done + 1..).zip(block[..n * PAGE].chunks_exact(PAGE)) {
                let mut tag = [0; 16];
                tag.copy_from_slice(&page[PAGE - 16..]);
                mac.update(&tag);
                locator.add(number, &tag);
            }
            done += n as u64;
        }
        Ok((mac, locator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes([4; 32])
    }

    fn file(pages: u8) -> Vec<u8> {
        (0..pages).flat_map(|page| [page; PAGE]).collect()
    }

    #[test]
    fn a_seal_of_the_first_version_is_compared_but_names_no_page() {
        let file = file(5);
        let mut seal = Seal {
            version: FIRST_VERSION,
            closed: true,
            pages: 5,
            ..Seal::open(3, [9; ID])
        };
        let (mac, _) = seal.read(&key(), &mut &file[..]).unwrap();
        seal.mac = mac.finalize().into_bytes().into();
        let bytes = seal.bytes();
        assert_eq!(bytes.len(), HEAD + MAC);
        let seal = Seal::parse(&bytes).unwrap();
        assert_eq!(seal.compare(&key(), &mut &file[..]).unwrap(), Compared::Same);
        let mut other = file.clone();
        other[2 * PAGE - 1] ^= 1;
        assert_eq!(
            seal.compare(&key(), &mut &other[..]).unwrap(),
            Compared::Other(None)
        );
    }

    #[test]
    fn the_page_that_is_another_one_is_named() {
        let file = file(130);
        let seal = Seal::close(3, [9; ID], 130, &key(), &mut &file[..]).unwrap();
        let seal = Seal::parse(&seal.bytes()).unwrap();
        assert_eq!(seal.compare(&key(), &mut &file[..]).unwrap(), Compared::Same);
        for page in [1, 64, 65, 130] {
            let mut other = file.clone();
            other[page * PAGE - 16] ^= 1;
            assert_eq!(
                seal.compare(&key(), &mut &other[..]).unwrap(),
                Compared::Other(Some(page as u64))
            );
            other[5 * PAGE - 16] ^= 1;
            let two = seal.compare(&key(), &mut &other[..]).unwrap();
            assert_eq!(two, Compared::Other(None));
        }
    }

    #[test]
    fn bytes_of_another_length_or_version_are_no_seal() {
        let good = Seal::open(1, [9; ID]).bytes();
        assert!(Seal::parse(&good).is_some());
        for n in 0..good.len() {
            assert!(Seal::parse(&good[..n]).is_none(), "{n} bytes");
        }
        assert!(Seal::parse(&[&good[..], &[0]].concat()).is_none());
        for version in [0, 3, 255] {
            let mut bytes = good.clone();
            bytes[0] = version;
            assert!(Seal::parse(&bytes).is_none());
        }
    }
}
