//! Reads a tar archive of any dialect as its bytes come.

use super::{
    error::FormatError,
    pax,
    tar_header::{BLOCK, Block, padding},
};

/// What kind of member it is; others are refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    File,
    Directory,
}

/// A member of an archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) modified: i64,
}

/// What an archive holds, piece by piece.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// A member begins.
    Member(Member),
    /// A piece of its content.
    Data(&'a [u8]),
    /// Its content is complete; what pads it is still to come.
    End,
}

enum State {
    /// A block is being collected.
    Block,
    /// The content of an extension is being collected.
    Extension { kind: u8, left: u64, padding: u64 },
    /// Content passes through.
    Content { left: u64, padding: u64 },
    /// What fills up the last block of a member is passed over.
    Padding { left: u64 },
    /// After the blocks that end the archive.
    Done,
}

/// The archive as far as it was seen.
pub(super) struct Reader {
    state: State,
    block: [u8; BLOCK],
    filled: usize,
    zeros: bool,
    extension: Vec<u8>,
    long_name: Option<Vec<u8>>,
    long_link: bool,
    pax: Option<pax::Records>,
    limit: u64,
}

fn bad(what: &str) -> FormatError {
    FormatError::invalid(format!("archive/tar: {what}"))
}

/// Cuts at most `len` bytes off the beginning.
fn take<'a>(input: &mut &'a [u8], len: u64) -> &'a [u8] {
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(input.len());
    let (head, tail) = input.split_at(len);
    *input = tail;
    head
}

impl Reader {
    /// A reader that takes extensions of up to `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            state: State::Block,
            block: [0; BLOCK],
            filled: 0,
            zeros: false,
            extension: Vec::new(),
            long_name: None,
            long_link: false,
            pax: None,
            limit,
        }
    }

    /// Consumes input up to the next event; `None`: all was consumed. What follows the end of the
    /// archive is passed over.
    pub(super) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Event<'a>>, FormatError> {
        loop {
            match &mut self.state {
                State::Content { left: 0, padding } => {
                    self.state = State::Padding { left: *padding };
                    return Ok(Some(Event::End));
                }
                State::Padding { left: 0 } => self.state = State::Block,
                State::Extension { kind, left: 0, padding } => {
                    let (kind, padding) = (*kind, *padding);
                    self.state = State::Padding { left: padding };
                    self.extend(kind)?;
                }
                _ if input.is_empty() => return Ok(None),
                State::Content { left, .. } => {
                    let piece = take(input, *left);
                    *left -= piece.len() as u64;
                    return Ok(Some(Event::Data(piece)));
                }
                State::Padding { left } => *left -= take(input, *left).len() as u64,
                State::Extension { left, .. } => {
                    let piece = take(input, *left);
                    *left -= piece.len() as u64;
                    self.extension.extend_from_slice(piece);
                }
                State::Done => *input = &[],
                State::Block => {
                    let piece = take(input, (BLOCK - self.filled) as u64);
                    self.block[self.filled..self.filled + piece.len()].copy_from_slice(piece);
                    self.filled += piece.len();
                    if self.filled == BLOCK {
                        self.filled = 0;
                        if let Some(member) = self.begin()? {
                            return Ok(Some(Event::Member(member)));
                        }
                    }
                }
            }
        }
    }

    /// Tells whether the blocks at the end were read; what follows belongs to nothing.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Checks that the archive may end here.
    pub(super) fn finish(&self) -> Result<(), FormatError> {
        let extended = self.pax.is_some() || self.long_name.is_some() || self.long_link;
        match self.state {
            State::Done => Ok(()),
            // Compat: the blocks at the end, and what pads the last member, may be missing.
            State::Block if self.filled == 0 && !extended => Ok(()),
            State::Padding { .. } if !extended => Ok(()),
            _ => Err(FormatError::Truncated),
        }
    }

    fn begin(&mut self) -> Result<Option<Member>, FormatError> {
        if self.block.iter().all(|&byte| byte == 0) {
            if self.pax.is_some() || self.long_name.is_some() || self.long_link {
                return Err(bad("an extension without a member"));
            }
            if self.zeros {
                self.state = State::Done;
            }
            self.zeros = true;
            return Ok(None);
        }
        if self.zeros {
            return Err(bad("invalid tar header: a member after the end"));
        }
        let block = Block::parse(&self.block)?;
        match block.kind {
            b'x' | b'L' | b'K' => {
                if block.size > self.limit {
                    let what = format!("archive/tar: an extension exceeds {} bytes", self.limit);
                    return Err(FormatError::TooLarge(what));
                }
                let padding = padding(block.size);
                self.state = State::Extension { kind: block.kind, left: block.size, padding };
                Ok(None)
            }
            _ => self.member(block).map(Some),
        }
    }

    /// Takes an extension that was collected. One that comes twice, or two that name the member,
    /// are read one way or the other by others: they are refused.
    fn extend(&mut self, kind: u8) -> Result<(), FormatError> {
        let content = std::mem::take(&mut self.extension);
        let twice = match kind {
            b'x' => self.pax.replace(pax::Records::parse(&content)?).is_some(),
            b'L' => {
                let end = content.iter().position(|&byte| byte == 0).unwrap_or(content.len());
                self.long_name.replace(content[..end].to_vec()).is_some()
            }
            _ => std::mem::replace(&mut self.long_link, true),
        };
        if twice { Err(bad("the same extension twice")) } else { Ok(()) }
    }

    fn member(&mut self, block: Block) -> Result<Member, FormatError> {
        let pax = self.pax.take().unwrap_or_default();
        self.long_link = false;
        let name = match (self.long_name.take(), pax.path) {
            (Some(_), Some(_)) => return Err(bad("two extensions that name a member")),
            (Some(name), None) | (None, Some(name)) => name,
            (None, None) => block.name,
        };
        let name = String::from_utf8(name).map_err(|_| bad("a name that is not UTF-8"))?;
        if name.contains('\0') {
            return Err(bad("a name that contains NUL"));
        }
        let kind = match block.kind {
            b'0' | 0 if !name.ends_with('/') => Kind::File,
            b'0' | 0 | b'5' => Kind::Directory,
            b'1' | b'2' => return Err(bad(&format!("{name} is a link"))),
            b'3' | b'4' | b'6' => return Err(bad(&format!("{name} is a device"))),
            b'S' => return Err(bad(&format!("{name} is a sparse file"))),
            b'g' => return Err(bad("global extensions are not supported")),
            kind => {
                let kind = char::from(kind).escape_default();
                return Err(bad(&format!("{name} is of the unsupported type '{kind}'")));
            }
        };
        let size = pax.size.unwrap_or(block.size);
        if kind == Kind::Directory && size != 0 {
            return Err(bad(&format!("{name} is a directory with content")));
        }
        if i64::try_from(size).is_err() {
            return Err(bad(&format!("{name} is too large")));
        }
        self.state = State::Content { left: size, padding: padding(size) };
        Ok(Member { name, kind, size, modified: pax.modified.unwrap_or(block.modified) })
    }
}

#[cfg(test)]
mod tests;
