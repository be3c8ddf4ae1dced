use std::io::Write as _;

use super::*;

/// Packs it as two parts, one after the other.
fn pack(compression: Compression, text: &[u8]) -> Vec<u8> {
    let (a, b) = text.split_at(text.len() / 2);
    let parts = [a, b].map(|part| match compression {
        Compression::None => part.to_vec(),
        Compression::Gzip => {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            to.write_all(part).unwrap();
            to.finish().unwrap()
        }
        Compression::Xz => liblzma::encode_all(part, 6).unwrap(),
        Compression::Zstd => zstd::encode_all(part, 3).unwrap(),
    });
    parts.concat()
}

fn unpack(
    compression: Compression,
    bytes: &[u8],
    chunk: usize,
    limits: &Limits,
) -> Result<Vec<u8>, FormatError> {
    let mut inflater = Inflater::new(compression, limits)?;
    let (mut all, mut output) = (Vec::new(), [0; 1000]);
    for mut input in bytes.chunks(chunk) {
        loop {
            let step = inflater.step(input, &mut output)?;
            input = &input[step.read..];
            all.extend_from_slice(&output[..step.written]);
            if input.is_empty() && step.written < output.len() {
                break;
            }
        }
    }
    loop {
        match inflater.finish(&mut output)? {
            0 => return Ok(all),
            written => all.extend_from_slice(&output[..written]),
        }
    }
}

const ALL: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd];

fn text() -> Vec<u8> {
    (0..20_000_u32).flat_map(|n| (n * n % 251).to_le_bytes()).collect()
}

#[test]
fn parts_that_follow_each_other_are_unpacked_however_they_are_cut() {
    for compression in ALL {
        for text in [text(), Vec::new(), vec![0; 100_000]] {
            let bytes = pack(compression, &text);
            for chunk in [1, 10, 999, 1_000_000] {
                let got = unpack(compression, &bytes, chunk, &Limits::default());
                assert!(got.as_ref() == Ok(&text), "{compression:?} {chunk}");
            }
        }
    }
}

#[test]
fn what_is_cut_is_recognised() {
    for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let bytes = pack(compression, b"hello, hello");
        let half = pack(compression, b"").len();
        for end in (0..bytes.len()).filter(|end| *end == 0 || *end > half) {
            let got = unpack(compression, &bytes[..end], 7, &Limits::default());
            // xz can't tell padding that is cut from a stream that is.
            assert!(got.is_err() || got.unwrap().len() < 12, "{compression:?} {end}");
        }
        for bad in [&b"this is something else"[..], b"\0\0\0\0"] {
            assert!(unpack(compression, bad, 7, &Limits::default()).is_err(), "{compression:?}");
        }
    }
}

#[test]
fn bombs_are_refused() {
    let limits = Limits { ratio: 10, ratio_from: 5000, ..Limits::default() };
    for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let bytes = pack(compression, &[0; 100_000]);
        let error = unpack(compression, &bytes, 100, &limits).unwrap_err();
        assert_eq!(error.to_string(), "archive unpacks to over 10 times its size");
    }
}

#[test]
fn dictionaries_and_windows_have_limits() {
    let limits = Limits { xz_memory: 1 << 20, zstd_window_log: 10, ..Limits::default() };
    for compression in [Compression::Xz, Compression::Zstd] {
        let bytes = pack(compression, &text());
        assert!(unpack(compression, &bytes, 100, &limits).is_err(), "{compression:?}");
    }
    // What the tool writes: a dictionary of 64 MiB.
    let mut options = liblzma::stream::LzmaOptions::new_preset(6).unwrap();
    options.dict_size(64 << 20);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64).unwrap();
    let mut to = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    to.write_all(b"hello").unwrap();
    let bytes = to.finish().unwrap();
    assert_eq!(unpack(Compression::Xz, &bytes, 5, &Limits::default()).unwrap(), b"hello");
}

#[test]
fn names_tell_how_archives_are_packed() {
    for compression in ALL {
        let name = format!("header.tar{}", compression.suffix());
        assert_eq!(Compression::of(&name, "header"), Some(compression));
    }
    for bad in ["header.tar.bz2", "header", "header.tar.gz.gz", "xheader.tar", "header.tar."] {
        assert_eq!(Compression::of(bad, "header"), None, "{bad}");
    }
}
