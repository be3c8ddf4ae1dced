//! The artifact format: what is said of each artifact of the corpus, and what parsing costs.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{collections::BTreeMap, fs, path::Path};

use mender_core::{
    artifacts::format::{Compression, FileRecipe, Limits, Measure, Parser, Recipe},
    testing::hostile,
};

fn corpus() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/artifact");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    files
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect()
}

/// `texts.txt` has a line for each: its name, and the error text or `ok`. What a fuzzer made for
/// coverage alone has no name that says what it is, and no line.
#[test]
fn every_artifact_of_the_corpus_gets_its_text() {
    let mut got = String::new();
    for (name, bytes) in corpus().into_iter().filter(|(name, _)| !name.starts_with("fuzzed-")) {
        let text = match hostile::parse(&bytes, 4096) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string().replace('\t', "\\t").replace('\n', "\\n"),
        };
        got += &format!("{name}: {text}\n");
    }
    let want = include_str!("artifacts/texts.txt");
    for (got, want) in got.lines().zip(want.lines()) {
        assert_eq!(got, want);
    }
    assert_eq!(got.lines().count(), want.lines().count());
}

#[test]
fn hostile_artifacts_and_beginnings_of_them_break_nothing() {
    for bytes in corpus().values().filter(|bytes| bytes.len() < 20_000) {
        hostile::artifact(bytes);
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 8) {
            let _ = hostile::parse(&bytes[..end], 700);
        }
    }
}

#[test]
fn changed_bytes_break_nothing() {
    let corpus = corpus();
    for name in [
        "augmented-good",
        "good-zstd",
        "good-xz-rootfs-image-as-older-tools-write-it",
        "good-version-2",
    ] {
        let bytes = corpus.get(name).unwrap_or_else(|| panic!("{name}"));
        for at in (0..bytes.len()).step_by(97) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let _ = hostile::parse(&changed, 512);
        }
    }
}

/// The most memory that this process has held, in KiB.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Half a GiB of zeros is written and parsed at once, piece by piece.
#[test]
#[cfg(target_os = "linux")]
fn large_artifacts_are_written_and_parsed_in_little_memory() {
    const SIZE: usize = 512 << 20;
    let before = peak();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let image = FileRecipe::new("rootfs.ext4", SIZE as u64);
        let recipe = Recipe::rootfs("r", ["d"], image, None).packed(compression);
        let piece = vec![0; 1 << 20];
        let mut measure = Measure::new(recipe);
        (0..SIZE / piece.len()).for_each(|_| measure.push(&piece).unwrap());
        let mut writer = measure.finish().unwrap().write().unwrap();
        let mut parser = Parser::new(Limits::default());
        let mut bytes = Vec::new();
        for _ in 0..SIZE / piece.len() {
            writer.push(&piece, &mut bytes).unwrap();
            parser.push(&bytes).unwrap();
            bytes.clear();
        }
        writer.finish(&mut bytes).unwrap();
        parser.push(&bytes).unwrap();
        assert_eq!(parser.finish().unwrap().content.payloads[0].files[0].size, SIZE as u64);
    }
    let grown = peak() - before;
    // The other tests' dictionaries of 64 MiB count, too.
    assert!(grown < 160 << 10, "{grown} KiB more");
}
