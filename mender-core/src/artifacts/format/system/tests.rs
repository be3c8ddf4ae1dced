use super::*;
use crate::artifacts::format::{Limits, Parsed, Parser, Recipe};

const GOOD: &str = "\
api_version: mender/v1
kind: manifest
name: core-1
system_types_compatible:
  - core
  - core-b
component_types:
  gateway:
    artifact_name: gateway-v1
    update_strategy:
      order: 10
  rtos:
    artifact_path: /data/rtos
    update_strategy: {order: 100}
";

fn refusal(text: &str) -> String {
    SystemManifest::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_manifest_says_what_components_shall_be() {
    let SystemManifest { name, system_types, component_types } =
        SystemManifest::parse(GOOD.as_bytes()).unwrap();
    assert_eq!(name, "core-1");
    assert_eq!(system_types, ["core", "core-b"]);
    let component = |name: Option<&str>, path: Option<&str>, order| Component {
        artifact_name: name.map(str::to_owned),
        artifact_path: path.map(str::to_owned),
        order,
    };
    let expected = [
        ("gateway".to_owned(), component(Some("gateway-v1"), None, 10)),
        ("rtos".to_owned(), component(None, Some("/data/rtos"), 100)),
    ];
    assert_eq!(component_types, expected.into());
}

#[test]
fn names_that_look_like_numbers_are_names() {
    let text = GOOD.replace("core-1", "1.10").replace("gateway-v1", "007");
    let manifest = SystemManifest::parse(text.as_bytes()).unwrap();
    assert_eq!(manifest.name, "1.10");
    assert_eq!(manifest.component_types["gateway"].artifact_name.as_deref(), Some("007"));
}

#[test]
fn what_is_wrong_is_told() {
    let long = "x".repeat(257);
    for (was, is, why) in [
        ("mender/v1", "mender/v2", "api_version: must be mender/v1"),
        ("kind: manifest", "kind: topology", "kind: must be manifest"),
        ("kind: manifest\n", "", "missing field `kind`"),
        ("name: core-1", "name: ''", "name: cannot be blank"),
        ("name: core-1", "name: a/b", "name: must not contain '/'"),
        ("core-1", &long, "name: the length must be between 1 and 256"),
        ("name: core-1", "name: [core-1]", "name: invalid type: sequence"),
        ("name: core-1", "name: \"a\\nb\"", "name: control characters are not allowed"),
        ("  - core\n  - core-b", "  []", "system_types_compatible: cannot be blank"),
        ("  - core-b", "  - ''", "system_types_compatible[1]: cannot be blank"),
        ("kind:", "version: 1\nkind:", "unknown field `version`"),
        ("kind:", "name: core-1\nkind:", "duplicate field `name`"),
        ("artifact_name:", "artifact:", "component_types.gateway: unknown field `artifact`"),
        ("    artifact_path: /data/rtos\n", "", "rtos: needs an artifact_name or an artifact_path"),
        ("  rtos", "  gateway", "duplicate component `gateway`"),
        ("    update_strategy:\n      order: 10\n", "", "missing field `update_strategy`"),
        ("order: 10\n", "order: 0\n", "gateway: update_strategy.order must be between 1 and 100"),
        ("order: 100", "order: 101", "rtos: update_strategy.order must be between 1 and 100"),
        ("order: 100", "order: x", "component_types.rtos.update_strategy.order: invalid type"),
        ("order: 100", "order: 1, by: 2", "unknown field `by`"),
    ] {
        assert!(GOOD.contains(was), "{was}");
        let refused = refusal(&GOOD.replacen(was, is, 1));
        assert!(refused.contains(why), "{is}: {refused}");
    }
    let (head, _) = GOOD.split_once("  gateway").unwrap();
    assert!(refusal(&format!("{head}  {{}}\n")).contains("component_types: cannot be blank"));
    refusal("");
    assert!(refusal(&format!("{GOOD}---\n{GOOD}")).contains("more than one document"));
    refusal("a: [");
    let long = format!("{GOOD}# {}", "x".repeat(SystemManifest::MAX));
    assert_eq!(refusal(&long), TOO_LONG);
}

#[test]
fn little_text_does_not_become_much() {
    let text = "x".repeat(4000);
    let aliases = |n: usize| -> String {
        let one =
            |n| format!("  c{n}:\n    artifact_name: *x\n    update_strategy: {{order: 1}}\n");
        (0..n).map(one).collect()
    };
    let first = format!("  c:\n    artifact_name: &x {text}\n    update_strategy: {{order: 1}}\n");
    let (head, _) = GOOD.split_once("  gateway").unwrap();
    let few = format!("{head}{first}{}", aliases(3));
    assert_eq!(SystemManifest::parse(few.as_bytes()).unwrap().component_types.len(), 4);
    assert_eq!(refusal(&format!("{head}{first}{}", aliases(100))), TOO_LONG);

    let (_, tail) = GOOD.split_once("component_types").unwrap();
    let types = format!("[&x {}{}]", "x".repeat(200), ", *x".repeat(10_000));
    let text = format!("{}\ncomponent_types{tail}", head.split_once("\n  - core").unwrap().0);
    let text = text.replace("compatible:", &format!("compatible: {types}"));
    assert!(refusal(&text).contains("there may be at most 200"), "{}", refusal(&text));
}

#[test]
fn depth_costs_no_time() {
    for open in ["[", "{", "- ", "? ", "a: [", "{a: ", "&a [", "!x ["] {
        let text = open.repeat(SystemManifest::MAX / open.len());
        refusal(&text);
        refusal(&format!("component_types: {text}"));
    }
}

fn parsed(yaml: &str, name: &str, types: &[&str]) -> Parsed {
    let recipe = Recipe::system_manifest(name, types.iter().copied(), yaml.len() as u64);
    let bytes = recipe.build(&[yaml.as_bytes()], None).unwrap();
    let mut parser = Parser::new(Limits::default());
    for piece in bytes.chunks(100) {
        parser.push(piece).unwrap();
    }
    parser.finish().unwrap()
}

#[test]
fn an_artifact_with_a_manifest_tells_what_it_says() {
    let Parsed { content, system_fault, .. } = parsed(GOOD, "core-1", &["core-b", "core"]);
    assert_eq!(content.system, Some(SystemManifest::parse(GOOD.as_bytes()).unwrap().into()));
    assert_eq!(system_fault, None);
    assert_eq!(content.payloads[0].kind.as_deref(), Some(SystemManifest::PAYLOAD));
    assert_eq!(content.payloads[0].files[0].name, "manifest.yaml");
    let provided = &content.provides["data-partition.mender-orchestrator-manifest.version"];
    assert_eq!(provided, "core-1");
    assert_eq!(content.clears, ["data-partition.mender-orchestrator-manifest.*"]);
}

#[test]
fn an_artifact_with_another_manifest_than_it_says_is_an_artifact() {
    for (yaml, name, types, why) in [
        (GOOD, "core-2", &["core", "core-b"][..], "name: must be that of the artifact"),
        (GOOD, "core-1", &["core"][..], "must be the device types of the artifact"),
        ("kind: x", "core-1", &["core"][..], "missing field `api_version`"),
    ] {
        let Parsed { content, system_fault, .. } = parsed(yaml, name, types);
        assert_eq!(content.system, None);
        let fault = system_fault.unwrap();
        assert!(fault.contains(why), "{fault}");
    }
}
