//! Where values of settings come from.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, parser::ValueSource};

use crate::settings::{Setting, Wrong, all, value::Value};

/// What names the file of settings.
pub(crate) const CONFIG: &str = "MENDER_CONFIG";

/// Variables that begin like ours and belong to tests and other tools.
const OTHERS: [&str; 5] =
    ["MENDER_TEST_", "MENDER_CI_", "MENDER_COMPAT_", "MENDER_SERVER", "MENDER_REFERENCE_DIR"];

/// Tells whether the name is one of those that Kubernetes and Docker give to every container, for
/// services such as `mender` or `mender-device-auth`.
fn is_service_link(variable: &str) -> bool {
    let port = |rest: &str| {
        let (number, protocol) = rest.split_once('_').unwrap_or_default();
        let number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let protocol = protocol.split('_').next().unwrap_or_default();
        number && ["TCP", "UDP", "SCTP"].contains(&protocol)
    };
    variable.ends_with("_SERVICE_HOST")
        || variable.ends_with("_SERVICE_PORT")
        || variable.contains("_SERVICE_PORT_")
        || variable.ends_with("_PORT")
        || variable.match_indices("_PORT_").any(|(at, found)| port(&variable[at + found.len()..]))
}

/// Where a value was given.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Flag,
    Variable,
    File(PathBuf),
    Default,
}

/// The values that were given, as text.
#[derive(Default)]
pub(crate) struct Given {
    values: BTreeMap<&'static str, (String, Source)>,
    /// The file, where a flag names it.
    config: Option<String>,
}

fn known(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

impl Given {
    pub(crate) fn collect(
        flags: &ArgMatches,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Wrong> {
        let variables: Vec<_> = variables.into_iter().collect();
        let named = variables.iter().find(|(name, _)| name == CONFIG);
        let file = flags
            .get_one::<String>("config")
            .or(named.map(|(_, path)| path))
            .filter(|path| !path.is_empty());
        let mut given = Self { config: flags.get_one("config").cloned(), ..Self::default() };
        if let Some(path) = file {
            given.add_file(Path::new(path))?;
        }
        given.add_variables(variables)?;
        for setting in all() {
            if flags.value_source(setting.name) == Some(ValueSource::CommandLine)
                && let Some(value) = flags.get_one::<String>(setting.name)
            {
                given.add(setting, value.clone(), Source::Flag);
            }
        }
        Ok(given)
    }

    /// Returns the flags that were given, with their values; without those that nobody must see.
    pub(crate) fn flags(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let config = self.config.iter().map(|path| ("config", path.as_str()));
        let is_flag = |(_, source): &&(String, Source)| matches!(source, Source::Flag);
        let settings = all().filter(|setting| !setting.secret).filter_map(move |setting| {
            let (value, _) = self.values.get(setting.name).filter(is_flag)?;
            Some((setting.name, value.as_str()))
        });
        config.chain(settings)
    }

    /// Has other values hold where none is given.
    pub(crate) fn prefer(&mut self, values: &[(&'static str, &str)]) {
        for (name, value) in values {
            let value = || ((*value).to_owned(), Source::Default);
            self.values.entry(name).or_insert_with(value);
        }
    }

    fn add(&mut self, setting: &'static Setting, value: String, source: Source) {
        self.values.insert(setting.name, (value, source));
    }

    fn add_variables(&mut self, variables: Vec<(String, String)>) -> Result<(), Wrong> {
        for (variable, value) in variables {
            let Some(name) = variable.strip_prefix("MENDER_") else {
                continue;
            };
            let others = OTHERS.iter().any(|other| match other.ends_with('_') {
                true => variable.starts_with(other),
                false => variable == *other,
            });
            if others || variable == CONFIG {
                continue;
            }
            let lower = name.to_ascii_lowercase();
            let setting = match known(&lower) {
                Some(setting) => setting,
                None if is_service_link(&variable) => continue,
                None => return Err(unknown(&variable, &lower, "the environment")),
            };
            // Compat: an empty variable counts as none.
            if !value.is_empty() {
                self.add(setting, value, Source::Variable);
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Wrong> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Wrong(format!("the settings in {shown} can't be read: {e}")))?;
        let table: toml::Table = toml::from_str(&text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let (line, why) = (before.matches('\n').count() + 1, e.message().replace('\n', ", "));
            Wrong(format!("the settings in {shown} are not TOML: line {line}: {why}"))
        })?;
        for (name, value) in table {
            let setting = known(&name).ok_or_else(|| unknown(&name, &name, &shown.to_string()))?;
            let value = text_of(&value).ok_or_else(|| {
                Wrong(format!(
                    "{name} in {shown} is not a text, a number, true, false or a list of texts"
                ))
            })?;
            self.add(setting, value, Source::File(path.into()));
        }
        Ok(())
    }

    /// Returns the value of a setting as text, and where it was given.
    pub(crate) fn text(&self, setting: &Setting) -> (String, Source) {
        let value = self.values.get(setting.name).cloned();
        value.unwrap_or_else(|| (setting.default.into(), Source::Default))
    }

    /// Returns the value of a setting.
    pub(crate) fn value<T: Value>(&self, name: &str, default: &str) -> Result<T, Wrong> {
        let given = self.values.get(name);
        let (text, source) = match given {
            Some((text, source)) => (text.as_str(), source),
            None => (default, &Source::Default),
        };
        T::parse(text).ok_or_else(|| {
            let place = source.place(name);
            let (value, allowed) = (shown(T::is_secret(text), text), T::ALLOWED);
            Wrong(format!("{place} is {value}; allowed is {allowed}"))
        })
    }
}

fn shown(secret: bool, text: &str) -> String {
    if secret { "not valid".into() } else { format!("{text:?}") }
}

/// Writes a value of the file as the other sources have it.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

/// Says that there is no such setting, and which one may be meant.
fn unknown(written: &str, name: &str, place: &str) -> Wrong {
    let parts = |name: &str| name.split('_').map(str::to_owned).collect::<Vec<_>>();
    let wanted = parts(name);
    let alike = |setting: &&Setting| {
        let has = parts(setting.name);
        let shared = has.iter().filter(|part| wanted.contains(part)).count();
        (shared, Reverse(has.len()))
    };
    let mut nearest: Option<&Setting> = None;
    for setting in all().filter(|setting| alike(setting).0 > 0) {
        if nearest.is_none_or(|best| alike(&setting) > alike(&best)) {
            nearest = Some(setting);
        }
    }
    let hint = nearest.map_or(String::new(), |setting| {
        let variable = written != name;
        let meant = if variable { setting.variable() } else { setting.name.into() };
        format!(" (is {meant} meant?)")
    });
    Wrong(format!(
        "{written} in {place} is no setting{hint}; `mender-server settings` lists them all"
    ))
}

impl Source {
    fn place(&self, name: &str) -> String {
        let setting = known(name);
        match (self, setting) {
            (Self::Flag, Some(setting)) => format!("--{}", setting.flag()),
            (Self::Variable, Some(setting)) => setting.variable(),
            (Self::File(path), _) => format!("{name} in {}", path.display()),
            _ => name.into(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable => f.write_str("environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}
