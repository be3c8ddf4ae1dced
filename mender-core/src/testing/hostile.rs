//! What must hold whatever bytes come in: a target of `fuzz/`, and of a test that replays its
//! corpus. It panics where a claim does not hold.

use crate::artifacts::format::{FormatError, Limits, Parsed, Parser};

/// Parses an artifact that comes in pieces.
///
/// # Errors
/// As [`Parser::finish`].
pub fn parse(bytes: &[u8], piece: usize) -> Result<Parsed, FormatError> {
    let mut parser = Parser::new(Limits::default());
    bytes.chunks(piece.max(1)).try_for_each(|piece| parser.push(piece))?;
    parser.finish()
}

/// However an artifact is cut, it is found to be the same; what is said of it is short; its files
/// have names without folders, and checksums.
///
/// # Panics
/// Where the claim does not hold.
pub fn artifact(bytes: &[u8]) {
    let whole = parse(bytes, usize::MAX);
    for piece in [1, 511, 1000] {
        assert_eq!(parse(bytes, piece), whole, "in pieces of {piece}");
    }
    match whole {
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 3000, "{text}");
        }
        Ok(parsed) => {
            assert_eq!(parsed.size, bytes.len() as u64);
            assert!(!parsed.content.name.is_empty() && !parsed.content.device_types.is_empty());
            for file in parsed.content.payloads.iter().flat_map(|payload| &payload.files) {
                assert!(!file.name.contains('/') && file.name != "..", "{}", file.name);
                assert_eq!(file.checksum.len(), 64);
            }
        }
    }
}
