//! From a step to a request.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST},
};
use serde_json::Value;

use super::{
    transport::Target,
    vars::{Vars, printed},
};
use crate::query::escape;

const BOUNDARY: &str = "----------------------transcript";

/// A request without the signature that a device may add.
pub(super) struct Draft {
    pub(super) target: Target,
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Draft {
    pub(super) fn of(step: &Value, vars: &Vars, token: Option<&str>) -> Result<Self, String> {
        let path = printed(&vars.fill(&step["path"])?);
        // A link from an answer: the same server, whatever host it names.
        let path = match path.starts_with("http") {
            true => format!("/{}", path.splitn(4, '/').nth(3).unwrap_or_default()),
            false => path,
        };
        let target = match step["base"].as_str() {
            Some(service) => Target::Service(service.into()),
            None if path.starts_with("/api/internal/") => Target::Internal,
            None => Target::Public,
        };
        let mut draft = Self {
            target,
            method: step["method"].as_str().unwrap_or("GET").into(),
            uri: uri(&path, &vars.fill(&step["query"])?),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        draft.insert(HOST, "localhost")?;
        let given = vars.fill(&step["headers"])?;
        for (name, value) in given.as_object().into_iter().flatten() {
            let name = name.parse().map_err(|_| format!("header name {name}"))?;
            draft.insert(name, &printed(value))?;
        }
        if let Some(token) = token {
            draft.default(AUTHORIZATION, &format!("Bearer {token}"))?;
        }
        draft.fill_body(step, vars)?;
        if let Value::Array(basic) = vars.fill(&step["basic"])? {
            let pair: Vec<_> = basic.iter().map(printed).collect();
            let basic = format!("Basic {}", BASE64_STANDARD.encode(pair.join(":")));
            draft.insert(AUTHORIZATION, &basic)?;
        }
        Ok(draft)
    }

    fn fill_body(&mut self, step: &Value, vars: &Vars) -> Result<(), String> {
        let given = |name: &str| step.get(name).map(|node| vars.fill(node)).transpose();
        if let Some(json) = given("json")? {
            self.body = json.to_string().into();
            self.default(CONTENT_TYPE, "application/json")?;
        } else if let Some(text) = given("text")? {
            self.body = printed(&text).into();
        } else if let Some(content) = given("content")? {
            self.body = vars.bytes(&content);
        } else if let Some(text) = given("base64")? {
            let body = BASE64_STANDARD.decode(printed(&text).trim());
            self.body = body.map_err(|error| error.to_string())?.into();
        } else if let Some(repeat) = step.get("repeat") {
            let times = repeat["times"].as_u64().and_then(|n| usize::try_from(n).ok());
            self.body = printed(&repeat["text"]).repeat(times.unwrap_or(0)).into();
        } else if let Some(form) = given("form")? {
            self.body = match form {
                Value::Object(_) => {
                    self.default(CONTENT_TYPE, "application/x-www-form-urlencoded")?;
                    pairs(&form).join("&").into()
                }
                text => printed(&text).into(),
            };
        } else if let Some(Value::Array(parts)) = given("multipart")? {
            self.body = multipart(&parts, vars).into();
            let kind = format!("multipart/form-data; boundary={BOUNDARY}");
            self.default(CONTENT_TYPE, &kind)?;
        }
        Ok(())
    }

    fn default(&mut self, name: HeaderName, value: &str) -> Result<(), String> {
        match self.headers.contains_key(&name) {
            true => Ok(()),
            false => self.insert(name, value),
        }
    }

    pub(super) fn insert(&mut self, name: HeaderName, value: &str) -> Result<(), String> {
        let value = HeaderValue::from_bytes(value.as_bytes());
        self.headers.insert(name, value.map_err(|error| error.to_string())?);
        Ok(())
    }

    pub(super) fn build(mut self) -> Result<(Target, Request<Bytes>), String> {
        if !self.body.is_empty() {
            self.insert(CONTENT_LENGTH, &self.body.len().to_string())?;
        }
        let request = Request::builder().method(self.method.as_str()).uri(&self.uri);
        let mut request = request.body(self.body).map_err(|error| error.to_string())?;
        *request.headers_mut() = self.headers;
        Ok((self.target, request))
    }
}

fn uri(path: &str, query: &Value) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let is_hex = |text: Option<&str>| text.is_some_and(|t| u8::from_str_radix(t, 16).is_ok());
    let escapes_hold = path.match_indices('%').all(|(i, _)| is_hex(path.get(i + 1..i + 3)));
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'%' if !escapes_hold => uri.push_str("%25"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => uri.push(byte.into()),
            _ if b"-._~!#$%&'()*+,/:;=?@[]".contains(&byte) => uri.push(byte.into()),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    let query = pairs(query);
    if !query.is_empty() {
        uri.push(if uri.contains('?') { '&' } else { '?' });
        uri.push_str(&query.join("&"));
    }
    uri
}

fn pairs(map: &Value) -> Vec<String> {
    let mut pairs = Vec::new();
    for (key, value) in map.as_object().into_iter().flatten() {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        let values = values.iter().filter(|value| !value.is_null());
        pairs.extend(values.map(|v| format!("{}={}", escape(key), escape(&printed(v)))));
    }
    pairs
}

fn multipart(parts: &[Value], vars: &Vars) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let attribute = |key: &str, name: &str| match part.get(key) {
            Some(value) if !value.is_null() => format!("; {name}=\"{}\"", printed(value)),
            _ => String::new(),
        };
        let (name, file) = (attribute("name", "name"), attribute("filename", "filename"));
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data{name}{file}\r\n").bytes(),
        );
        if file.is_empty()
            && let Some(kind) = part.get("type")
        {
            body.extend(format!("Content-Type: {}\r\n", printed(kind)).bytes());
        }
        body.extend([&b"\r\n"[..], &vars.bytes(&part["value"]), b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn uris_are_escaped_as_clients_do() {
        let query = json!({"a": ["1", 2], "b": "x y", "c": null});
        assert_eq!(uri("/p//q?z=1", &query), "/p//q?z=1&a=1&a=2&b=x+y");
        assert_eq!(uri("/a b%20c", &json!(null)), "/a%20b%20c");
        assert_eq!(uri("/a?x=%zz", &json!(null)), "/a?x=%25zz");
    }
}
