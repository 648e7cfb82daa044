//! A disk as a power cut leaves it.

use super::super::trace::{Op, Which};

const SECTOR: usize = 512;

/// A small generator, so that a failure can be repeated.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// The files of one database. An empty log or work file is one that is not there.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) main: Vec<u8>,
    pub(super) log: Vec<u8>,
    pub(super) work: Vec<u8>,
    /// What the anchor keeps, which is elsewhere and durable at once.
    pub(super) seal: Option<Vec<u8>>,
    /// The last commit that was acknowledged.
    pub(super) acknowledged: u64,
}

impl Disk {
    /// The disk after `done` and a power cut. Of a write that no sync of its file followed, independently, all,
    /// nothing or some sectors are there; of a change of a name or a length, all or nothing. A disk that is not `honest` treats
    /// every write like that.
    pub(super) fn after(&self, done: &[(Which, Op)], honest: bool, random: &mut Random) -> Disk {
        let mut disk = self.clone();
        let last = |wanted: &dyn Fn(&(Which, Op)) -> bool| {
            let last = done.iter().rposition(wanted).map_or(0, |n| n + 1);
            if honest { last } else { 0 }
        };
        let synced = |file| last(&|(which, op)| *which == file && matches!(op, Op::Sync));
        let durable = [
            synced(Which::Main),
            synced(Which::Log),
            synced(Which::Work),
            last(&|(_, op)| matches!(op, Op::SyncNames)),
        ];
        for (n, (which, op)) in done.iter().enumerate() {
            let safe = match op {
                Op::Rename | Op::Delete => n < durable[3],
                _ => n < durable[*which as usize],
            };
            disk.apply(*which, op, if safe { None } else { Some(&mut *random) });
        }
        disk
    }

    pub(super) fn apply(&mut self, which: Which, op: &Op, mut random: Option<&mut Random>) {
        let lost = matches!(op, Op::Rename | Op::Delete | Op::Truncate { .. })
            && random.as_mut().is_some_and(|random| random.below(2) == 0);
        match op {
            _ if lost => {}
            Op::Truncate { size } => self.file(which).resize(*size as usize, 0),
            Op::Write { offset, data } => write(self.file(which), *offset as usize, data, random),
            Op::Rename => self.main = std::mem::take(&mut self.work),
            Op::Delete => self.file(which).clear(),
            Op::Mark(commit) => self.acknowledged = *commit,
            Op::Seal(seal) => self.seal = Some(seal.clone()),
            Op::Sync | Op::SyncNames => {}
        }
    }

    fn file(&mut self, which: Which) -> &mut Vec<u8> {
        match which {
            Which::Main => &mut self.main,
            Which::Log => &mut self.log,
            Which::Work => &mut self.work,
        }
    }
}

fn write(file: &mut Vec<u8>, start: usize, data: &[u8], random: Option<&mut Random>) {
    let end = start + data.len();
    file.resize(file.len().max(end), 0);
    let Some(random) = random else {
        file[start..end].copy_from_slice(data);
        return;
    };
    let fate = random.below(4);
    for (n, sector) in data.chunks(SECTOR).enumerate() {
        let written = match fate {
            0 => false,
            1 => true,
            _ => random.below(2) == 0,
        };
        if written {
            file[start + n * SECTOR..start + n * SECTOR + sector.len()].copy_from_slice(sector);
        }
    }
}
