//! Small temporary files: in memory, wiped when they are closed.

use libsqlite3_sys as ffi;

use super::raw::Code;

const CHUNK: usize = 64 * 1024;

/// Grows by chunks, so that a large sort does not copy itself over and over.
#[derive(Default)]
pub(crate) struct HeapFile {
    chunks: Vec<Box<[u8; CHUNK]>>,
    size: usize,
}

impl HeapFile {
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> Result<(), Code> {
        let start = usize::try_from(offset).map_err(|_| ffi::SQLITE_IOERR_READ)?;
        let available = self.size.saturating_sub(start).min(buf.len());
        buf[available..].fill(0);
        let mut done = 0;
        while done < available {
            let (chunk, inside) = ((start + done) / CHUNK, (start + done) % CHUNK);
            let n = (CHUNK - inside).min(available - done);
            buf[done..done + n].copy_from_slice(&self.chunks[chunk][inside..inside + n]);
            done += n;
        }
        if available < buf.len() {
            Err(ffi::SQLITE_IOERR_SHORT_READ)
        } else {
            Ok(())
        }
    }

    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) -> Result<(), Code> {
        let start = usize::try_from(offset).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        let end = start.checked_add(buf.len()).ok_or(ffi::SQLITE_FULL)?;
        self.grow(end.div_ceil(CHUNK))?;
        let mut done = 0;
        while done < buf.len() {
            let (chunk, inside) = ((start + done) / CHUNK, (start + done) % CHUNK);
            let n = (CHUNK - inside).min(buf.len() - done);
            self.chunks[chunk][inside..inside + n].copy_from_slice(&buf[done..done + n]);
            done += n;
        }
        self.size = self.size.max(end);
        Ok(())
    }

    pub(crate) fn truncate(&mut self, size: u64) -> Result<(), Code> {
        let size = usize::try_from(size).map_err(|_| ffi::SQLITE_IOERR_TRUNCATE)?;
        if size < self.size {
            let keep = size.div_ceil(CHUNK);
            self.chunks.drain(keep..).for_each(wipe);
            if let Some(last) = self.chunks.last_mut() {
                let used = size - (keep - 1) * CHUNK;
                last[used..].fill(0);
            }
            self.size = size;
        }
        Ok(())
    }

    pub(crate) fn size(&self) -> u64 {
        self.size as u64
    }

    fn grow(&mut self, chunks: usize) -> Result<(), Code> {
        let missing = chunks.saturating_sub(self.chunks.len());
        self.chunks
            .try_reserve(missing)
            .map_err(|_| ffi::SQLITE_IOERR_NOMEM)?;
        for _ in 0..missing {
            let mut memory = Vec::new();
            memory
                .try_reserve_exact(CHUNK)
                .map_err(|_| ffi::SQLITE_IOERR_NOMEM)?;
            memory.resize(CHUNK, 0);
            let chunk = memory
                .into_boxed_slice()
                .try_into()
                .map_err(|_| ffi::SQLITE_IOERR_NOMEM)?;
            self.chunks.push(chunk);
        }
        Ok(())
    }
}

impl Drop for HeapFile {
    fn drop(&mut self) {
        self.chunks.drain(..).for_each(wipe);
    }
}

fn wipe(mut chunk: Box<[u8; CHUNK]>) {
    // Byte by byte, as `zeroize` does it, would take longer than writing the content did.
    chunk.fill(0);
    std::hint::black_box(chunk.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize, Vec<u8>),
        Read(usize, usize),
        Truncate(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = 0usize..3 * CHUNK;
        prop_oneof![
            (at.clone(), prop::collection::vec(any::<u8>(), 0..5000))
                .prop_map(|(at, data)| Step::Write(at, data)),
            (at.clone(), 0usize..5000).prop_map(|(at, n)| Step::Read(at, n)),
            at.prop_map(Step::Truncate),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_like_one_long_vector(steps in prop::collection::vec(step(), 1..40)) {
            let (mut file, mut model) = (HeapFile::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        if model.len() < at + data.len() && !data.is_empty() {
                            model.resize(at + data.len(), 0);
                        }
                        file.write(&data, at as u64).unwrap();
                        if !data.is_empty() {
                            model[at..at + data.len()].copy_from_slice(&data);
                        } else {
                            model.resize(model.len().max(at), 0);
                        }
                    }
                    Step::Read(at, n) => {
                        let mut buf = vec![1; n];
                        let result = file.read(&mut buf, at as u64);
                        let mut expected = model.get(at..).unwrap_or_default().to_vec();
                        prop_assert_eq!(result.is_ok(), expected.len() >= n);
                        expected.resize(n, 0);
                        prop_assert_eq!(buf, expected);
                    }
                    Step::Truncate(size) => {
                        model.truncate(size);
                        file.truncate(size as u64).unwrap();
                    }
                }
                prop_assert_eq!(file.size(), model.len() as u64);
            }
        }
    }
}
