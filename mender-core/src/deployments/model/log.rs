use serde::{Deserialize, Serialize};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    deployments::model::DeploymentId,
    env::Time,
    id::{DeviceId, Version},
};

/// A line of a log, as the device wrote it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// When it happened, as the device tells time.
    pub timestamp: String,
    /// How grave it is.
    pub level: String,
    /// What happened.
    pub message: String,
}

/// What a device wrote down during a deployment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// Its id: the deployment and the device.
    pub key: String,
    /// The lines.
    pub messages: Vec<Message>,
    /// The version.
    pub version: Version,
}

impl Log {
    /// A log of a device.
    #[must_use]
    pub fn new(deployment: &DeploymentId, device: &DeviceId, messages: Vec<Message>) -> Self {
        Self { key: Self::key(deployment, device), messages, version: Version::FIRST }
    }

    /// Writes a line for each message.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for Message { timestamp, level, message } in &self.messages {
            let text = message.strip_suffix('\n').unwrap_or(message);
            out.push_str(&format!("{} {level}: {text}\n", log_time(timestamp)));
        }
        out
    }

    /// Returns the id of a log.
    #[must_use]
    pub fn key(deployment: &DeploymentId, device: &DeviceId) -> String {
        format!("{deployment}/{device}")
    }
}

/// Writes a time as logs have it; what is none is left as it is.
fn log_time(text: &str) -> String {
    let Ok(time) = text.parse::<Time>() else {
        return text.to_owned();
    };
    let text = time.to_string();
    let text = text.trim_end_matches('Z').replacen('T', " ", 1);
    let text = match text.split_once('.') {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        },
        None => text,
    };
    format!("{text} +0000 UTC")
}

impl Aggregate for Log {
    const KIND: &'static str = "deployments.log";

    const MAX_BYTES: usize = 2 << 20;

    fn id(&self) -> &str {
        &self.key
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "id", value: self.key.clone() }
    }

    fn index(&self) -> Vec<IndexKey> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::log_time;

    #[test]
    fn times_in_logs_have_no_more_digits_than_they_need() {
        assert_eq!(log_time("2016-03-11T13:03:17.063493443Z"), "2016-03-11 13:03:17.063 +0000 UTC");
        assert_eq!(log_time("2016-03-11T13:03:17.5Z"), "2016-03-11 13:03:17.5 +0000 UTC");
        assert_eq!(log_time("2016-03-11T14:03:18+01:00"), "2016-03-11 13:03:18 +0000 UTC");
        assert_eq!(log_time("00:39:06.746,000"), "00:39:06.746,000");
    }
}
