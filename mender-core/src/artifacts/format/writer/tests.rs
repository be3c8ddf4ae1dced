use proptest::{collection::vec, prelude::*};
use ring::digest::{Context, SHA256};
use serde_json::json;

use super::{super::sum::hex, *};
use crate::{
    artifacts::format::{
        Compression, Depend, FileRecipe, FormatError, Limits, Parsed, Parser, PayloadRecipe,
        Provides, Replace, ResignError, Resigner, Script, SingleFile, Sink, Software, verify,
    },
    signature::PublicKey,
};

fn parse(bytes: &[u8], chunk: usize) -> Result<Parsed, FormatError> {
    let mut parser = Parser::new(Limits::default());
    bytes.chunks(chunk).try_for_each(|piece| parser.push(piece))?;
    parser.finish()
}

fn key() -> SigningKey {
    SigningKey::from_pem(include_str!("../signing/keys/p256-sec1.pem")).unwrap()
}

fn golden() -> Recipe {
    let files = vec![FileRecipe::new("file1", 6), FileRecipe::new("file2", 6)];
    let software = Software::default();
    let mut recipe = Recipe::module("single-file", "m-none", ["devA"], files, Some(&software))
        .packed(Compression::None);
    let meta_data = json!({
        "a": 1, "b": ["x", 2], "big": 9_007_199_254_740_992_u64, "c": {"d": true}, "u": "é<>&"
    });
    recipe.payloads[0].meta_data = meta_data.as_object().unwrap().clone();
    recipe
}

#[test]
fn the_golden_example_has_the_bytes_that_the_tool_writes() {
    let bytes = golden().build(&[b"hello\n", b"world\n"], None).unwrap();
    assert_eq!(bytes.len(), 11_264);
    let manifest = "\
        5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  data/0000/file1\n\
        e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317  data/0000/file2\n\
        d3d1312ef58417a4ef4b072934abd433dd16d8e0bc22ad6cb4a05e62528d597d  header.tar\n\
        96bcd965947569404798bcbdb614f103db5a004eb6e364cfc162c146890ea35b  version\n";
    assert_eq!(parse(&bytes, 999).unwrap().manifest, manifest.as_bytes());
    let sum = |bytes: &[u8]| hex(Context::new(&SHA256), bytes);
    let header = "d3d1312ef58417a4ef4b072934abd433dd16d8e0bc22ad6cb4a05e62528d597d";
    assert_eq!(sum(&bytes[2560..6656]), header);
    assert_eq!(&bytes[6656..6668], b"data/0000.ta");
    assert_eq!(&bytes[7680..7686], b"hello\n");
}

#[test]
fn a_configuration_is_small_whole_and_always_the_same() {
    let map = json!({"timezone": "UTC"}).as_object().unwrap().clone();
    let make = || Recipe::configuration("config-1", "devA", map.clone()).build(&[], None).unwrap();
    let bytes = make();
    assert_eq!(bytes, make());
    let content = parse(&bytes, 4096).unwrap().content;
    assert_eq!(content.payloads[0].kind.as_deref(), Some("mender-configure"));
    assert_eq!(content.payloads[0].meta_data, map);
    assert_eq!(content.provides["data-partition.mender-configure.version"], "config-1");
    assert_eq!(content.clears, ["data-partition.mender-configure.*"]);
    assert!(bytes.len() >= 8192);
}

#[test]
fn presets_provide_and_clear_what_the_tool_does() {
    let image = || FileRecipe::new("rootfs.ext4", 5);
    let named = |filesystem: Option<&str>, name: Option<&str>, version: Option<&str>| Software {
        filesystem: filesystem.map(str::to_owned),
        name: name.map(str::to_owned),
        version: version.map(str::to_owned),
    };
    let plain = Software::default();
    let app = named(None, Some("app"), Some("2"));
    let data = named(Some("data-partition"), None, None);
    let old = ["artifact_group", "rootfs_image_checksum"];
    let module = |software| Recipe::module("t", "r", ["d"], vec![image()], software);
    let rootfs = |software| Recipe::rootfs("r", ["d"], image(), software);
    type Version = Option<(&'static str, &'static str)>;
    let cases: [(Recipe, Version, Vec<&str>); 8] = [
        (module(Some(&plain)), Some(("rootfs-image.t.version", "r")), vec!["rootfs-image.t.*"]),
        (module(Some(&app)), Some(("rootfs-image.app.version", "2")), vec!["rootfs-image.app.*"]),
        (module(Some(&data)), Some(("data-partition.t.version", "r")), vec!["data-partition.t.*"]),
        (module(None), None, vec![]),
        (
            rootfs(Some(&plain)),
            Some(("rootfs-image.version", "r")),
            vec![old[0], old[1], "rootfs-image.*"],
        ),
        (
            rootfs(Some(&app)),
            Some(("rootfs-image.app.version", "2")),
            vec![old[0], old[1], "rootfs-image.app.*"],
        ),
        (
            rootfs(Some(&data)),
            Some(("data-partition.version", "r")),
            vec![old[0], old[1], "data-partition.*"],
        ),
        (rootfs(None), None, old.to_vec()),
    ];
    for (recipe, version, clears) in cases {
        let is_rootfs = recipe.payloads[0].provides_checksum.is_some();
        let content = parse(&recipe.build(&[b"image"], None).unwrap(), 999).unwrap().content;
        let mut provides = Provides::from([("artifact_name".into(), "r".into())]);
        provides.extend(version.map(|(key, value)| (key.into(), value.into())));
        if is_rootfs {
            let sum = content.payloads[0].files[0].checksum.clone();
            provides.insert("rootfs-image.checksum".into(), sum);
        }
        assert_eq!(
            (content.provides, content.clears),
            (provides, clears.iter().map(|&c| c.into()).collect())
        );
    }
}

#[test]
fn a_single_file_comes_with_its_place() {
    let file =
        SingleFile { dest_dir: "/etc".into(), filename: "motd".into(), size: 2, mode: 0o644 };
    let recipe = Recipe::single_file("r", ["d"], &file, &Software::default()).unwrap();
    let bytes = recipe.build(&[&file.preamble(), b"hi"], None).unwrap();
    let mut seen = Files::default();
    let mut parser = Parser::new(Limits::default());
    parser.push_to(&bytes, &mut seen).unwrap();
    parser.finish().unwrap();
    let want =
        [("dest_dir", "/etc\n"), ("filename", "motd\n"), ("permissions", "644\n"), ("motd", "hi")];
    assert_eq!(seen.0, want.map(|(name, text)| (0, name.to_owned(), text.into(), true)));
    for bad in ["a b", "../x", ""] {
        let file = SingleFile { filename: bad.into(), ..file.clone() };
        assert!(Recipe::single_file("r", ["d"], &file, &Software::default()).is_err(), "{bad}");
    }
}

#[derive(Default)]
struct Files(Vec<(usize, String, Vec<u8>, bool)>);

impl Sink for Files {
    fn begin(&mut self, payload: usize, name: &str, _: u64) {
        self.0.push((payload, name.into(), Vec::new(), false));
    }

    fn write(&mut self, piece: &[u8]) {
        self.0.last_mut().unwrap().2.extend_from_slice(piece);
    }

    fn end(&mut self) {
        self.0.last_mut().unwrap().3 = true;
    }
}

#[test]
fn content_is_read_once_where_checksums_are_known() {
    let bytes = golden().build(&[b"hello\n", b"world\n"], None).unwrap();
    let parsed = parse(&bytes, 999).unwrap();
    let sums = parsed.content.payloads[0].files.iter().map(|file| file.checksum.clone()).collect();
    let plan = Plan::of_known(golden(), vec![sums]).unwrap();
    assert_eq!(plan.size(), parsed.size);
    let (mut writer, mut again) = (plan.write().unwrap(), Vec::new());
    writer.push(b"hello\nworld\n", &mut again).unwrap();
    writer.finish(&mut again).unwrap();
    assert_eq!(again, bytes);
    assert_eq!(Plan::of_known(golden(), vec![]).unwrap_err(), RecipeError::TooShort);
}

#[test]
fn content_that_is_not_as_announced_is_refused() {
    let build = |recipe: Recipe, content: &[u8]| recipe.build(&[content], None).unwrap_err();
    assert_eq!(build(golden(), b"hello\nworld"), RecipeError::TooShort);
    assert_eq!(build(golden(), b"hello\nworld\n!"), RecipeError::TooLong);
    let mut measure = Measure::new(golden());
    measure.push(b"hello\nworld\n").unwrap();
    let mut writer = measure.finish().unwrap().write().unwrap();
    let error = writer.push(b"hello\nWorld\n", &mut Vec::new()).unwrap_err();
    assert_eq!(error, RecipeError::Changed);
}

#[test]
fn recipes_of_what_cannot_be_read_are_refused() {
    type Change = fn(&mut Recipe);
    let with = |change: Change| {
        let mut recipe = golden();
        change(&mut recipe);
        recipe.build(&[b"hello\n", b"world\n"], None).unwrap_err().to_string()
    };
    let cases: [(Change, &str); 7] = [
        (
            |r| r.device_types.clear(),
            "ArtifactDepends: Required field 'CompatibleDevices' not found",
        ),
        (
            |r| r.name = "\n".into(),
            "invalid artifact provides: invalid artifact name: string contains invalid characters",
        ),
        (
            |r| r.payloads[0].files[0].name = "a b".into(),
            "Payload: data file a b contains forbidden characters. Only letters, digits and characters in the set \".,_-\" are allowed",
        ),
        (|r| r.payloads[0].files[1].name = "file1".into(), "checksum: file already exists"),
        (|r| r.version = 2, "Payload: unsupported file: headers/0000/files"),
        (
            |r| r.payloads[0].files[0].name = "x".repeat(101),
            "has too long a name, or 8 GiB or more, which devices don't read",
        ),
        (
            |r| r.scripts.push(Script { name: "Idle_Enter_00".into(), content: vec![] }),
            "\"Idle_Enter_00\" is no name of a script: it is a state such as ArtifactInstall, _Enter, _Leave or _Error, two digits, and may end in _ and a word",
        ),
    ];
    for (change, text) in cases {
        let error = with(change);
        assert!(error.ends_with(text), "{error}");
    }
}

/// Signs what is written already.
fn resign(bytes: &[u8], replace: Replace, chunk: usize) -> Result<Vec<u8>, ResignError> {
    let mut resigner = Resigner::new(key(), replace, Limits::default());
    let mut to = Vec::new();
    bytes.chunks(chunk).try_for_each(|piece| resigner.push(piece, &mut to))?;
    resigner.finish().map(|()| to)
}

#[test]
fn signing_later_changes_the_signature_only() {
    let public = PublicKey::from_pem(include_str!("../signing/keys/p256.pub")).unwrap();
    let plain = [&golden().build(&[b"hello\n", b"world\n"], None).unwrap()[..], b"tail"].concat();
    let signed = golden().build(&[b"hello\n", b"world\n"], Some(&key())).unwrap();
    for chunk in [1, 100, 512, 100_000] {
        let late = resign(&plain, Replace::No, chunk).unwrap();
        let parsed = parse(&late, 77).unwrap();
        verify(&parsed.manifest, &parsed.signature.unwrap(), &public).unwrap();
        assert_eq!(late.len(), plain.len() + 1024);
        assert_eq!((&late[..2048], &late[3072..]), (&plain[..2048], &plain[2048..]));
        assert_eq!(resign(&late, Replace::No, chunk), Err(ResignError::Signed));
        assert_eq!(resign(&late, Replace::Yes, chunk).as_ref(), Ok(&late));
        assert_eq!(late[3072..].strip_suffix(b"tail"), Some(&signed[3072..]));
    }
    assert!(resign(b"no artifact", Replace::No, 5).is_err());
    assert!(resign(&plain[..2048], Replace::No, 5).is_err());
    assert!(resign(&plain[2048..], Replace::No, 5).is_err());
}

#[test]
fn an_artifact_of_version_2_is_read_back() {
    let mut recipe = Recipe::rootfs("r", ["d"], FileRecipe::new("rootfs.ext4", 5), None);
    recipe.version = 2;
    let content = parse(&recipe.build(&[b"image"], None).unwrap(), 99).unwrap().content;
    assert_eq!((content.version, content.payloads[0].files.len()), (2, 1));
    assert!(content.provides.is_empty() && content.clears.is_empty());
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.-]{1,12}".prop_filter("no folder", |name| name != "." && name != "..")
}

fn payload(index: usize) -> impl Strategy<Value = (PayloadRecipe, Vec<Vec<u8>>)> {
    let files = proptest::collection::btree_map(word(), vec(any::<u8>(), 0..2000), 0..4);
    let provides = proptest::collection::btree_map(word(), "[ -~é<>&]{0,20}", 0..3);
    let depend = prop_oneof![
        "[a-z]{0,5}".prop_map(Depend::One),
        vec("[a-z]{1,5}", 1..3).prop_map(Depend::Any)
    ];
    let depends = proptest::collection::btree_map(word(), depend, 0..3);
    let meta = proptest::collection::btree_map(".{0,5}", any::<i64>(), 0..3);
    let kind = prop_oneof![Just(None), word().prop_map(Some)];
    (kind, files, provides, depends, vec("[a-z.*]{1,9}", 0..3), meta).prop_map(
        move |(kind, files, provides, depends, clears, meta)| {
            // Keys of payloads must not collide, and an empty one has neither files nor meta-data.
            let own = |key: String| format!("{index}.{key}");
            let files = if kind.is_some() { files } else { Default::default() };
            let meta_data = match kind {
                Some(_) => meta.into_iter().map(|(k, v)| (k, v.into())).collect(),
                None => Default::default(),
            };
            let payload = PayloadRecipe {
                kind: kind.map(|kind| format!("t{kind}")),
                files: files
                    .iter()
                    .map(|(name, bytes)| FileRecipe::new(name, bytes.len() as u64))
                    .collect(),
                provides: provides.into_iter().map(|(k, v)| (own(k), v)).collect(),
                provides_checksum: None,
                depends: depends.into_iter().map(|(k, v)| (own(k), v)).collect(),
                clears,
                meta_data,
            };
            (payload, files.into_values().collect())
        },
    )
}

fn recipe() -> impl Strategy<Value = (Recipe, Vec<Vec<u8>>)> {
    let packed = prop_oneof![
        Just(Compression::None),
        Just(Compression::Gzip),
        Just(Compression::Xz),
        Just(Compression::Zstd)
    ];
    let payloads = prop_oneof![
        payload(0).prop_map(|one| vec![one]),
        (payload(0), payload(1)).prop_map(|(one, two)| vec![one, two])
    ];
    let scripts = proptest::collection::btree_map(
        "Artifact(Install|Failure)_(Enter|Leave)_[0-9]{2}(_[a-z]{1,3})?",
        vec(any::<u8>(), 0..600),
        0..3,
    );
    (
        "[ -~é]{1,20}",
        vec("[a-z]{1,9}", 1..4),
        proptest::option::of("[a-z]{1,9}"),
        vec("[a-z]{1,9}", 0..3),
        payloads,
        scripts,
        packed,
        0..1_u64 << 33,
    )
        .prop_map(|(name, types, group, needed, payloads, scripts, compression, modified)| {
            let (payloads, contents): (Vec<_>, Vec<_>) = payloads.into_iter().unzip();
            let recipe = Recipe {
                group,
                depends_names: needed.clone(),
                depends_groups: needed,
                payloads,
                scripts: scripts
                    .into_iter()
                    .map(|(name, content)| Script { name, content })
                    .collect(),
                compression,
                modified,
                ..Recipe::new(name, types)
            };
            (recipe, contents.concat())
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_reads_back_the_same_however_it_is_cut(
        (recipe, contents) in recipe(),
        chunk in 1..5000_usize,
    ) {
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let bytes = recipe.clone().build(&contents, None).unwrap();
        let parsed = parse(&bytes, chunk).unwrap();
        prop_assert_eq!(&parsed, &parse(&bytes, 1).unwrap());
        let content = parsed.content;
        prop_assert_eq!(&content.name, &recipe.name);
        prop_assert_eq!(&content.device_types, &recipe.device_types);
        prop_assert_eq!(content.provides.get("artifact_group"), recipe.group.as_ref());
        let scripts: Vec<_> = recipe.scripts.iter().map(|script| &script.name).collect();
        prop_assert_eq!(content.scripts.iter().collect::<Vec<_>>(), scripts);
        let mut clears = Vec::new();
        let mut contents = contents.into_iter();
        for (payload, want) in content.payloads.iter().zip(&recipe.payloads) {
            prop_assert_eq!(&payload.kind, &want.kind);
            prop_assert_eq!(&payload.meta_data, &want.meta_data);
            clears.extend(want.clears.clone());
            for (key, value) in &want.provides {
                prop_assert_eq!(content.provides.get(key), Some(value));
            }
            for (key, value) in &want.depends {
                prop_assert_eq!(content.depends.get(key), Some(value));
            }
            prop_assert_eq!(payload.files.len(), want.files.len());
            for (file, want) in payload.files.iter().zip(&want.files) {
                let bytes = contents.next().unwrap();
                prop_assert_eq!((&file.name, file.size), (&want.name, want.size));
                prop_assert_eq!(file.modified.cast_unsigned(), recipe.modified);
                prop_assert_eq!(&file.checksum, &hex(Context::new(&SHA256), bytes));
            }
        }
        prop_assert_eq!(content.clears, clears);
        prop_assert_eq!(content.payloads.len(), recipe.payloads.len());
    }
}
