//! What an artifact contains, for people and for programs.

use std::fmt::Write as _;

use mender_core::artifacts::format::{Component, Content, Parsed, SystemManifest};
use serde_json::json;

pub(super) fn json(parsed: &Parsed) -> String {
    let Parsed { content, manifest: _, signature, size, scripts: _, system_fault: _ } = parsed;
    let object = json!({ "content": content, "signature": signature, "size": size });
    format!("{object:#}")
}

pub(super) fn text(parsed: &Parsed) -> String {
    let Content {
        version,
        name,
        device_types,
        signed,
        payloads,
        provides,
        depends,
        clears,
        scripts,
        system,
    } = &parsed.content;
    let signed = if *signed { "yes, by a signature that was not verified" } else { "no" };
    let mut text = String::new();
    let mut line = |depth: usize, key: &str, value: &str| {
        // Writing to a text can't fail.
        let _ = writeln!(text, "{:depth$}{key}: {value}", "");
    };
    line(0, "Name", name);
    line(0, "Format", &format!("version {version}"));
    line(0, "Size", &format!("{} bytes", parsed.size));
    line(0, "Signed", signed);
    line(0, "Device types", &device_types.join(", "));
    for (key, value) in provides {
        line(0, &format!("Provides {key}"), value);
    }
    for (key, values) in depends {
        line(0, &format!("Depends on {key}"), &values.values().join(" or "));
    }
    for pattern in clears {
        line(0, "Clears", pattern);
    }
    for script in scripts {
        line(0, "Script", script);
    }
    for (index, payload) in payloads.iter().enumerate() {
        let kind = payload.kind.as_deref().unwrap_or("empty");
        line(0, &format!("Payload {index}"), kind);
        if !payload.meta_data.is_empty() {
            line(2, "Meta-data", &json!(payload.meta_data).to_string());
        }
        for file in &payload.files {
            line(2, "File", &format!("{}, {} bytes", file.name, file.size));
            line(4, "SHA-256", &file.checksum);
        }
    }
    if let Some(fault) = &parsed.system_fault {
        line(0, "Manifest", &format!("none that servers show: {fault}"));
    }
    if let Some(manifest) = system {
        line(0, "Manifest for systems", &manifest.system_types.join(", "));
        for (kind, component) in in_order(manifest) {
            let Component { artifact_name, artifact_path, order } = component;
            let from: Vec<&str> =
                [artifact_path, artifact_name].into_iter().flatten().map(String::as_str).collect();
            line(2, &format!("Component {kind}"), &format!("{}, order {order}", from.join(" or ")));
        }
    }
    text
}

/// The components as they are installed.
fn in_order(manifest: &SystemManifest) -> Vec<(&String, &Component)> {
    let mut all: Vec<_> = manifest.component_types.iter().collect();
    all.sort_by_key(|(_, component)| component.order);
    all
}
