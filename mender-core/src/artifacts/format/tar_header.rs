//! One block of 512 bytes that begins a member of a tar archive.

use super::error::FormatError;

pub(super) const BLOCK: usize = 512;

/// What a block says, before extensions change it.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) name: Vec<u8>,
    pub(super) size: u64,
    pub(super) modified: i64,
    pub(super) kind: u8,
}

fn bad(what: &str) -> FormatError {
    FormatError::invalid(format!("archive/tar: invalid tar header: {what}"))
}

impl Block {
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, FormatError> {
        let field = |from: usize, len: usize| &block[from..from + len];
        let announced = number(field(148, 8)).ok_or_else(|| bad("checksum"))?;
        let (unsigned, signed) = sums(block);
        // Compat: old archivers sum up signed bytes.
        if announced != unsigned && announced != signed {
            return Err(bad("checksum"));
        }
        let mut name = text(field(0, 100)).to_vec();
        if field(257, 6) == b"ustar\0" {
            let prefix = text(field(345, 155));
            if !prefix.is_empty() {
                name = [prefix, b"/", &name].concat();
            }
        }
        let size = number(field(124, 12)).and_then(|size| u64::try_from(size).ok());
        Ok(Self {
            name,
            size: size.ok_or_else(|| bad("size"))?,
            modified: number(field(136, 12)).ok_or_else(|| bad("time"))?,
            kind: block[156],
        })
    }
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The sums of all bytes, taken unsigned and signed, the checksum itself taken as spaces.
fn sums(block: &[u8; BLOCK]) -> (i64, i64) {
    let bytes = block.iter().enumerate();
    let counted = bytes.map(|(at, &byte)| if (148..156).contains(&at) { b' ' } else { byte });
    counted.fold((0, 0), |(unsigned, signed), byte| {
        (unsigned + i64::from(byte), signed + i64::from(byte.cast_signed()))
    })
}

/// Octal digits among spaces and NUL, or base 256 where the first bit is set.
fn number(field: &[u8]) -> Option<i64> {
    if let Some(&first) = field.first().filter(|first| **first & 0x80 != 0) {
        let negative = first & 0x40 != 0;
        let start = if negative { -1 } else { 0_i64 };
        let first = if negative { first } else { first & 0x7f };
        let shift =
            |value: i64, byte: u8| value.checked_mul(256).map(|shifted| shifted | i64::from(byte));
        let head = shift(start, first)?;
        return field[1..].iter().try_fold(head, |value, &byte| shift(value, byte));
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let digits = field.iter().skip_while(|byte| blank(byte)).copied().collect::<Vec<u8>>();
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if !digits[end..].iter().all(blank) {
        return None;
    }
    digits[..end].iter().try_fold(0_i64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Octal numbers of eleven digits end here.
const MAX_SIZE: u64 = (8 << 30) - 1;

/// Writes the block of a regular file in plain ustar, which every device reads; `None` where that
/// can't express it.
pub(super) fn write(name: &str, size: u64, mode: u32, modified: u64) -> Option<[u8; BLOCK]> {
    let fits = name.len() <= 100 && size <= MAX_SIZE && modified <= MAX_SIZE && mode <= 0o7777;
    if !fits {
        return None;
    }
    let mut block = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, &format!("{modified:011o}"));
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    put(329, "0000000");
    put(337, "0000000");
    let sum = format!("{:06o}\0 ", sums(&block).0);
    block[148..156].copy_from_slice(sum.as_bytes());
    Some(block)
}

/// How many zeros follow content of a size.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_is_what_the_tool_writes() {
        let block = write("version", 31, 0o600, 0).unwrap();
        assert_eq!(
            &block[100..156],
            b"0000600\x000000000\x000000000\x0000000000037\x0000000000000\x00010605\0 "
        );
        assert_eq!(&block[257..265], b"ustar\x0000");
        let read = Block::parse(&block).unwrap();
        assert_eq!(
            (&*read.name, read.size, read.modified, read.kind),
            (&b"version"[..], 31, 0, b'0')
        );
    }

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"00000000037\0"), Some(31));
        assert_eq!(number(b"  17 \0"), Some(15));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(2 << 32));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        for bad in [
            &b"8"[..],
            b"1 1",
            b"-1",
            b"\x80\x01\0\0\0\0\0\0\0\0\0\0",
            b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_changed_byte_breaks_the_checksum() {
        let mut block = write("version", 31, 0o600, 0).unwrap();
        block[0] ^= 1;
        assert!(Block::parse(&block).is_err());
    }

    #[test]
    fn what_ustar_cannot_express_is_not_written() {
        assert!(write(&"x".repeat(101), 0, 0, 0).is_none());
        assert!(write("x", 8 << 30, 0, 0).is_none());
    }
}
