//! An archive inside of an artifact: packed or not, it is unpacked in pieces.

use std::mem;

use super::{
    error::FormatError,
    inflate::{Compression, Inflater},
    limits::Limits,
    tar::{Event, Reader},
};

/// Bytes that are unpacked at once.
const PIECE: usize = 64 << 10;

/// Packed bytes that are unpacked at once.
const PACKED: usize = 16 << 10;

pub(super) struct Archive {
    inflater: Inflater,
    reader: Reader,
    piece: Vec<u8>,
    /// Packed bytes that wait for more. A codec that finds something wrong may withhold what came
    /// before it, so it must be given the same pieces however the archive comes.
    waiting: Vec<u8>,
    /// Unpacked bytes that may still come.
    left: u64,
}

impl Archive {
    /// An archive that unpacks to `most` bytes or fewer.
    pub(super) fn new(
        compression: Compression,
        most: u64,
        limits: &Limits,
    ) -> Result<Self, FormatError> {
        let inflater = Inflater::new(compression, limits)?;
        let piece = if inflater.is_plain() { Vec::new() } else { vec![0; PIECE] };
        let (reader, waiting) = (Reader::new(limits.tar_extension), Vec::new());
        Ok(Self { inflater, reader, piece, waiting, left: most })
    }

    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Takes the next bytes as they are stored.
    pub(super) fn push(
        &mut self,
        mut input: &[u8],
        visit: &mut dyn FnMut(Event<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        if self.inflater.is_plain() {
            return read(&mut self.reader, &mut self.left, input, visit);
        }
        while !input.is_empty() {
            let (now, later) = input.split_at(input.len().min(PACKED - self.waiting.len()));
            input = later;
            if now.len() == PACKED {
                self.unpack(now, visit)?;
                continue;
            }
            self.waiting.extend_from_slice(now);
            if self.waiting.len() == PACKED {
                self.unpack_waiting(visit)?;
            }
        }
        Ok(())
    }

    fn unpack_waiting(
        &mut self,
        visit: &mut dyn FnMut(Event<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let mut waiting = mem::take(&mut self.waiting);
        self.unpack(&waiting, visit)?;
        waiting.clear();
        self.waiting = waiting;
        Ok(())
    }

    fn unpack(
        &mut self,
        mut input: &[u8],
        visit: &mut dyn FnMut(Event<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        while !input.is_empty() {
            let step = self.inflater.step(input, &mut self.piece)?;
            input = &input[step.read..];
            read(&mut self.reader, &mut self.left, &self.piece[..step.written], visit)?;
            if step.read == 0 && step.written == 0 {
                return Err(FormatError::invalid("archive: compressed data after its end"));
            }
            // What fills the piece may not be all that the input holds.
            let mut written = step.written;
            while input.is_empty() && written == self.piece.len() {
                written = self.inflater.step(&[], &mut self.piece)?.written;
                read(&mut self.reader, &mut self.left, &self.piece[..written], visit)?;
            }
        }
        Ok(())
    }

    /// Checks that the archive may end here.
    pub(super) fn finish(
        &mut self,
        visit: &mut dyn FnMut(Event<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        self.unpack_waiting(visit)?;
        loop {
            let written = self.inflater.finish(&mut self.piece)?;
            read(&mut self.reader, &mut self.left, &self.piece[..written], visit)?;
            if written == 0 {
                return self.reader.finish();
            }
        }
    }
}

fn read(
    reader: &mut Reader,
    left: &mut u64,
    mut bytes: &[u8],
    visit: &mut dyn FnMut(Event<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| FormatError::too_large("archive unpacks to too many bytes"))?;
    while let Some(event) = reader.next(&mut bytes)? {
        visit(event)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(compression: Compression, content: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => content.to_vec(),
            Compression::Gzip => {
                let level = flate2::Compression::best();
                let mut to = flate2::write::GzEncoder::new(Vec::new(), level);
                to.write_all(content).unwrap();
                to.finish().unwrap()
            }
            Compression::Xz => liblzma::encode_all(content, 6).unwrap(),
            Compression::Zstd => zstd::encode_all(content, 3).unwrap(),
        }
    }

    /// What comes of it: how many bytes are unpacked before which error.
    fn outcome(compression: Compression, bytes: &[u8], piece: usize) -> (usize, String) {
        let mut archive = Archive::new(compression, 1 << 20, &Limits::default()).unwrap();
        let mut unpacked = 0;
        let mut visit = |event: Event<'_>| {
            unpacked += if let Event::Data(content) = event { content.len() } else { 0 };
            Ok(())
        };
        let pushed = bytes.chunks(piece).try_for_each(|piece| archive.push(piece, &mut visit));
        let result = pushed.and_then(|()| archive.finish(&mut visit));
        (unpacked, result.err().map(|error| error.to_string()).unwrap_or_default())
    }

    #[test]
    fn a_broken_archive_is_refused_at_the_same_place_however_it_is_cut() {
        let mut content = vec![0; 512 + 300_000];
        content[..4].copy_from_slice(b"file");
        content[124..135].copy_from_slice(b"00001111740");
        let mut random = 1_u32;
        for byte in &mut content[512..512 + 300_000] {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (random >> 28) as u8;
        }
        content[148..156].fill(b' ');
        let sum: u32 = content[..512].iter().map(|byte| u32::from(*byte)).sum();
        content[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let bytes = packed(compression, &content);
            for at in (1..bytes.len()).step_by(bytes.len() / 7) {
                let mut broken = bytes.clone();
                broken[at..].iter_mut().take(40).for_each(|byte| *byte ^= 0x55);
                let whole = outcome(compression, &broken, usize::MAX);
                for piece in [1, 700, 50_000] {
                    let cut = outcome(compression, &broken, piece);
                    assert_eq!(cut, whole, "{compression:?} at {at} in pieces of {piece}");
                }
            }
        }
    }
}
