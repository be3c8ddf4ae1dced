//! The second compression of what windows consist of.
//!
//! Each of the three kinds of sections is one xz stream over all windows, which is flushed at the
//! end of each, and never ends: so does xdelta3, for lack of a filter of its own.

use std::io;

use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use oxidelta::vcdiff::{
    WindowSections,
    header::{VCD_ADDRCOMP, VCD_DATACOMP, VCD_INSTCOMP},
    varint,
};

use super::invalid;

/// Sections that have fewer bytes stay as they are.
const LEAST: usize = 10;

/// The largest dictionary: a device needs three of them.
const DICTIONARY: u32 = 8 << 20;

/// How much memory a stream may need to be unpacked.
const MEMORY: u64 = 128 << 20;

/// The bits of data, instructions and addresses, in the order of the sections.
const BITS: [u8; 3] = [VCD_DATACOMP, VCD_INSTCOMP, VCD_ADDRCOMP];

/// Packs the sections of one window after the other.
pub(super) struct Packers([Stream; 3]);

impl Packers {
    pub(super) fn new(level: u32) -> io::Result<Self> {
        let packer = || -> io::Result<Stream> {
            let mut options = LzmaOptions::new_preset(level)?;
            if level > 6 {
                options.dict_size(DICTIONARY);
            }
            Ok(Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::None)?)
        };
        Ok(Self([packer()?, packer()?, packer()?]))
    }

    /// Packs the sections of a window; returns the bits of those that are packed.
    pub(super) fn pack(&mut self, mut window: WindowSections) -> io::Result<(WindowSections, u8)> {
        let WindowSections { data_section, inst_section, addr_section, .. } = &mut window;
        let sections = [data_section, inst_section, addr_section];
        let mut packed = 0;
        for ((section, stream), bit) in sections.into_iter().zip(&mut self.0).zip(BITS) {
            if section.len() >= LEAST {
                *section = pack(stream, section)?;
                packed |= bit;
            }
        }
        Ok((window, packed))
    }
}

fn pack(stream: &mut Stream, mut section: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    varint::write_usize(&mut packed, section.len())?;
    loop {
        packed.reserve(section.len() / 4 + 4096);
        let before = stream.total_in();
        let status = stream.process_vec(section, &mut packed, Action::SyncFlush)?;
        let taken = usize::try_from(stream.total_in() - before).unwrap_or(section.len());
        section = section.get(taken..).unwrap_or_default();
        if status == Status::StreamEnd {
            return Ok(packed);
        }
    }
}

/// Unpacks the sections of one window after the other.
pub(super) struct Unpackers([Option<Stream>; 3]);

impl Unpackers {
    pub(super) fn new() -> Self {
        Self([None, None, None])
    }

    /// Unpacks those sections of a window whose bits are set.
    pub(super) fn unpack(
        &mut self,
        sections: [&mut Vec<u8>; 3],
        packed: u8,
        most: u64,
    ) -> io::Result<()> {
        for ((section, stream), bit) in sections.into_iter().zip(&mut self.0).zip(BITS) {
            if packed & bit != 0 {
                let stream = match stream {
                    Some(stream) => stream,
                    None => stream.insert(Stream::new_stream_decoder(MEMORY, 0)?),
                };
                *section = unpack(stream, section, most)?;
            }
        }
        Ok(())
    }
}

fn unpack(stream: &mut Stream, section: &[u8], most: u64) -> io::Result<Vec<u8>> {
    let (size, at) = varint::read_u64(section).map_err(|e| invalid(e.to_string()))?;
    if size > most {
        return Err(invalid("a section is too large"));
    }
    let mut section = section.get(at..).unwrap_or_default();
    let mut to = vec![0; usize::try_from(size).map_err(invalid)?];
    let mut filled = 0;
    while filled < to.len() {
        let (read, written) = (stream.total_in(), stream.total_out());
        stream.process(section, &mut to[filled..], Action::Run)?;
        let read = usize::try_from(stream.total_in() - read).map_err(invalid)?;
        let written = usize::try_from(stream.total_out() - written).map_err(invalid)?;
        if read == 0 && written == 0 {
            return Err(invalid("a section is cut off"));
        }
        section = section.get(read..).unwrap_or_default();
        filled += written;
    }
    if section.is_empty() { Ok(to) } else { Err(invalid("a section is longer than it says")) }
}
