//! Unpacks what a member's name says how it is packed.

use liblzma::stream::{Action, CONCATENATED, Error as XzError, Status as XzStatus, Stream};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::{error::FormatError, gzip::Gzip, limits::Limits};

/// How an archive is packed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compression {
    /// Not at all: what the smallest devices need.
    None,
    /// `.gz`, which every other device reads.
    #[default]
    Gzip,
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
}

impl Compression {
    /// Returns what names of archives end in.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// How an archive `STEM.tar` is packed, if the name is that of one.
    pub(super) fn of(name: &str, stem: &str) -> Option<Self> {
        match name.strip_prefix(stem)?.strip_prefix(".tar")? {
            "" => Some(Self::None),
            ".gz" => Some(Self::Gzip),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// How far a step got.
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
}

enum Codec {
    None,
    Gzip(Box<Gzip>),
    Xz { stream: Box<Stream>, ended: bool },
    Zstd { decoder: Box<Decoder<'static>>, between_frames: bool, any: bool },
}

/// Unpacks one archive, and counts against bombs.
pub(super) struct Inflater {
    codec: Codec,
    read: u64,
    written: u64,
    ratio: u64,
    ratio_from: u64,
}

impl Inflater {
    pub(super) fn new(compression: Compression, limits: &Limits) -> Result<Self, FormatError> {
        let codec = match compression {
            Compression::None => Codec::None,
            Compression::Gzip => Codec::Gzip(Box::new(Gzip::new())),
            Compression::Xz => {
                let stream = Stream::new_stream_decoder(limits.xz_memory, CONCATENATED);
                Codec::Xz { stream: Box::new(stream.map_err(xz)?), ended: false }
            }
            Compression::Zstd => {
                let mut decoder = Decoder::new().map_err(|e| zstd(&e))?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(limits.zstd_window_log))
                    .map_err(|e| zstd(&e))?;
                Codec::Zstd { decoder: Box::new(decoder), between_frames: true, any: false }
            }
        };
        let (ratio, ratio_from) = (limits.ratio, limits.ratio_from);
        Ok(Self { codec, read: 0, written: 0, ratio, ratio_from })
    }

    /// Whether the archive is stored as it is, so that nothing needs to be unpacked.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.codec, Codec::None)
    }

    /// Unpacks from the beginning of the input into the beginning of the output. All is done once
    /// no input is left and the output was not filled.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, FormatError> {
        let step = match &mut self.codec {
            Codec::None => {
                let len = input.len().min(output.len());
                output[..len].copy_from_slice(&input[..len]);
                Step { read: len, written: len }
            }
            Codec::Gzip(gzip) => gzip.step(input, output)?,
            Codec::Xz { stream, ended } => unpack_xz(stream, ended, input, output, Action::Run)?,
            Codec::Zstd { decoder, between_frames, any } => {
                // Asked for more between frames, it would begin another.
                if input.is_empty() && *between_frames {
                    return Ok(Step { read: 0, written: 0 });
                }
                let mut from = InBuffer::around(input);
                let mut to = OutBuffer::around(output);
                let hint = decoder.run(&mut from, &mut to).map_err(|e| zstd(&e))?;
                *between_frames = hint == 0;
                *any = true;
                Step { read: from.pos(), written: to.pos() }
            }
        };
        self.count(&step)?;
        Ok(step)
    }

    /// Unpacks what is left once all input was given; all is done once nothing was written.
    pub(super) fn finish(&mut self, output: &mut [u8]) -> Result<usize, FormatError> {
        let step = match &mut self.codec {
            Codec::Gzip(gzip) => return gzip.finish().map(|()| 0),
            Codec::None
            | Codec::Xz { ended: true, .. }
            | Codec::Zstd { between_frames: true, any: true, .. } => return Ok(0),
            Codec::Xz { stream, ended } => {
                let step = unpack_xz(stream, ended, &[], output, Action::Finish)?;
                if step.written == 0 && !*ended {
                    return Err(FormatError::Truncated);
                }
                step
            }
            Codec::Zstd { .. } => return Err(FormatError::Truncated),
        };
        self.count(&step)?;
        Ok(step.written)
    }

    fn count(&mut self, step: &Step) -> Result<(), FormatError> {
        self.read += step.read as u64;
        self.written += step.written as u64;
        let fair = self.read.saturating_mul(self.ratio).max(self.ratio_from);
        if self.is_plain() || self.written <= fair {
            return Ok(());
        }
        let ratio = self.ratio;
        Err(FormatError::TooLarge(format!("archive unpacks to over {ratio} times its size")))
    }
}

fn unpack_xz(
    stream: &mut Stream,
    ended: &mut bool,
    input: &[u8],
    output: &mut [u8],
    action: Action,
) -> Result<Step, FormatError> {
    let before = (stream.total_in(), stream.total_out());
    match stream.process(input, output, action) {
        Ok(XzStatus::StreamEnd) => *ended = true,
        Ok(_) => {}
        Err(error) => return Err(xz(error)),
    }
    let moved = |now: u64, then: u64| usize::try_from(now - then).unwrap_or(usize::MAX);
    Ok(Step {
        read: moved(stream.total_in(), before.0),
        written: moved(stream.total_out(), before.1),
    })
}

fn xz(error: XzError) -> FormatError {
    match error {
        XzError::MemLimit | XzError::Mem => FormatError::too_large("xz: too large a dictionary"),
        XzError::Format => FormatError::invalid("xz: invalid header"),
        XzError::Options => FormatError::invalid("xz: unsupported options"),
        _ => FormatError::invalid("xz: invalid compressed data"),
    }
}

fn zstd(error: &std::io::Error) -> FormatError {
    FormatError::invalid(format!("zstd: {}", error.to_string().to_lowercase()))
}

#[cfg(test)]
mod tests;
