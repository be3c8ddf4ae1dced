//! What an artifact contains, for people and for programs.

use std::fmt::Write as _;

use mender_core::artifacts::format::{Content, Parsed};
use serde_json::json;

pub(super) fn json(parsed: &Parsed) -> String {
    let Parsed { content, manifest: _, signature, size, scripts: _ } = parsed;
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
    text
}
