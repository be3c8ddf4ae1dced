//! Unpacks gzip of any number of members as its bytes come.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{error::FormatError, inflate::Step};

const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const HEADER_SUM: u8 = 2;

enum State {
    /// Between members; the first one must come.
    Start { first: bool },
    /// The fixed part of a member's header; how many of its bytes were seen.
    Fixed { seen: usize, flags: u8 },
    /// The length of the extra field, the number of its bytes seen.
    ExtraLength { seen: u8, length: u16, flags: u8 },
    /// What is left of the extra field.
    Extra { left: u16, flags: u8 },
    /// A text that NUL ends: name or comment.
    Text { flags: u8 },
    /// What is left of the header's checksum.
    HeaderSum { left: u8 },
    /// Compressed content.
    Body,
    /// The checksum and the size of the content.
    Trailer { seen: usize, bytes: [u8; 8] },
    /// Zeros that pad the file.
    Zeros,
}

pub(super) struct Gzip {
    state: State,
    body: Decompress,
    sum: Crc,
}

fn bad(what: &str) -> FormatError {
    FormatError::invalid(format!("gzip: {what}"))
}

impl Gzip {
    pub(super) fn new() -> Self {
        let start = State::Start { first: true };
        Self { state: start, body: Decompress::new(false), sum: Crc::new() }
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, FormatError> {
        let mut read = 0;
        loop {
            if matches!(self.state, State::Body) {
                let step = self.body(&input[read..], output)?;
                read += step.read;
                if step.written > 0 || matches!(self.state, State::Body) {
                    return Ok(Step { read, written: step.written });
                }
            } else if let Some(&byte) = input.get(read) {
                read += 1;
                self.take(byte)?;
            } else {
                return Ok(Step { read, written: 0 });
            }
        }
    }

    fn body(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, FormatError> {
        let before = (self.body.total_in(), self.body.total_out());
        let status = self
            .body
            .decompress(input, output, FlushDecompress::None)
            .map_err(|_| bad("invalid compressed data"))?;
        let moved = |now: u64, then: u64| usize::try_from(now - then).unwrap_or(usize::MAX);
        let read = moved(self.body.total_in(), before.0);
        let written = moved(self.body.total_out(), before.1);
        self.sum.update(output.get(..written).unwrap_or_default());
        if status == Status::StreamEnd {
            self.state = State::Trailer { seen: 0, bytes: [0; 8] };
        }
        Ok(Step { read, written })
    }

    /// Takes one byte outside of compressed content.
    fn take(&mut self, byte: u8) -> Result<(), FormatError> {
        self.state = match self.state {
            State::Start { first: false } | State::Zeros if byte == 0 => State::Zeros,
            State::Start { .. } if byte == 0x1f => State::Fixed { seen: 1, flags: 0 },
            State::Start { .. } | State::Zeros => return Err(bad("invalid header")),
            State::Fixed { seen: 1, .. } if byte != 0x8b => return Err(bad("invalid header")),
            State::Fixed { seen: 2, .. } if byte != 8 => return Err(bad("invalid header")),
            State::Fixed { seen: 3, .. } if byte & 0xe0 != 0 => return Err(bad("invalid header")),
            State::Fixed { seen: 3, .. } => State::Fixed { seen: 4, flags: byte },
            State::Fixed { seen, flags } if seen < 9 => State::Fixed { seen: seen + 1, flags },
            State::Fixed { flags, .. } => self.after(flags),
            State::ExtraLength { seen: 0, flags, .. } => {
                State::ExtraLength { seen: 1, length: u16::from(byte), flags }
            }
            State::ExtraLength { length, flags, .. } => match length | u16::from(byte) << 8 {
                0 => self.after(flags & !EXTRA),
                left => State::Extra { left, flags },
            },
            State::Extra { left: 1, flags } => self.after(flags & !EXTRA),
            State::Extra { left, flags } => State::Extra { left: left - 1, flags },
            State::Text { flags } if byte != 0 => State::Text { flags },
            State::Text { flags } if flags & NAME != 0 => self.after(flags & !NAME),
            State::Text { flags } => self.after(flags & !COMMENT),
            State::HeaderSum { left: 1 } => self.after(0),
            State::HeaderSum { left } => State::HeaderSum { left: left - 1 },
            State::Trailer { seen, mut bytes } => {
                bytes[seen] = byte;
                if seen == 7 { self.end(bytes)? } else { State::Trailer { seen: seen + 1, bytes } }
            }
            State::Body => State::Body,
        };
        Ok(())
    }

    /// The part of the header that comes next, by the flags that are left.
    fn after(&mut self, flags: u8) -> State {
        if flags & EXTRA != 0 {
            State::ExtraLength { seen: 0, length: 0, flags }
        } else if flags & (NAME | COMMENT) != 0 {
            State::Text { flags }
        } else if flags & HEADER_SUM != 0 {
            State::HeaderSum { left: 2 }
        } else {
            self.body.reset(false);
            self.sum.reset();
            State::Body
        }
    }

    fn end(&self, bytes: [u8; 8]) -> Result<State, FormatError> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let fits = u32::from_le_bytes([a, b, c, d]) == self.sum.sum()
            && u32::from_le_bytes([e, f, g, h]) == self.sum.amount();
        if fits { Ok(State::Start { first: false }) } else { Err(bad("invalid checksum")) }
    }

    /// Checks that the file may end here.
    pub(super) fn finish(&self) -> Result<(), FormatError> {
        match self.state {
            State::Start { first: false } | State::Zeros => Ok(()),
            _ => Err(FormatError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn unpack(bytes: &[u8], chunk: usize) -> Result<Vec<u8>, FormatError> {
        let (mut gzip, mut all, mut output) = (Gzip::new(), Vec::new(), [0; 7]);
        for mut input in bytes.chunks(chunk) {
            loop {
                let step = gzip.step(input, &mut output)?;
                input = &input[step.read..];
                all.extend_from_slice(&output[..step.written]);
                if input.is_empty() && step.written == 0 {
                    break;
                }
            }
        }
        gzip.finish().map(|()| all)
    }

    fn member(text: &[u8], builder: GzBuilder) -> Vec<u8> {
        let mut encoder = builder.write(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_with_all_kinds_of_headers_are_unpacked_one_after_the_other() {
        let rich = GzBuilder::new().extra([1, 2, 3]).filename("name").comment("why");
        let mut bytes = member(b"hello ", rich);
        bytes.extend(member(b"", GzBuilder::new().extra([])));
        bytes.extend(member(b"world", GzBuilder::new().filename("")));
        for padding in [0, 1, 600] {
            bytes.extend(vec![0; padding]);
            for chunk in [1, 2, 3, 1000] {
                assert_eq!(unpack(&bytes, chunk).unwrap(), b"hello world", "{chunk}");
            }
        }
    }

    #[test]
    fn a_header_with_a_checksum_is_read() {
        let mut bytes = member(b"x", GzBuilder::new());
        bytes[3] |= HEADER_SUM;
        bytes.splice(10..10, [0, 0]);
        assert_eq!(unpack(&bytes, 1).unwrap(), b"x");
    }

    #[test]
    fn what_is_cut_or_changed_is_refused() {
        let bytes = member(b"hello hello hello", GzBuilder::new().filename("n"));
        for end in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..end], 5), Err(FormatError::Truncated), "{end}");
        }
        for at in [0, 1, 2, bytes.len() - 1, bytes.len() - 5] {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(matches!(unpack(&changed, 100), Err(FormatError::Invalid(_))), "{at}");
        }
        for tail in [&b"x"[..], b"\0\x1f", b"\x1f\x8c"] {
            assert!(unpack(&[&bytes, tail].concat(), 100).is_err(), "{tail:?}");
        }
    }
}
