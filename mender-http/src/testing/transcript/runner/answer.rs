//! An answer as data.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Response};
use mender_core::env::hex;
use ring::digest;
use serde_json::{Value, json};

use super::super::{
    matching::differences,
    vars::{Vars, printed},
};

pub(super) struct Answer {
    pub(super) status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(super) fn of(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The lines of a header, joined as clients see them.
    fn header(&self, name: &str) -> Option<Value> {
        let lines = self.headers.get_all(name).iter();
        let lines: Vec<_> = lines.map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        (!lines.is_empty()).then(|| lines.join(", ").into())
    }

    pub(super) fn differences(&self, expected: &Value, vars: &Vars) -> Vec<String> {
        const BODIES: [&str; 6] = ["json", "text", "bytes", "content", "jwt", "empty"];
        let json = self.json();
        let text = match json {
            None => std::str::from_utf8(&self.body).ok().filter(|text| !text.is_empty()),
            Some(_) => None,
        };
        let not_empty = || format!("body: {:?}, not empty", cut(&self.text()));
        let mut found = Vec::new();
        for (key, want) in expected.as_object().into_iter().flatten() {
            let differ = |got: Option<&Value>| differences(want, got, key);
            match key.as_str() {
                "status" => found.extend(differ(Some(&self.status.into()))),
                "headers" => {
                    for (name, want) in want.as_object().into_iter().flatten() {
                        let got = self.header(name);
                        found.extend(differences(want, got.as_ref(), &format!("header {name}")));
                    }
                }
                "json" => found.extend(differ(json.as_ref())),
                "text" => found.extend(differ(text.map(Value::from).as_ref())),
                "bytes" => {
                    let hash = digest::digest(&digest::SHA256, &self.body);
                    let got = json!({"length": self.body.len(), "sha256": hex(hash.as_ref())});
                    found.extend(differ(Some(&got)));
                }
                "content" => {
                    let all = vars.bytes(&want["of"]);
                    let part = part(&all, &want["from"], &want["to"]);
                    if *part != *self.body {
                        let (got, want) = (self.body.len(), part.len());
                        found.push(format!("content: {got} bytes, not the {want} expected"));
                    }
                }
                "jwt" => match self.token() {
                    Some(token) => found.extend(differ(Some(&token))),
                    None => found.push(format!("body: {:?} is no token", cut(&self.text()))),
                },
                "empty" if !self.body.is_empty() => found.push(not_empty()),
                "empty" | "body" => {}
                other => found.push(format!("expectation {other} is not supported")),
            }
        }
        let says = |key: &&str| expected.get(*key).is_some();
        let asked = BODIES.iter().any(says) || expected["body"] == "any";
        if !asked && !expected.is_null() && !self.body.is_empty() {
            found.push(not_empty());
        }
        found
    }

    fn token(&self) -> Option<Value> {
        let text = self.text();
        let mut parts = text.trim().split('.').map(|part| {
            let part = BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
            serde_json::from_slice::<Value>(&part).ok()
        });
        let (header, claims) = (parts.next()??, parts.next()??);
        Some(json!({"header": header, "claims": claims}))
    }

    /// Returns what `save` names.
    pub(super) fn pick(&self, path: &str, vars: &Vars) -> Option<Value> {
        if let Some(name) = path.strip_prefix("header ") {
            let value = self.header(name)?;
            if !name.eq_ignore_ascii_case("location") {
                return Some(value);
            }
            return value.as_str()?.rsplit('/').next().map(Value::from);
        }
        match path {
            "text" => return Some(self.text().into()),
            "$" => return self.json(),
            _ => {}
        }
        let mut value = self.json()?;
        for part in path.split('.') {
            value = match (&value, part.split_once('=')) {
                (Value::Array(items), Some((key, wanted))) => {
                    let wanted = printed(&vars.fill(&wanted.into()).ok()?);
                    let is_it = |item: &&Value| item.get(key).map(printed) == Some(wanted.clone());
                    items.iter().find(is_it)?.clone()
                }
                (Value::Array(items), None) => {
                    let index: isize = part.parse().ok()?;
                    let back = index.unsigned_abs();
                    let index = if index < 0 { items.len().checked_sub(back)? } else { back };
                    items.get(index)?.clone()
                }
                (other, _) => other.get(part)?.clone(),
            };
        }
        Some(value)
    }
}

/// The bytes from here to there; from the first and to the last where not said.
fn part<'a>(bytes: &'a [u8], from: &Value, to: &Value) -> &'a [u8] {
    let index = |at: &Value| at.as_u64().and_then(|at| usize::try_from(at).ok());
    let to = index(to).unwrap_or(bytes.len()).min(bytes.len());
    bytes.get(index(from).unwrap_or(0)..to).unwrap_or_default()
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}
