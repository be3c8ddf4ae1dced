//! An archive inside of an artifact: packed or not, it is unpacked in pieces.

use super::{
    error::FormatError,
    inflate::{Compression, Inflater},
    limits::Limits,
    tar::{Event, Reader},
};

/// Bytes that are unpacked at once.
const PIECE: usize = 64 << 10;

pub(super) struct Archive {
    inflater: Inflater,
    reader: Reader,
    piece: Vec<u8>,
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
        Ok(Self { inflater, reader: Reader::new(limits.tar_extension), piece, left: most })
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
