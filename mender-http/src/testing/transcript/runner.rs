//! Plays files step by step.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use mender_core::{Env, env::hex};
use serde_json::{Value, json};

use super::{
    areas::area,
    artifact,
    key::{Key, KeyKind},
    report::{Failure, Report},
    request::Draft,
    transport::Transport,
    vars::{Vars, yaml},
};

mod answer;
mod devices;

use answer::Answer;

/// Returns the features that a file needs; none where it is malformed.
#[must_use]
pub fn needs(text: &str) -> Vec<String> {
    let document = yaml(text).unwrap_or_default();
    let needs = document["needs"].as_array().into_iter().flatten();
    needs.filter_map(|need| need.as_str().map(str::to_owned)).collect()
}

/// Plays transcripts over a transport.
#[derive(Debug)]
pub struct Runner<T> {
    transport: T,
    user: String,
    have: Vec<String>,
    not_built: Vec<String>,
    reference: bool,
    keep_going: bool,
    given: BTreeMap<String, Value>,
    callers: BTreeMap<String, String>,
}

impl<T: Transport> Runner<T> {
    /// A runner whose user has this token.
    pub fn new(transport: T, user_token: impl Into<String>) -> Self {
        Self {
            transport,
            user: user_token.into(),
            have: Vec::new(),
            not_built: Vec::new(),
            reference: false,
            keep_going: false,
            given: BTreeMap::new(),
            callers: BTreeMap::new(),
        }
    }

    /// A runner whose user logs in.
    pub async fn log_in(transport: T, name: &str, password: &str) -> Result<Self, String> {
        let step = json!({
            "method": "POST",
            "path": "/api/management/v1/useradm/auth/login",
            "basic": [name, password],
        });
        let (target, request) = Draft::of(&step, &Vars::default(), None)?.build()?;
        let answer = Answer::of(transport.send(target, request).await?);
        match answer.status {
            200 => Ok(Self::new(transport, answer.text().trim())),
            status => Err(format!("log-in: {status} {}", answer.text())),
        }
    }

    /// Gives files a variable.
    #[must_use]
    pub fn given(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.given.insert(name.into(), value.into());
        self
    }

    /// Gives files another caller, with this token.
    #[must_use]
    pub fn caller(mut self, name: &str, token: impl Into<String>) -> Self {
        self.callers.insert(name.into(), token.into());
        self
    }

    /// Declares features that files may need.
    #[must_use]
    pub fn have(mut self, features: &[&str]) -> Self {
        self.have = features.iter().map(|f| (*f).to_owned()).collect();
        self
    }

    /// Names areas that are not built: steps in them are skipped and counted.
    #[must_use]
    pub fn not_built(mut self, areas: &[&str]) -> Self {
        self.not_built = areas.iter().map(|a| (*a).to_owned()).collect();
        self
    }

    /// Forgives steps in which we recommend something else than the reference server does.
    #[must_use]
    pub fn against_reference(mut self) -> Self {
        self.reference = true;
        self
    }

    /// Goes on with a file after a step that failed.
    #[must_use]
    pub fn keep_going(mut self) -> Self {
        self.keep_going = true;
        self
    }

    /// Plays one file, given its name for the report and its text.
    pub async fn play(&self, name: &str, text: &str) -> Report {
        let mut report = Report::default();
        let document = match yaml(text) {
            Ok(document) => document,
            Err(error) => {
                report.failed.push(failure(name, error));
                return report;
            }
        };
        let steps = document["steps"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(reason) = self.lacks(&document) {
            report.skipped = steps.len();
            report.left_out.push(format!("{name} needs {reason}"));
            return report;
        }
        match Play::new(self, &document, text) {
            Ok((mut play, damaged)) => {
                if !damaged.is_empty() {
                    let damaged = damaged.join(", ");
                    report.left_out.push(format!("{name}: damaged artifacts {damaged}"));
                }
                for (i, step) in steps.iter().enumerate() {
                    play.step(step, &title(name, i, step), &mut report).await;
                }
            }
            Err(error) => report.failed.push(failure(name, error)),
        }
        report
    }

    fn lacks(&self, document: &Value) -> Option<String> {
        let needs = document["needs"].as_array()?.iter().filter_map(Value::as_str);
        let missing: Vec<_> = needs.filter(|n| !self.have.iter().any(|h| h == n)).collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }

    fn is_built(&self, area: &str) -> bool {
        !self.not_built.iter().any(|other| other == area)
    }
}

fn failure(step: &str, error: impl Into<String>) -> Failure {
    Failure { step: step.into(), differences: vec![error.into()] }
}

fn title(file: &str, index: usize, step: &Value) -> String {
    let text = |key: &str| step[key].as_str().unwrap_or_default();
    let method = step["method"].as_str().unwrap_or("GET");
    let kinds = ["pending", "accepted", "token_of"];
    let what = kinds.iter().find(|kind| step.get(**kind).is_some());
    match what {
        Some(kind) => format!("{file} #{} {kind} {}", index + 1, text(kind)),
        None => format!("{file} #{} {} {method} {}", index + 1, text("name"), text("path")),
    }
}

struct Device {
    identity: Value,
    key: Key,
}

/// The state of one file that is being played.
struct Play<'a, T> {
    runner: &'a Runner<T>,
    vars: Vars,
    devices: BTreeMap<String, Device>,
    tokens: BTreeMap<String, String>,
    /// Callers whose token only a skipped step would have given.
    absent: BTreeSet<String>,
    stopped: bool,
}

impl<'a, T: Transport> Play<'a, T> {
    /// Begins to play; also returns the names of artifacts that can't be built.
    fn new(
        runner: &'a Runner<T>,
        document: &Value,
        text: &str,
    ) -> Result<(Self, Vec<String>), String> {
        let mut vars = Vars::default();
        vars.set("rand", hex(&Env::system().bytes::<4>()));
        vars.set("workflows_url", runner.transport.workflows_url());
        for (name, value) in &runner.given {
            vars.set(name, value.clone());
        }
        let given = vars.fill(&document["vars"])?;
        for (name, value) in given.as_object().into_iter().flatten() {
            vars.set(name, value.clone());
        }
        let mut devices = BTreeMap::new();
        for (name, device) in document["devices"].as_object().into_iter().flatten() {
            let identity = match device.get("identity") {
                Some(identity) => vars.fill(identity)?,
                None => vars.fill(&json!({"mac": format!("${{rand}}-{name}")}))?,
            };
            let kind = device["key"].as_str().unwrap_or("ed25519");
            let kind = KeyKind::named(kind).ok_or_else(|| format!("unknown key {kind}"))?;
            let key = Key::generate(kind);
            vars.set(format!("{name}.pubkey"), key.public_pem());
            vars.set(format!("{name}.identity"), identity.to_string());
            devices.insert(name.clone(), Device { identity, key });
        }
        let mut damaged = Vec::new();
        for (name, built) in artifact::build(text, &vars)? {
            let (content, size) = (format!("artifact:{name}"), format!("{name}.size"));
            if let Some(bytes) = built {
                vars.set(size, bytes.len());
                vars.set_bytes(content, bytes);
            } else {
                vars.skip(content);
                vars.skip(size);
                damaged.push(name);
            }
        }
        let mut tokens = runner.callers.clone();
        tokens.insert("user".to_owned(), runner.user.clone());
        let absent = BTreeSet::new();
        Ok((Self { runner, vars, devices, tokens, absent, stopped: false }, damaged))
    }

    async fn step(&mut self, step: &Value, title: &str, report: &mut Report) {
        if self.stopped && step["always"] != true {
            report.skipped += 1;
            return;
        }
        if self.is_left_out(step) {
            self.leave_out(step);
            report.skipped += 1;
            return;
        }
        // What happens in one millisecond has no order.
        let wait = Duration::from_secs_f64(step["wait"].as_f64().unwrap_or(0.0));
        self.runner.transport.settle(wait + Duration::from_millis(1)).await;
        let text = |key: &str| step[key].as_str();
        let done = if let Some(name) = text("pending") {
            self.pending(name).await.map_err(|error| vec![error])
        } else if let Some(name) = text("accepted") {
            self.accepted(name).await.map_err(|error| vec![error])
        } else if let Some(name) = text("token_of") {
            self.token(name).await.map_err(|error| vec![error])
        } else {
            self.request(step).await
        };
        match done {
            Ok(()) => report.passed += 1,
            Err(differences) => {
                self.stopped |= !self.runner.keep_going;
                report.failed.push(Failure { step: title.into(), differences });
            }
        }
    }

    /// Tells whether a step needs an area that is not built, or something given by such a step.
    fn is_left_out(&self, step: &Value) -> bool {
        let path = self.vars.fill(&step["path"]).unwrap_or_default();
        let method = step["method"].as_str().unwrap_or("GET");
        let answers = area(method, path.as_str().unwrap_or_default());
        let area = match step["path"] {
            Value::Null => Some("auth"),
            _ if step["base"] == "workflows" && answers.is_some() => Some("workflows"),
            _ => answers,
        };
        area.is_some_and(|area| !self.runner.is_built(area))
            || self.vars.uses_skipped(step)
            || step["as"].as_str().is_some_and(|who| self.absent.contains(who))
    }

    fn leave_out(&mut self, step: &Value) {
        for (name, _) in step["save"].as_object().into_iter().flatten() {
            self.vars.skip(name);
        }
        for key in ["pending", "accepted", "token_of", "token"] {
            let Some(name) = step[key].as_str() else {
                continue;
            };
            if key != "token" {
                self.vars.skip(format!("{name}.id"));
                self.vars.skip(format!("{name}.auth"));
            }
            if key != "pending" && !self.tokens.contains_key(name) {
                self.absent.insert(name.into());
            }
        }
    }

    async fn request(&mut self, step: &Value) -> Result<(), Vec<String>> {
        let one = |error: String| vec![error];
        let tries = step["tries"].as_u64().unwrap_or(1);
        let expected = self.vars.fill(&step["expect"]).map_err(one)?;
        let mut left = tries;
        let answer = loop {
            let answer = self.send(step).await.map_err(one)?;
            let wrong = answer.differences(&expected, &self.vars);
            left = left.saturating_sub(1);
            if wrong.is_empty() || (left == 0 && step["rec"] == true && self.runner.reference) {
                break answer;
            }
            if left == 0 {
                return Err(wrong);
            }
            self.runner.transport.settle(Duration::from_millis(200)).await;
        };
        for (name, path) in step["save"].as_object().into_iter().flatten() {
            let path = path.as_str().unwrap_or_default();
            let value = answer.pick(path, &self.vars);
            let value = value.ok_or_else(|| one(format!("cannot save {name}: no {path}")))?;
            self.vars.set(name, value);
        }
        if let Some(name) = step["token"].as_str() {
            self.tokens.insert(name.into(), answer.text().trim().into());
            self.absent.remove(name);
        }
        Ok(())
    }

    async fn send(&self, step: &Value) -> Result<Answer, String> {
        let who = step["as"].as_str().unwrap_or("user");
        let token = self.tokens.get(who).map(String::as_str);
        let mut draft = Draft::of(step, &self.vars, token)?;
        if let Some(name) = step["sign"].as_str() {
            let signature = self.device(name)?.key.sign(&draft.body);
            draft.insert(HeaderName::from_static("x-men-signature"), &signature)?;
        }
        let (target, request): (_, Request<Bytes>) = draft.build()?;
        let answer: Response<Bytes> = self.runner.transport.send(target, request).await?;
        Ok(Answer::of(answer))
    }

    fn device(&self, name: &str) -> Result<&Device, String> {
        let device = self.devices.get(name);
        device.ok_or_else(|| format!("unknown device {name}"))
    }
}

#[cfg(test)]
mod tests;
