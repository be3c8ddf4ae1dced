use std::{collections::BTreeMap, time::Duration};

/// What a kind of device is like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// Its type.
    pub device_type: String,
    /// What it runs at first.
    pub artifact_name: String,
    /// How long it waits between polls.
    pub polls: Duration,
    /// How long it waits before it tells its inventory again.
    pub inventories: Duration,
    /// How long it waits before it first repeats what was not answered.
    pub retry: Duration,
    /// How long it waits at most before it repeats what was not answered.
    pub retries: Duration,
    /// Whether it goes on with a download that broke off where it was; else it begins anew.
    pub resumes: bool,
    /// What else its inventory says.
    pub attributes: BTreeMap<String, String>,
    /// How long an installation takes.
    pub installs: Duration,
    /// How long a reboot takes; none: updates need none.
    pub reboots: Option<Duration>,
    /// What goes wrong.
    pub chances: Chances,
}

/// How often things go wrong, of a thousand times each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Chances {
    /// A download breaks off.
    pub broken: u16,
    /// An update fails.
    pub failure: u16,
    /// The power is cut after a request of an update.
    pub cut: u16,
    /// An update makes the device fall silent for ever.
    pub stuck: u16,
    /// A report is sent twice, as though its answer was lost.
    pub repeat: u16,
    /// A report of an update that ended arrives once more, much later.
    pub late: u16,
}

impl Default for Profile {
    /// A device of type `pump` that runs `release-1`, with the intervals of the usual clients, to
    /// which nothing bad ever happens.
    fn default() -> Self {
        Self {
            device_type: "pump".into(),
            artifact_name: "release-1".into(),
            polls: Duration::from_secs(30 * 60),
            inventories: Duration::from_secs(8 * 60 * 60),
            retry: Duration::from_secs(60),
            retries: Duration::from_secs(5 * 60),
            resumes: true,
            attributes: BTreeMap::new(),
            installs: Duration::from_secs(60),
            reboots: Some(Duration::from_secs(40)),
            chances: Chances::default(),
        }
    }
}
