use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use oxidelta::{
    hash::{config, matching::MatchEngine},
    vcdiff::{
        FileHeader, SourceWindow, WindowEncoder,
        code_table::Instruction,
        header::{VCD_LZMA_ID, VCD_SECONDARY},
    },
};

use super::{Encoding, read_up_to, secondary::Packers};

/// How much of a window is looked at together: what it has twice beyond is left to packing.
const SLICE: usize = 64 << 10;

/// How many new bytes are worth a second look.
const LEAST: usize = 32;

/// Writes what makes the target of the source. A writer that fails ends the work.
///
/// # Errors
/// Those of reading and writing.
pub fn encode(
    source: &mut (impl Read + Seek),
    target: &mut impl Read,
    delta: &mut impl Write,
    how: &Encoding,
) -> io::Result<()> {
    let mut known = Known::new(source, how)?;
    let mut packers = Packers::new(how.level)?;
    let header =
        FileHeader { hdr_ind: VCD_SECONDARY, secondary_id: Some(VCD_LZMA_ID), app_header: None };
    header.encode(delta)?;
    let (mut at, mut window) = (0, Vec::new());
    loop {
        read_up_to(target, known.target_window, &mut window)?;
        if window.is_empty() {
            return delta.flush();
        }
        known.move_to(at)?;
        let mut encoder = WindowEncoder::new(known.place(), how.checksums);
        let found = known.instructions(&window, at);
        write_instructions(&mut encoder, &found, &known.bytes, &window);
        let (sections, packed) = packers.pack(encoder.finish_sections(Some(&window)))?;
        delta.write_all(&sections.assemble(packed))?;
        at += window.len() as u64;
    }
}

/// Writes the instructions that make the window. What was found is not relied on: where it makes
/// anything else, the bytes themselves are written.
fn write_instructions(
    encoder: &mut WindowEncoder,
    found: &[Instruction],
    source: &[u8],
    window: &[u8],
) {
    let mut at = 0;
    for instruction in found {
        let bytes = &window[at..at + size_of(*instruction)];
        match *instruction {
            Instruction::Copy { len, addr, .. } if is_at(addr, (source, window), at, bytes) => {
                encoder.copy_with_auto_mode(len, addr);
            }
            Instruction::Run { len } if bytes.iter().all(|byte| *byte == bytes[0]) => {
                encoder.run(len, bytes[0]);
            }
            Instruction::Add { .. } | Instruction::Copy { .. } | Instruction::Run { .. } => {
                encoder.add(bytes);
            }
        }
        at += bytes.len();
    }
    encoder.add(&window[at..]);
}

fn size_of(instruction: Instruction) -> usize {
    let (Instruction::Add { len } | Instruction::Copy { len, .. } | Instruction::Run { len }) =
        instruction;
    len as usize
}

/// Tells whether these bytes, which are at this place of the window, are at the address too: in
/// the source, or before them in the window, which follows it.
fn is_at(address: u64, (source, window): (&[u8], &[u8]), at: usize, bytes: &[u8]) -> bool {
    let Ok(address) = usize::try_from(address) else { return false };
    let (whole, start) = match address.checked_sub(source.len()) {
        None => (source, address),
        // What it overlaps is written by then.
        Some(start) if start < at => (window, start),
        Some(_) => return false,
    };
    whole.get(start..).is_some_and(|from| from.starts_with(bytes))
}

/// The part of the source that is looked at.
struct Known<'a, S> {
    source: &'a mut S,
    size: u64,
    window: u64,
    target_window: u64,
    level: u32,
    start: u64,
    bytes: Vec<u8>,
    engine: Option<MatchEngine>,
}

impl<'a, S: Read + Seek> Known<'a, S> {
    fn new(source: &'a mut S, how: &Encoding) -> io::Result<Self> {
        let size = source.seek(SeekFrom::End(0))?;
        let (least, most) = Encoding::SOURCE_WINDOWS.into_inner();
        let window = how.source_window.clamp(least, most);
        let (least, most) = Encoding::TARGET_WINDOWS.into_inner();
        let target_window = how.target_window.clamp(least, most).min(window);
        let (level, bytes) = (how.level.clamp(1, 9), Vec::new());
        Ok(Self { source, size, window, target_window, level, start: 0, bytes, engine: None })
    }

    /// Looks at what surrounds this place: images change little, and stay where they are. It moves
    /// by half a window, so that what was read is read twice at most.
    fn move_to(&mut self, at: u64) -> io::Result<()> {
        let step = self.window / 2;
        let middle = at + self.target_window / 2;
        let start = middle.saturating_sub(step / 2) / step * step;
        let start = start.min(self.size.saturating_sub(self.window));
        if self.engine.is_some() && self.start == start {
            return Ok(());
        }
        self.start = start;
        self.source.seek(SeekFrom::Start(start))?;
        read_up_to(self.source, self.window, &mut self.bytes)?;
        let config = config::config_for_level(self.level);
        // Drops the old one first: it is large.
        self.engine = None;
        let mut engine = MatchEngine::new(config, self.bytes.len() as u64, SLICE);
        engine.index_source(&self.bytes.as_slice());
        self.engine = Some(engine);
        Ok(())
    }

    fn place(&self) -> Option<SourceWindow> {
        let len = self.bytes.len() as u64;
        (len > 0).then_some(SourceWindow { len, offset: self.start })
    }

    /// Finds what makes the window at this place of the target.
    fn instructions(&mut self, window: &[u8], at: u64) -> Vec<Instruction> {
        let mut found =
            Found { all: Vec::new(), offset: at.cast_signed() - self.start.cast_signed() };
        for start in (0..window.len()).step_by(SLICE) {
            self.find(window, start..window.len().min(start + SLICE), &mut found);
        }
        found.all
    }

    /// Finds what makes a part of the window. Where the library gives up a match for another one
    /// that it overlaps, it finds it once what is left is looked at alone.
    fn find(&mut self, window: &[u8], part: Range<usize>, found: &mut Found) {
        let Some(engine) = &mut self.engine else { return };
        let source = self.bytes.as_slice();
        let expected = found.offset.saturating_add_unsigned(part.start as u64);
        engine.match_srcpos = u64::try_from(expected).unwrap_or(u64::MAX);
        let some = Some(&source).filter(|source| !source.is_empty());
        let instructions = engine.find_matches(&window[part.clone()], some);
        let known = source.len() as u64;
        let mut at = part.start;
        for instruction in instructions {
            let size = size_of(instruction);
            match instruction {
                Instruction::Add { .. } if (LEAST..part.len()).contains(&size) => {
                    self.find(window, at..at + size, found);
                }
                Instruction::Copy { len, addr, mode } if addr >= known => {
                    let addr = addr + part.start as u64;
                    found.all.push(Instruction::Copy { len, addr, mode });
                }
                Instruction::Copy { len, addr, .. } => found.copy(len, addr, at),
                other => found.all.push(other),
            }
            at += size;
        }
    }
}

/// Instructions found so far.
struct Found {
    all: Vec<Instruction>,
    /// From where in the window to where in the source the last copy went.
    offset: i64,
}

impl Found {
    /// Adds a copy of the source, or extends the last one.
    fn copy(&mut self, len: u32, addr: u64, at: usize) {
        self.offset = addr.cast_signed() - at as i64;
        match self.all.last_mut() {
            Some(Instruction::Copy { len: before, addr: from, .. })
                if *from + u64::from(*before) == addr =>
            {
                *before += len;
            }
            _ => self.all.push(Instruction::Copy { len, addr, mode: 0 }),
        }
    }
}
