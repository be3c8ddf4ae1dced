use std::io::{self, Read, Seek, SeekFrom, Write};

use oxidelta::vcdiff::{
    FileHeader, WindowHeader,
    decoder::{self, DecodeError, WindowSections},
    header::{VCD_LZMA_ID, VCD_TARGET},
};

use super::{Encoding, invalid, read_up_to, secondary::Unpackers, unsupported};

/// How many bytes a section of a window may have: there are at most as many instructions as bytes.
const MOST: u64 = 4 * *Encoding::TARGET_WINDOWS.end();

/// Writes the target that a delta makes of the source, and checks the checksums of its windows.
///
/// # Errors
/// `InvalidData` for what is no delta of the source, and those of reading and writing.
pub fn decode(
    source: &mut (impl Read + Seek),
    delta: &mut impl Read,
    target: &mut impl Write,
) -> io::Result<()> {
    let header = FileHeader::decode(delta)?;
    if header.secondary_id.is_some_and(|id| id != VCD_LZMA_ID) {
        return Err(unsupported("the delta is packed otherwise than by LZMA"));
    }
    let mut unpackers = Unpackers::new();
    let (mut place, mut known) = (None, Vec::new());
    let (mut data, mut instructions, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unused, mut window) = (Vec::new(), Vec::new());
    while let Some(mut header) = WindowHeader::decode(delta)? {
        if header.win_ind & VCD_TARGET != 0 {
            return Err(unsupported("the delta copies from other windows of the target"));
        }
        let offset = std::mem::take(&mut header.copy_window_offset);
        let now = Some((offset, header.copy_window_len));
        if place != now {
            if header.copy_window_len > *Encoding::SOURCE_WINDOWS.end() {
                return Err(unsupported("the delta needs too much of the source at a time"));
            }
            source.seek(SeekFrom::Start(offset))?;
            read_up_to(source, header.copy_window_len, &mut known)?;
            place = now;
        }
        let sections = [
            (&mut data, header.data_len),
            (&mut instructions, header.inst_len),
            (&mut addresses, header.addr_len),
        ];
        for (section, size) in sections {
            read_up_to(delta, size.min(MOST), section)?;
            if section.len() as u64 != size {
                return Err(invalid("the delta is cut off"));
            }
        }
        let sections = [&mut data, &mut instructions, &mut addresses];
        unpackers.unpack(sections, header.del_ind, MOST)?;
        window.clear();
        let sections = WindowSections { data: &data, inst: &instructions, addr: &addresses };
        let mut slice = known.as_slice();
        decoder::decode_window_into(&header, sections, &mut slice, true, &mut unused, &mut window)
            .map_err(of)?;
        target.write_all(&window)?;
    }
    target.flush()
}

fn of(error: DecodeError) -> io::Error {
    match error {
        DecodeError::Io(error) => error,
        other => invalid(other.to_string()),
    }
}
