#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use crate::{
    artifacts::{
        Artifact, ArtifactQuery, ArtifactSort, Release, ReleaseKind, ReleaseQuery, ReleaseSort,
        Text,
        format::{Payload, SystemManifest},
    },
    commit::Commit,
    testing::{
        artifacts::{
            commit,
            made::{artifact, described, for_types, release, tagged},
            put,
        },
        contract::{Harness, claims},
        fixtures::{at, other_tenant, tenant},
    },
};

claims!["artifacts":
    releases_come_in_the_order_asked_for,
    artifacts_come_in_the_order_asked_for,
    releases_are_found_by_their_names,
    releases_are_found_by_what_they_contain,
    releases_are_found_by_tags,
    artifacts_are_found,
    conditions_hold_together,
    every_query_finds_what_core_means,
    tags_are_listed_once,
    manifests_are_told_from_other_releases,
];

/// Releases that differ in everything that they are sorted by.
fn fleet() -> Vec<Release> {
    let one = |id: &str, of: &str, millis: i64, types: &[&str]| Artifact {
        modified: at(millis),
        ..for_types(artifact(id, of), types)
    };
    let mut b = release(
        "b",
        vec![
            described(one("3", "b", 5, &["qemu-x86", "Board"]), "First é"),
            one("1", "b", 5, &["board 2"]),
        ],
    );
    b.modified = at(10);
    b.artifacts[1].content.payloads[0].kind = Some("Docker".into());
    let mut upper = release("B", vec![described(one("2", "B", 7, &["board"]), "")]);
    upper.modified = at(30);
    upper.artifacts[0].content.payloads[0].kind = None;
    let mut accents =
        release("É-1.0", vec![described(one("4", "É-1.0", 1, &["100%"]), "ΑΣ %_ second")]);
    accents.modified = at(20);
    let mut empty = release("a_1", vec![]);
    empty.modified = at(10);
    let mut long = release("b.2", vec![one("0", "b.2", 9, &["qemu"])]);
    long.modified = at(-30);
    long.artifacts[0].content.payloads.clear();
    vec![
        tagged(b, &["m", "z"]),
        tagged(upper, &["a"]),
        accents,
        tagged(empty, &["n", "b", "y"]),
        long,
    ]
}

async fn fill(h: &Harness) {
    for release in fleet() {
        put(h, &tenant(), &release).await;
    }
    let mut other = tagged(release("other", vec![artifact("9", "other")]), &["a", "m", "other"]);
    other.artifacts[0].content.payloads[0].kind = Some("Docker".into());
    put(h, &other_tenant(), &other).await;
}

/// Returns all releases of a query, after pages of every size gave the same.
async fn found(h: &Harness, query: &ReleaseQuery) -> Vec<Release> {
    let t = tenant();
    let all = h.stores.releases(&t, query, 0, 1000).await.unwrap();
    assert_eq!(h.stores.count_releases(&t, query).await.unwrap(), all.len() as u64, "{query:?}");
    for skip in 0..=all.len() {
        let page = h.stores.releases(&t, query, skip as u64, 2).await.unwrap();
        let end = all.len().min(skip + 2);
        assert_eq!(page, all[skip..end], "{query:?}");
    }
    assert_eq!(h.stores.releases(&t, query, u64::MAX, usize::MAX).await.unwrap(), []);
    assert_eq!(h.stores.releases(&t, query, 0, 0).await.unwrap(), []);
    assert_eq!(h.stores.releases(&t, query, 0, usize::MAX).await.unwrap(), all);
    all
}

async fn found_artifacts(h: &Harness, query: &ArtifactQuery) -> Vec<Artifact> {
    let t = tenant();
    let all = h.stores.artifacts(&t, query, 0, 1000).await.unwrap();
    assert_eq!(h.stores.count_artifacts(&t, query).await.unwrap(), all.len() as u64, "{query:?}");
    for skip in 0..=all.len() {
        let page = h.stores.artifacts(&t, query, skip as u64, 2).await.unwrap();
        let end = all.len().min(skip + 2);
        assert_eq!(page, all[skip..end], "{query:?}");
    }
    assert_eq!(h.stores.artifacts(&t, query, u64::MAX, usize::MAX).await.unwrap(), []);
    assert_eq!(h.stores.artifacts(&t, query, 0, 0).await.unwrap(), []);
    assert_eq!(h.stores.artifacts(&t, query, 0, usize::MAX).await.unwrap(), all);
    all
}

async fn names(h: &Harness, query: ReleaseQuery) -> Vec<String> {
    found(h, &query).await.into_iter().map(|release| release.name).collect()
}

async fn ids(h: &Harness, query: ArtifactQuery) -> String {
    let found = found_artifacts(h, &query).await;
    found.iter().map(|artifact| artifact.id.as_str()).collect()
}

fn by(sort: ReleaseSort, descending: bool) -> ReleaseQuery {
    ReleaseQuery { sort, descending, ..ReleaseQuery::default() }
}

async fn releases_come_in_the_order_asked_for(h: &Harness) {
    fill(h).await;
    let orders = [
        (ReleaseSort::Name, ["B", "a_1", "b", "b.2", "É-1.0"]),
        (ReleaseSort::Modified, ["b.2", "a_1", "b", "É-1.0", "B"]),
        (ReleaseSort::Artifacts, ["a_1", "B", "b.2", "É-1.0", "b"]),
        (ReleaseSort::Tags, ["b.2", "É-1.0", "B", "a_1", "b"]),
    ];
    for (sort, order) in orders {
        assert_eq!(names(h, by(sort, false)).await, order);
        if sort != ReleaseSort::Tags {
            let reversed: Vec<&str> = order.into_iter().rev().collect();
            assert_eq!(names(h, by(sort, true)).await, reversed);
        }
    }
    // By their last tags: z, y, a, and those without.
    let order = ["b", "a_1", "B", "É-1.0", "b.2"];
    assert_eq!(names(h, by(ReleaseSort::Tags, true)).await, order);
}

async fn artifacts_come_in_the_order_asked_for(h: &Harness) {
    fill(h).await;
    let orders = [
        (ArtifactSort::Name, "21304"),
        (ArtifactSort::Modified, "41320"),
        (ArtifactSort::Id, "01234"),
    ];
    for (sort, order) in orders {
        let query = |descending| ArtifactQuery { sort, descending, ..ArtifactQuery::default() };
        assert_eq!(ids(h, query(false)).await, order);
        assert_eq!(ids(h, query(true)).await, order.chars().rev().collect::<String>());
    }
}

fn is(texts: &[&str]) -> Text {
    Text::Is(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn starts(text: &str) -> Text {
    Text::Starts(text.to_owned())
}

async fn releases_are_found_by_their_names(h: &Harness) {
    fill(h).await;
    let cases: &[(Text, &[&str])] = &[
        (is(&["b"]), &["b"]),
        (is(&["b", "ghost", "É-1.0", "b"]), &["b", "É-1.0"]),
        (is(&["other"]), &[]),
        (is(&[]), &[]),
        (is(&["\0", "b\0"]), &[]),
        (starts("b"), &["b", "b.2"]),
        (starts("b."), &["b.2"]),
        (starts("É"), &["É-1.0"]),
        (starts(""), &["B", "a_1", "b", "b.2", "É-1.0"]),
        (starts("%"), &[]),
        (starts("\0"), &[]),
        (starts("\u{10ffff}"), &[]),
        (Text::starts_any_case("B"), &["B", "b", "b.2"]),
        (Text::starts_any_case("é"), &["É-1.0"]),
        (Text::starts_any_case("b\0"), &[]),
        (Text::contains("1"), &["a_1", "É-1.0"]),
        (Text::contains("_"), &["a_1"]),
        (Text::contains("%"), &[]),
        (Text::contains("B"), &["B", "b", "b.2"]),
        (Text::contains("É-"), &["É-1.0"]),
        (Text::contains(""), &["B", "a_1", "b", "b.2", "É-1.0"]),
        (Text::contains("\0"), &[]),
    ];
    for (name, expected) in cases {
        let query = ReleaseQuery { name: Some(name.clone()), ..ReleaseQuery::default() };
        assert_eq!(names(h, query).await, *expected, "{name:?}");
    }
}

async fn releases_are_found_by_what_they_contain(h: &Harness) {
    fill(h).await;
    let cases: &[(Text, &[&str])] = &[
        (is(&["First é"]), &["b"]),
        (is(&[""]), &["B"]),
        (is(&["first é"]), &[]),
        (starts("First"), &["b"]),
        (starts(""), &["B", "b", "É-1.0"]),
        (Text::starts_any_case("FIRST É"), &["b"]),
        // The last letter is written another way in the middle of a word.
        (Text::starts_any_case("ας"), &["É-1.0"]),
        (Text::contains("%_"), &["É-1.0"]),
        (Text::contains("S"), &["b", "É-1.0"]),
        (Text::contains(""), &["B", "b", "É-1.0"]),
    ];
    for (text, expected) in cases {
        let query = ReleaseQuery { description: Some(text.clone()), ..ReleaseQuery::default() };
        assert_eq!(names(h, query).await, *expected, "{text:?}");
    }
    let cases: &[(Text, &[&str])] = &[
        (is(&["board"]), &["B"]),
        (is(&["Board", "board"]), &["B", "b"]),
        (starts("board"), &["B", "b"]),
        (starts("qemu"), &["b", "b.2"]),
        (Text::starts_any_case("BOARD "), &["b"]),
        (Text::contains("0%"), &["É-1.0"]),
        (Text::contains("x86"), &["b"]),
        (Text::contains(""), &["B", "b", "b.2", "É-1.0"]),
    ];
    for (text, expected) in cases {
        let query = ReleaseQuery { device_type: Some(text.clone()), ..ReleaseQuery::default() };
        assert_eq!(names(h, query).await, *expected, "{text:?}");
    }
    let cases: &[(&str, &[&str])] = &[
        ("rootfs-image", &["b", "É-1.0"]),
        ("Docker", &["b"]),
        ("docker", &[]),
        ("", &[]),
        ("\0", &[]),
    ];
    for (kind, expected) in cases {
        let query = ReleaseQuery { kind: Some((*kind).to_owned()), ..ReleaseQuery::default() };
        assert_eq!(names(h, query).await, *expected, "{kind}");
    }
}

fn any(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}

async fn releases_are_found_by_tags(h: &Harness) {
    fill(h).await;
    let cases: &[(Vec<Vec<String>>, &[&str])] = &[
        (vec![any(&["a"])], &["B"]),
        (vec![any(&["a", "m", "z", "ghost"])], &["B", "b"]),
        (vec![any(&["m", "n"]), any(&["y", "z"])], &["a_1", "b"]),
        (vec![any(&["m"]), any(&["y"])], &[]),
        (vec![any(&[])], &[]),
        (vec![any(&["a"]), any(&[])], &[]),
        (vec![any(&["A", "\0", "other", ""])], &[]),
    ];
    for (tags, expected) in cases {
        let query = ReleaseQuery { tags: tags.clone(), ..ReleaseQuery::default() };
        assert_eq!(names(h, query).await, *expected, "{tags:?}");
    }
}

async fn artifacts_are_found(h: &Harness) {
    fill(h).await;
    let sort = ArtifactSort::Id;
    let cases: &[(Text, &str)] = &[
        (is(&["b"]), "13"),
        (is(&["b", "B"]), "123"),
        (starts("b"), "013"),
        (Text::starts_any_case("b"), "0123"),
        (Text::contains("-"), "4"),
        (Text::contains(""), "01234"),
    ];
    for (text, expected) in cases {
        let name = Some(text.clone());
        let query = ArtifactQuery { name, sort, ..ArtifactQuery::default() };
        assert_eq!(ids(h, query).await, *expected, "{text:?}");
    }
    // One without a description has an empty one.
    let cases: &[(Text, &str)] = &[
        (is(&[""]), "012"),
        (is(&["First é", ""]), "0123"),
        (starts("First"), "3"),
        (starts(""), "01234"),
        (Text::starts_any_case("FIRST"), "3"),
        (Text::contains("%_"), "4"),
        (Text::contains(""), "01234"),
    ];
    for (text, expected) in cases {
        let description = Some(text.clone());
        let query = ArtifactQuery { description, sort, ..ArtifactQuery::default() };
        assert_eq!(ids(h, query).await, *expected, "{text:?}");
    }
    let cases: &[(Text, &str)] = &[
        (is(&["board"]), "2"),
        (is(&["Board", "qemu-x86"]), "3"),
        (starts("board"), "12"),
        (starts("qemu"), "03"),
        (Text::starts_any_case("BOARD"), "123"),
        (Text::contains("0%"), "4"),
    ];
    for (text, expected) in cases {
        let device_type = Some(text.clone());
        let query = ArtifactQuery { device_type, sort, ..ArtifactQuery::default() };
        assert_eq!(ids(h, query).await, *expected, "{text:?}");
    }
    for (tags, expected) in [
        (vec![any(&["m", "a"])], "123"),
        (vec![any(&["m"]), any(&["a"])], ""),
        (vec![any(&[])], ""),
    ] {
        let query = ArtifactQuery { tags, sort, ..ArtifactQuery::default() };
        assert_eq!(ids(h, query).await, expected);
    }
}

async fn conditions_hold_together(h: &Harness) {
    fill(h).await;
    let all = ReleaseQuery {
        name: Some(Text::starts_any_case("b")),
        description: Some(Text::contains("first")),
        device_type: Some(starts("qemu")),
        kind: Some("Docker".into()),
        tags: vec![any(&["z"]), any(&["m", "a"])],
        ..by(ReleaseSort::Modified, true)
    };
    assert_eq!(names(h, all.clone()).await, ["b"]);
    let others = [
        ReleaseQuery { name: Some(is(&["B", "b.2"])), ..all.clone() },
        ReleaseQuery { description: Some(is(&[""])), ..all.clone() },
        ReleaseQuery { device_type: Some(is(&["board"])), ..all.clone() },
        ReleaseQuery { kind: Some("other".into()), ..all.clone() },
        ReleaseQuery { tags: vec![any(&["a"])], ..all },
    ];
    for query in others {
        assert_eq!(names(h, query).await, [""; 0]);
    }
    let query = ArtifactQuery {
        name: Some(is(&["b", "b.2"])),
        description: Some(starts("")),
        device_type: Some(Text::contains("qemu")),
        tags: vec![any(&["z"])],
        ..ArtifactQuery::default()
    };
    assert_eq!(ids(h, query.clone()).await, "3");
    // Of the two that fit one condition each, none fits both.
    let device_type = Some(is(&["board 2"]));
    let query = ArtifactQuery { description: Some(starts("First")), device_type, ..query };
    assert_eq!(ids(h, query).await, "");
}

async fn every_query_finds_what_core_means(h: &Harness) {
    fill(h).await;
    let texts = || {
        let texts = ["", "b", "B", "board", "É", "σ", "qemu", "first", "%", "\u{10ffff}"];
        texts.into_iter().flat_map(|text| {
            [is(&[text, "b"]), starts(text), Text::starts_any_case(text), Text::contains(text)]
        })
    };
    for (n, text) in texts().enumerate() {
        let sorts =
            [ReleaseSort::Name, ReleaseSort::Modified, ReleaseSort::Artifacts, ReleaseSort::Tags];
        let all = by(sorts[n % 4], n % 3 == 0);
        for query in [
            ReleaseQuery { name: Some(text.clone()), ..all.clone() },
            ReleaseQuery { description: Some(text.clone()), ..all.clone() },
            ReleaseQuery { device_type: Some(text.clone()), ..all },
        ] {
            let mut expected = fleet();
            expected.retain(|release| query.fits(release));
            expected.sort_by(|a, b| query.compare(a, b));
            assert_eq!(found(h, &query).await, expected, "{query:?}");
        }
        let sort = [ArtifactSort::Name, ArtifactSort::Modified, ArtifactSort::Id][n % 3];
        let all = ArtifactQuery { sort, descending: n % 2 == 0, ..ArtifactQuery::default() };
        for query in [
            ArtifactQuery { name: Some(text.clone()), ..all.clone() },
            ArtifactQuery { description: Some(text.clone()), ..all.clone() },
            ArtifactQuery { device_type: Some(text), ..all },
        ] {
            let mut expected: Vec<Artifact> = Vec::new();
            for release in fleet() {
                let fits = |artifact: &&Artifact| query.fits(&release, artifact);
                expected.extend(release.artifacts.iter().filter(fits).cloned());
            }
            expected.sort_by(|a, b| query.compare(a, b));
            assert_eq!(found_artifacts(h, &query).await, expected, "{query:?}");
        }
    }
}

async fn tags_are_listed_once(h: &Harness) {
    fill(h).await;
    let t = tenant();
    assert_eq!(h.stores.release_tags(&t, None).await.unwrap(), ["a", "b", "m", "n", "y", "z"]);
    let all = fleet();
    let change = Commit::update(all[0].clone(), tagged(all[0].clone(), &["m", "a", "0"]));
    commit(h, &t, change).await.unwrap();
    assert_eq!(h.stores.release_tags(&t, None).await.unwrap(), ["0", "a", "b", "m", "n", "y"]);
    commit(h, &t, Commit::delete(all[1].clone())).await.unwrap();
    commit(h, &t, Commit::delete(all[3].clone())).await.unwrap();
    assert_eq!(h.stores.release_tags(&t, None).await.unwrap(), ["0", "a", "m"]);
    assert_eq!(h.stores.release_tags(&other_tenant(), None).await.unwrap(), ["a", "m", "other"]);
}

async fn manifests_are_told_from_other_releases(h: &Harness) {
    fill(h).await;
    let t = tenant();
    let manifest = |name: &str, tags: &[&str]| {
        let mut artifact = artifact(name, name);
        let kind = Some(SystemManifest::PAYLOAD.to_owned());
        artifact.content.payloads.push(Payload { kind, ..Payload::default() });
        tagged(release(name, vec![artifact]), tags)
    };
    for manifest in [manifest("b.1", &["a", "x"]), manifest("z", &["y"])] {
        put(h, &t, &manifest).await;
    }
    put(h, &other_tenant(), &manifest("m", &["mine"])).await;
    let (releases, manifests) = (Some(ReleaseKind::Release), Some(ReleaseKind::Manifest));
    let all = ReleaseQuery::default;
    assert_eq!(names(h, all()).await, ["B", "a_1", "b", "b.1", "b.2", "z", "É-1.0"]);
    let of = |of| ReleaseQuery { of, ..all() };
    assert_eq!(names(h, of(releases)).await, ["B", "a_1", "b", "b.2", "É-1.0"]);
    assert_eq!(names(h, of(manifests)).await, ["b.1", "z"]);
    let named = ReleaseQuery { name: Some(Text::contains("B.")), ..of(manifests) };
    assert_eq!(names(h, named).await, ["b.1"]);
    let tagged = ReleaseQuery { tags: vec![vec!["y".into()]], descending: true, ..of(releases) };
    assert_eq!(names(h, tagged).await, ["a_1"]);
    let tags = async |of| h.stores.release_tags(&t, of).await.unwrap();
    assert_eq!(tags(None).await, ["a", "b", "m", "n", "x", "y", "z"]);
    assert_eq!(tags(releases).await, ["a", "b", "m", "n", "y", "z"]);
    assert_eq!(tags(manifests).await, ["a", "x", "y"]);
}
