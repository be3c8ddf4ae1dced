use super::*;

fn parse(version: u32, text: &str) -> Result<HeaderInfo, String> {
    let limits = Limits { payloads: 2, ..Limits::default() };
    HeaderInfo::parse(version, text.as_bytes(), &mut Json::new(&limits), &limits)
        .map_err(|e| e.to_string())
}

#[test]
fn the_full_form_is_read() {
    let info = parse(
        3,
        r#"{"payloads":[{"type":"single-file"},{"type":null}],
            "artifact_provides":{"artifact_name":"r2","artifact_group":"g"},
            "artifact_depends":{"artifact_name":["r1"],"device_type":["a","b"],"artifact_group":["g"],"x":1}}"#,
    )
    .unwrap();
    assert_eq!(info.name, "r2");
    assert_eq!(info.kinds, [Some("single-file".to_owned()), None]);
    assert_eq!(info.device_types, ["a", "b"]);
    assert_eq!(info.provides["artifact_group"], "g");
    assert_eq!(info.depends["artifact_name"], Depend::Any(vec!["r1".into()]));
    assert_eq!(info.depends.len(), 3);
}

#[test]
fn version_2_has_other_keys_and_provides_nothing() {
    let text = r#"{"artifact_name":"r","updates":[{"type":"rootfs-image"}],
                   "device_types_compatible":["a"],"x":1}"#;
    let info = parse(2, text).unwrap();
    assert!(info.provides.is_empty());
    assert_eq!(info.depends["device_type"], Depend::Any(vec!["a".into()]));
}

#[test]
fn errors_say_what_the_reference_says() {
    let no = "Artifact validation failed with missing argument";
    let v3 = |payloads: &str, provides: &str, depends: &str| {
        format!(
            r#"{{"payloads":{payloads},"artifact_provides":{provides},"artifact_depends":{depends}}}"#
        )
    };
    let (one, named, typed) =
        (r#"[{"type":"x"}]"#, r#"{"artifact_name":"n"}"#, r#"{"device_type":["t"]}"#);
    let cases = [
        (3, String::new(), format!("{no}s: No Payloads added, Empty Artifact provides")),
        (3, v3("[]", named, typed), format!("{no}: No Payloads added")),
        (3, v3(one, "null", typed), format!("{no}: Empty Artifact provides")),
        (3, v3(one, "{}", typed), format!("{no}: Artifact name")),
        (3, v3("null", "{}", typed), format!("{no}s: No Payloads added, Artifact name")),
        (3, v3(r#"[{"type":""}]"#, named, typed), "Unexpected empty Payload type".into()),
        (3, v3(one, named, "{}"), "ArtifactDepends: Required field 'CompatibleDevices' not found".into()),
        (3, v3(r#"[{"type":"x","y":1}]"#, named, typed), "json: unknown field \"y\"".into()),
        (3, "{\"y\":1}".into(), "json: unknown field \"y\"".into()),
        (3, v3("[1,2,3]", named, typed), "json: cannot unmarshal number into payloads of type object".into()),
        (3, v3("[{},{},{}]", named, typed), "artifact has over 2 payloads".into()),
        (
            3,
            v3(one, r#"{"artifact_name":"\n","artifact_group":"\n"}"#, typed),
            "invalid artifact provides: invalid artifact name: string contains invalid characters, \
             invalid artifact group: string contains invalid characters"
                .into(),
        ),
        (
            3,
            v3(one, named, r#"{"device_type":["t"],"artifact_name":["a","\t"]}"#),
            "invalid artifact depends: artifact name at index 1 invalid: string contains invalid \
             characters"
                .into(),
        ),
        (
            2,
            r#"{"device_types_compatible":["t"]}"#.into(),
            format!("{no}s: No Payloads added, No artifact name"),
        ),
        (
            2,
            r#"{"artifact_name":"n","updates":[{}],"device_types_compatible":["t"]}"#.into(),
            format!("{no}: Empty Payload"),
        ),
        (2, "{}".into(), "ArtifactDepends: Required field 'CompatibleDevices' not found".into()),
        (
            2,
            r#"{"artifact_name":"\u0007","updates":[{"type":"rootfs-image"}],"device_types_compatible":["t"]}"#.into(),
            "invalid artifact name: string contains invalid characters".into(),
        ),
    ];
    for (version, text, want) in cases {
        assert_eq!(parse(version, &text).err().as_ref(), Some(&want), "{text}");
    }
}

#[test]
fn augmented_types_may_be_empty_but_not_missing() {
    let read = |text: &str| {
        let mut json = Json::new(&Limits::default());
        augmented_kinds(text.as_bytes(), &mut json).map_err(|e| e.to_string())
    };
    let kinds = read(r#"{"payloads":[{"type":""},{"type":"x"}],"artifact_provides":{}}"#);
    assert_eq!(kinds, Ok(vec![None, Some("x".to_owned())]));
    let error = read(r#"{"payloads":[{"type":null}]}"#).unwrap_err();
    assert_eq!(error, "Empty payload can not have augmented header");
}
