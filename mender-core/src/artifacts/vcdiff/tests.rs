use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn small(level: u32) -> Encoding {
    Encoding { source_window: 16 << 10, target_window: 16 << 10, level, checksums: true }
}

/// Encodes, decodes again, and returns the delta.
fn round_trip(source: &[u8], target: &[u8], how: &Encoding) -> Vec<u8> {
    let mut delta = Vec::new();
    encode(&mut Cursor::new(source), &mut &target[..], &mut delta, how).unwrap();
    let mut again = Vec::new();
    decode(&mut Cursor::new(source), &mut delta.as_slice(), &mut again).unwrap();
    assert!(again == target, "not the same");
    delta
}

/// Content of which nothing comes twice.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

/// A piece of an image.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (any::<u64>(), 0..5000_usize).prop_map(|(seed, size)| noise(seed, size)),
        (any::<u8>(), 0..20_000_usize).prop_map(|(byte, size)| vec![byte; size]),
        (prop::collection::vec(any::<u8>(), 1..9), 0..500_usize).prop_map(|(b, n)| b.repeat(n)),
    ]
}

/// What is done to the source: a piece of it stays, or another one comes.
fn change() -> impl Strategy<Value = Result<(usize, usize), Vec<u8>>> {
    prop_oneof![
        3 => (any::<prop::sample::Index>(), 0..30_000_usize)
            .prop_map(|(at, size)| Ok((at.index(1 << 16), size))),
        1 => piece().prop_map(Err),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_encoded_is_decoded(
        source in prop::collection::vec(piece(), 0..12),
        changes in prop::collection::vec(change(), 0..10),
        level in 1..10_u32,
        checksums: bool,
    ) {
        let source = source.concat();
        let mut target = Vec::new();
        for change in changes {
            match change {
                Ok((at, size)) => target.extend(source.iter().skip(at).take(size)),
                Err(piece) => target.extend(piece),
            }
        }
        round_trip(&source, &target, &Encoding { checksums, ..small(level) });
        round_trip(&source, &target, &Encoding { level, ..Encoding::default() });
    }

    #[test]
    fn hostile_deltas_are_refused(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let source = noise(1, 30_000);
        let target = [&source[5000..], &[7; 3000], &source[..9000]].concat();
        let mut delta = round_trip(&source, &target, &small(3));
        for (at, byte) in flips {
            let at = at.index(delta.len());
            delta[at] ^= byte;
        }
        delta.truncate(cut.index(delta.len()).max(delta.len() / 2));
        let mut again = Vec::new();
        // Whatever comes of it, it ends.
        let _ = decode(&mut Cursor::new(&source), &mut delta.as_slice(), &mut again);
    }
}

#[test]
fn runs_of_different_bytes_stay_apart() {
    let target = [[1; 100], [2; 100], [3; 100]].concat();
    for level in 1..10 {
        round_trip(&[], &target, &small(level));
    }
}

#[test]
fn a_few_changes_make_a_small_delta() {
    let source = noise(2, 1 << 20);
    let mut target = source.clone();
    for at in (0..target.len()).step_by(100_000) {
        target[at] ^= 1;
    }
    target.splice(500_000..500_000, noise(3, 77));
    for level in [1, 3, 9] {
        let delta = round_trip(&source, &target, &Encoding { level, ..Encoding::default() });
        assert!(delta.len() < 600, "level {level}: {} bytes", delta.len());
        // What moved by less than half a window is still found.
        let small = Encoding { source_window: 64 << 10, ..small(level) };
        assert!(round_trip(&source, &target, &small).len() < 4000);
    }
}

#[test]
fn empty_images_have_deltas_too() {
    round_trip(&[], &[], &small(3));
    round_trip(&[], b"new", &small(3));
    assert!(round_trip(b"old", &[], &small(3)).len() < 10);
}

#[test]
fn a_writer_that_fails_ends_the_work() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let source = &mut Cursor::new([0; 9]);
    let ended = encode(source, &mut &[1; 9][..], &mut Full, &Encoding::default());
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::StorageFull);
}
