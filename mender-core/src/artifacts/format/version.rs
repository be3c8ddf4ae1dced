//! `version`: which version of the format it is.

use serde_json::Value;

use super::{
    error::FormatError,
    json::{Json, mismatch, text, unknown},
};

/// Returns the version: 2 or 3.
pub(super) fn parse(bytes: &[u8], json: &mut Json) -> Result<u32, FormatError> {
    let mut fields = match json.parse(bytes)? {
        Some(Value::Object(fields)) => fields,
        // Compat: an empty file is of version 0.
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(other) => return Err(mismatch(&other, "version", "object")),
    };
    let format = text(fields.remove("format"), "format")?.unwrap_or_default();
    let version = match fields.remove("version") {
        None | Some(Value::Null) => 0,
        Some(value) => value.as_i64().ok_or_else(|| mismatch(&value, "version", "int"))?,
    };
    if let Some(key) = fields.keys().next() {
        return Err(unknown(key));
    }
    let known = match version {
        1 => return Err(FormatError::RetiredVersion),
        2 => 2,
        3 => 3,
        other => return Err(FormatError::UnsupportedVersion(other)),
    };
    match format.as_str() {
        "mender" => Ok(known),
        "" => Err(FormatError::MetadataInvalid),
        other => {
            let format = super::headers::short(other);
            Err(FormatError::Invalid(format!("reader: unsupported format: {format}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::limits::Limits, *};

    #[test]
    fn versions_2_and_3_are_read() {
        let texts = [
            ("{\"format\":\"mender\",\"version\":3}", Ok(3)),
            (" {\"version\" : 2,\n\"format\":\"mender\"}\n", Ok(2)),
            (
                "{\"format\":\"mender\",\"version\":1}",
                Err("reader: Mender-Artifact version 1 is no longer supported"),
            ),
            ("{\"format\":\"mender\",\"version\":4}", Err("reader: unsupported version: 4")),
            ("{\"format\":\"mender\"}", Err("reader: unsupported version: 0")),
            ("", Err("reader: unsupported version: 0")),
            ("{\"version\":3}", Err("Metadata invalid")),
            ("{\"format\":\"tar\",\"version\":3}", Err("reader: unsupported format: tar")),
            ("{\"format\":\"mender\",\"version\":3,\"x\":1}", Err("json: unknown field \"x\"")),
            (
                "{\"format\":\"mender\",\"version\":\"3\"}",
                Err("json: cannot unmarshal string into version of type int"),
            ),
            (
                "{\"format\":\"mender\",\"version\":3.5}",
                Err("json: cannot unmarshal number into version of type int"),
            ),
        ];
        for (text, want) in texts {
            let got = parse(text.as_bytes(), &mut Json::new(&Limits::default()));
            assert_eq!(got.map_err(|e| e.to_string()), want.map_err(str::to_owned), "{text}");
        }
    }
}
