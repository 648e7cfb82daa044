//! The byte format: what a page and a log frame look like on disk. No I/O.
//!
//! A page is `ciphertext(4056) || nonce(24) || tag(16)`, sealed with the additional data
//! `domain(1) || file id(16) || number(8, big-endian)`. Page 1 keeps the file id in clear in its first 16 bytes,
//! where SQLite has its magic. A log frame is one unit: SQLite's 24-byte frame header (which holds a checksum of
//! the plaintext) and its page are sealed together.

use std::sync::{Mutex, PoisonError};

use openhuman_vault::seal::{NonceSource, Sealer};
use openhuman_vault::{Key, RandomError};

/// Bytes of a page, on disk and in memory.
pub(crate) const PAGE: usize = 4096;
/// Bytes at the end of a page that belong to the format: nonce and tag.
pub(crate) const RESERVE: usize = 40;
/// SQLite never uses the page that holds its lock bytes, at 1 GiB; it is a hole of zeros.
pub(crate) const LOCK_PAGE: u64 = 0x4000_0000 / PAGE as u64 + 1;
const BODY: usize = PAGE - RESERVE;
const NONCE: usize = 24;
/// Bytes of the file id.
pub(crate) const ID: usize = 16;
/// Bytes of the header of the log file, which stays in clear.
pub(crate) const LOG_HEADER: usize = 32;
/// Bytes of the header of one frame.
pub(crate) const FRAME_HEADER: usize = 24;
/// Bytes of a frame: header and page.
pub(crate) const FRAME: usize = FRAME_HEADER + PAGE;
/// How a plain SQLite database begins.
pub(crate) const MAGIC: &[u8; ID] = b"SQLite format 3\0";

const ID_RANDOM: usize = 10;
const DOMAIN_PAGE: u8 = 0;
const DOMAIN_FRAME: u8 = 1;

/// A page or frame that does not authenticate under this file's key at this place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// Seals and opens the pages and frames of one database.
pub(crate) struct Codec {
    file_id: [u8; ID],
    pages: Sealer,
    frames: Sealer,
    nonces: Mutex<NonceSource>,
}

impl Codec {
    pub(crate) fn new(key: &Key, file_id: [u8; ID]) -> Codec {
        Codec {
            file_id,
            pages: Sealer::new(&key.derive(&file_id, "openhuman-memory/v1/page")),
            frames: Sealer::new(&key.derive(&file_id, "openhuman-memory/v1/wal")),
            nonces: Mutex::new(NonceSource::new()),
        }
    }

    pub(crate) fn file_id(&self) -> &[u8; ID] {
        &self.file_id
    }

    /// Seals page `number` (from 1) in place. The reserved bytes of `page` are overwritten.
    pub(crate) fn seal_page(&self, number: u64, page: &mut [u8; PAGE]) -> Result<(), RandomError> {
        let nonce = self.nonce()?;
        let (body, tail) = page.split_at_mut(BODY);
        let hidden = if number == 1 { &mut body[ID..] } else { &mut *body };
        let tag = self
            .pages
            .seal_in_place(&nonce, &self.aad(DOMAIN_PAGE, number), hidden);
        if number == 1 {
            body[..ID].copy_from_slice(&self.file_id);
        }
        tail[..NONCE].copy_from_slice(&nonce);
        tail[NONCE..].copy_from_slice(&tag);
        Ok(())
    }

    /// Opens page `number` (from 1) in place; the reserved bytes become zero, the magic is put back.
    pub(crate) fn open_page(&self, number: u64, page: &mut [u8; PAGE]) -> Result<(), NotAuthentic> {
        let (body, tail) = page.split_at_mut(BODY);
        let (nonce, tag) = split_tail(tail);
        let hidden = if number == 1 {
            if body[..ID] != self.file_id {
                return Err(NotAuthentic);
            }
            &mut body[ID..]
        } else {
            &mut *body
        };
        self.pages
            .open_in_place(&nonce, &self.aad(DOMAIN_PAGE, number), hidden, &tag)
            .map_err(|_| NotAuthentic)?;
        if number == 1 {
            body[..ID].copy_from_slice(MAGIC);
        }
        tail.fill(0);
        Ok(())
    }

    /// Seals frame `index` (from 0), header and page, in place. `durable` says how many frames of this log had
    /// been committed and synced when this one was written; it takes the last four bytes of the nonce, of which
    /// 160 random bits are left.
    pub(crate) fn seal_frame(
        &self,
        index: u64,
        durable: u32,
        frame: &mut [u8; FRAME],
    ) -> Result<(), RandomError> {
        let mut nonce = self.nonce()?;
        nonce[NONCE - 4..].copy_from_slice(&durable.to_be_bytes());
        let (body, tail) = frame.split_at_mut(FRAME_HEADER + BODY);
        let tag = self
            .frames
            .seal_in_place(&nonce, &self.aad(DOMAIN_FRAME, index), body);
        tail[..NONCE].copy_from_slice(&nonce);
        tail[NONCE..].copy_from_slice(&tag);
        Ok(())
    }

    /// Opens frame `index` (from 0) in place; what follows the header is the page with its reserve zeroed.
    pub(crate) fn open_frame(&self, index: u64, frame: &mut [u8; FRAME]) -> Result<(), NotAuthentic> {
        let (body, tail) = frame.split_at_mut(FRAME_HEADER + BODY);
        let (nonce, tag) = split_tail(tail);
        self.frames
            .open_in_place(&nonce, &self.aad(DOMAIN_FRAME, index), body, &tag)
            .map_err(|_| NotAuthentic)?;
        tail.fill(0);
        Ok(())
    }

    /// What [`Codec::seal_frame`] was told. Only true of a frame that authenticates.
    pub(crate) fn durable_before(frame: &[u8; FRAME]) -> u64 {
        let at = FRAME - RESERVE + NONCE - 4;
        u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]).into()
    }

    fn nonce(&self) -> Result<[u8; NONCE], RandomError> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    fn aad(&self, domain: u8, number: u64) -> [u8; 1 + ID + 8] {
        let mut aad = [domain; 1 + ID + 8];
        aad[1..1 + ID].copy_from_slice(&self.file_id);
        aad[1 + ID..].copy_from_slice(&number.to_be_bytes());
        aad
    }
}

fn split_tail(tail: &[u8]) -> ([u8; NONCE], [u8; 16]) {
    let (mut nonce, mut tag) = ([0; NONCE], [0; 16]);
    nonce.copy_from_slice(&tail[..NONCE]);
    tag.copy_from_slice(&tail[NONCE..]);
    (nonce, tag)
}

/// A new file id: ten random bytes, and six that only this key derives from them. With those a wrong key is
/// told from a damaged page without opening anything.
pub(crate) fn new_file_id(key: &Key) -> Result<[u8; ID], RandomError> {
    let random = Key::generate()?;
    let mut id = [0; ID];
    id[..ID_RANDOM].copy_from_slice(&random.expose()[..ID_RANDOM]);
    let check = id_check(key, &id);
    id[ID_RANDOM..].copy_from_slice(&check);
    Ok(id)
}

/// Whether `id` was made under `key`.
pub(crate) fn id_matches(key: &Key, id: &[u8; ID]) -> bool {
    id_check(key, id) == id[ID_RANDOM..]
}

fn id_check(key: &Key, id: &[u8; ID]) -> [u8; ID - ID_RANDOM] {
    let derived = key.derive(&id[..ID_RANDOM], "openhuman-memory/v1/id");
    let mut check = [0; ID - ID_RANDOM];
    check.copy_from_slice(&derived.expose()[..ID - ID_RANDOM]);
    check
}

/// Page 1 of an empty database: what SQLite itself would write, in write-ahead-log mode and with the reserve.
pub(crate) fn empty_database(sqlite_version: u32) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    page[..100].copy_from_slice(&constant_header());
    page[24..28].copy_from_slice(&1u32.to_be_bytes()); // change counter
    page[28..32].copy_from_slice(&1u32.to_be_bytes()); // pages in the database
    page[92..96].copy_from_slice(&1u32.to_be_bytes()); // the change counter this was valid for
    page[96..100].copy_from_slice(&sqlite_version.to_be_bytes());
    page[100] = 0x0d; // an empty leaf of a table tree
    page[105..107].copy_from_slice(&(BODY as u16).to_be_bytes()); // where its cells begin
    page
}

/// The fields of the 100-byte header that are constants of this format. SQLite reads the header straight from
/// the file before it looks into the log; when a crash tore page 1 during a checkpoint, this stands in for it
/// until the page itself comes from the log.
pub(crate) fn constant_header() -> [u8; 100] {
    let mut header = [0; 100];
    header[..ID].copy_from_slice(MAGIC);
    header[16] = 0x10; // 4096, big-endian
    header[18] = 2; // written in write-ahead-log mode
    header[19] = 2; // read in write-ahead-log mode
    header[20] = RESERVE as u8;
    header[21] = 64;
    header[22] = 32;
    header[23] = 32;
    header
}

/// Whether SQLite may store this page: the reserve must be zero (log checksums run over it), and page 1 must
/// keep the constants of the format, auto-vacuum off among them.
pub(crate) fn acceptable(number: u64, page: &[u8]) -> bool {
    let reserve_is_zero = page.len() == PAGE && page[BODY..].iter().all(|byte| *byte == 0);
    let constants_hold = number != 1
        || page[..24] == constant_header()[..24] && page[52..56] == [0; 4] && page[64..68] == [0; 4];
    reserve_is_zero && constants_hold
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec() -> Codec {
        let key = Key::from_bytes([3; 32]);
        Codec::new(&key, new_file_id(&key).unwrap())
    }

    fn page(fill: u8) -> [u8; PAGE] {
        let mut page = [fill; PAGE];
        page[BODY..].fill(0);
        page
    }

    #[test]
    fn a_page_opens_only_where_it_was_sealed() {
        let codec = codec();
        let mut sealed = page(7);
        codec.seal_page(2, &mut sealed).unwrap();
        let mut opened = sealed;
        codec.open_page(2, &mut opened).unwrap();
        assert_eq!(opened, page(7));
        let mut moved = sealed;
        assert_eq!(codec.open_page(3, &mut moved), Err(NotAuthentic));
        let mut other_file = sealed;
        assert_eq!(
            super::tests::codec().open_page(2, &mut other_file),
            Err(NotAuthentic)
        );
        let mut zero = [0; PAGE];
        assert_eq!(
            codec.open_page(2, &mut zero),
            Err(NotAuthentic),
            "an all-zero page is not an empty page"
        );
    }

    #[test]
    fn page_1_shows_the_file_id_and_gives_the_magic_back() {
        let codec = codec();
        let mut sealed = empty_database(3_054_001);
        codec.seal_page(1, &mut sealed).unwrap();
        assert_eq!(&sealed[..ID], codec.file_id());
        codec.open_page(1, &mut sealed).unwrap();
        assert_eq!(sealed, empty_database(3_054_001));
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let codec = codec();
        let mut sealed = [9; FRAME];
        codec.seal_frame(4, 3, &mut sealed).unwrap();
        for byte in 0..FRAME {
            let mut changed = sealed;
            changed[byte] ^= 1 << (byte % 8);
            assert_eq!(
                codec.open_frame(4, &mut changed),
                Err(NotAuthentic),
                "byte {byte}"
            );
        }
        assert_eq!(Codec::durable_before(&sealed), 3);
        codec.open_frame(4, &mut sealed).unwrap();
        assert!(sealed[..FRAME_HEADER + BODY].iter().all(|byte| *byte == 9));
    }

    #[test]
    fn the_file_id_tells_a_wrong_key() {
        let key = Key::from_bytes([3; 32]);
        let id = new_file_id(&key).unwrap();
        assert!(id_matches(&key, &id));
        assert!(!id_matches(&Key::from_bytes([4; 32]), &id));
        for byte in 0..ID {
            let mut changed = id;
            changed[byte] ^= 1;
            assert!(!id_matches(&key, &changed), "byte {byte}");
        }
    }

    #[test]
    fn only_pages_of_this_format_are_acceptable() {
        assert!(acceptable(1, &empty_database(1)));
        assert!(acceptable(2, &page(7)));
        assert!(!acceptable(2, &[7; PAGE]), "the reserve is not zero");
        for (at, value) in [(16, 0x20), (18, 1), (19, 1), (20, 0), (55, 1), (67, 1)] {
            let mut page = empty_database(1);
            page[at] = value;
            assert!(!acceptable(1, &page), "byte {at} = {value}");
        }
    }
}
