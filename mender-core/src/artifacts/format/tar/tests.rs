use super::{super::tar_header, *};

/// A member as it is stored.
fn member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut block = tar_header::write(name, content.len() as u64, 0o644, 7).unwrap();
    block[156] = kind;
    seal(&mut block);
    let padding = vec![0; usize::try_from(padding(content.len() as u64)).unwrap()];
    [&block, content, &padding].concat()
}

fn seal(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        let rest = format!(" {key}={value}\n");
        let length = (rest.len()..).find(|n| n.to_string().len() + rest.len() == *n).unwrap();
        format!("{length}{rest}")
    };
    member("PaxHeaders/x", b'x', records.iter().map(record).collect::<String>().as_bytes())
}

fn read(bytes: &[u8], chunk: usize) -> Result<Vec<(String, i64, Vec<u8>)>, String> {
    let mut reader = Reader::new(1000);
    let (mut all, mut open) = (Vec::new(), None);
    for mut input in bytes.chunks(chunk) {
        while let Some(event) = reader.next(&mut input).map_err(|e| e.to_string())? {
            match event {
                Event::Member(member) => open = Some((member.name, member.modified, Vec::new())),
                Event::Data(piece) => open.as_mut().unwrap().2.extend_from_slice(piece),
                Event::End => all.extend(open.take()),
            }
        }
    }
    reader.finish().map_err(|e| e.to_string()).map(|()| all)
}

fn names(bytes: &[u8]) -> Result<Vec<String>, String> {
    Ok(read(bytes, 100)?.into_iter().map(|(name, ..)| name).collect())
}

#[test]
fn members_come_whole_however_the_bytes_are_cut() {
    let end = vec![0; 1024];
    let bytes =
        [member("a", b'0', b"hello"), member("b", 0, b""), member("c", b'0', &[1; 512]), end]
            .concat();
    let want = vec![
        ("a".to_owned(), 7, b"hello".to_vec()),
        ("b".to_owned(), 7, vec![]),
        ("c".to_owned(), 7, vec![1; 512]),
    ];
    for chunk in [1, 2, 511, 512, 513, 10_000] {
        assert_eq!(read(&bytes, chunk).as_ref(), Ok(&want), "{chunk}");
    }
}

#[test]
fn extensions_of_gnu_and_pax_change_names_sizes_and_times() {
    let long = "x".repeat(200);
    let gnu =
        [member("././@LongLink", b'L', format!("{long}\0").as_bytes()), member("a", b'0', b"1")];
    assert_eq!(names(&gnu.concat()), Ok(vec![long.clone()]));
    let mut lying = member("a", b'0', b"123");
    lying[124..136].copy_from_slice(b"00000000000\0");
    let mut block: [u8; BLOCK] = lying[..BLOCK].try_into().unwrap();
    seal(&mut block);
    lying[..BLOCK].copy_from_slice(&block);
    let records = pax(&[("path", "p/q"), ("size", "3"), ("mtime", "9.5"), ("comment", "c")]);
    let want = vec![("p/q".to_owned(), 9, b"123".to_vec())];
    assert_eq!(read(&[records, lying].concat(), 9), Ok(want));
}

#[test]
fn a_prefix_belongs_to_the_name_in_ustar_only() {
    let mut block = tar_header::write("name", 0, 0, 0).unwrap();
    block[345..351].copy_from_slice(b"prefix");
    seal(&mut block);
    assert_eq!(names(&block), Ok(vec!["prefix/name".to_owned()]));
    block[257..265].copy_from_slice(b"ustar  \0");
    seal(&mut block);
    assert_eq!(names(&block), Ok(vec!["name".to_owned()]));
}

#[test]
fn archives_may_lack_their_end_but_not_the_end_of_a_member() {
    let bytes = [member("a", b'0', b"hello"), vec![0; 1024]].concat();
    for end in 1..bytes.len() {
        let whole = (517..=1024).contains(&end) || end == 1536;
        let after = end >= 1536;
        let got = names(&bytes[..end]);
        if whole || after && end % 512 == 0 {
            assert_eq!(got, Ok(vec!["a".to_owned()]), "{end}");
        } else {
            assert_eq!(got, Err("unexpected EOF".to_owned()), "{end}");
        }
    }
}

#[test]
fn what_follows_the_end_is_passed_over() {
    let bytes = [member("a", b'0', b""), vec![0; 1024], b"junk".to_vec()].concat();
    assert_eq!(names(&bytes), Ok(vec!["a".to_owned()]));
    let bytes = [member("a", b'0', b""), vec![0; 512], member("b", b'0', b"")].concat();
    assert!(names(&bytes).unwrap_err().contains("after the end"));
}

#[test]
fn links_devices_sparse_files_and_contradictions_are_refused() {
    let x = || pax(&[("path", "x")]);
    let long = || member("L", b'L', b"x");
    let file = || member("a", b'0', b"");
    let cases = [
        (vec![member("a", b'1', b"")], "a is a link"),
        (vec![member("a", b'2', b"")], "a is a link"),
        (vec![member("a", b'3', b"")], "a is a device"),
        (vec![member("a", b'6', b"")], "a is a device"),
        (vec![member("a", b'S', b"")], "a is a sparse file"),
        (vec![member("a", b'g', b"")], "global extensions"),
        (vec![member("a", b'7', b"")], "unsupported type '7'"),
        (vec![member("a", 0xff, b"")], "unsupported type '\\u{ff}'"),
        (vec![member("a/", b'5', b"x")], "a directory with content"),
        (vec![x(), x(), file()], "the same extension twice"),
        (vec![long(), long(), file()], "the same extension twice"),
        (vec![x(), long(), file()], "two extensions that name a member"),
        (vec![pax(&[("GNU.sparse.major", "1")]), file()], "sparse files are not supported"),
        (vec![pax(&[("path", "a\0b")]), file()], "contains NUL"),
        (vec![pax(&[("path", "a"), ("path", "b")]), file()], "the same key twice"),
        (vec![pax(&[("size", "9223372036854775808")]), file()], "too large"),
        (vec![member("L", b'L', &[b'x'; 1001]), file()], "exceeds 1000 bytes"),
        (vec![x(), vec![0; 1024]], "an extension without a member"),
        (vec![x()], "unexpected EOF"),
    ];
    for (parts, text) in cases {
        let error = names(&parts.concat()).expect_err(text);
        assert!(error.contains(text), "{error}, not {text}");
    }
}
