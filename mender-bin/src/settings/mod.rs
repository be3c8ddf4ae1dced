//! Settings: one flat name each, with the same meaning as flag, variable and line of a file.
//!
//! `database_url` is `--database-url`, `MENDER_DATABASE_URL`, and `database_url = "…"` in the TOML
//! file that `--config` or `MENDER_CONFIG` names. A flag counts more than a variable, a variable
//! more than the file, the file more than the default. An area lists its settings once, as the
//! fields of a struct; the text above a field is its documentation everywhere.

use std::fmt;

/// Declares the settings of an area: name, type, default as text, and documentation.
macro_rules! settings {
    ($title:literal: $(#[$meta:meta])* $vis:vis struct $area:ident {
        $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:literal,)+
    }) => {
        $(#[$meta])*
        pub(crate) struct $area {
            $($(#[doc = $doc])+ pub(crate) $name: $type,)+
        }

        impl $area {
            /// The settings of the area, for flags and documentation.
            pub(crate) const TABLE: $crate::settings::Table = $crate::settings::Table {
                title: $title,
                settings: &[$($crate::settings::Setting {
                    name: stringify!($name),
                    default: $default,
                    doc: concat!($($doc),+),
                    allowed: <$type as $crate::settings::value::Value>::ALLOWED,
                    secret: <$type as $crate::settings::value::Value>::SECRET,
                    switch: <$type as $crate::settings::value::Value>::SWITCH,
                }),+],
            };

            /// Reads the area from what was given.
            pub(crate) fn read(
                given: &$crate::settings::Given,
            ) -> Result<Self, $crate::settings::Wrong> {
                Ok(Self {
                    $($name: given.value(stringify!($name), $default)?,)+
                })
            }
        }
    };
}

mod artifacts;
mod auth;
mod blobs;
mod deployments;
mod docs;
mod inventory;
mod keys;
mod limits;
mod server;
mod sources;
mod users;
pub(crate) mod value;

use clap::ArgMatches;

pub(crate) use blobs::Blobs;
pub(crate) use docs::{flags, help, markdown, show};
pub(crate) use inventory::Inventory;
pub(crate) use keys::Keys;
pub(crate) use server::Server;
pub(crate) use sources::Given;
pub(crate) use value::LogFormat;

/// A setting, as declared.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// What holds where nothing is given, as text.
    pub(crate) default: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) allowed: &'static str,
    /// Whether the value must not be shown.
    pub(crate) secret: bool,
    /// Whether the flag may stand without a value.
    pub(crate) switch: bool,
}

/// The settings of an area.
pub(crate) struct Table {
    pub(crate) title: &'static str,
    pub(crate) settings: &'static [Setting],
}

/// Every setting, by area.
pub(crate) const TABLES: [Table; 9] = [
    Server::TABLE,
    Blobs::TABLE,
    Keys::TABLE,
    auth::Auth::TABLE,
    inventory::Inventory::TABLE,
    artifacts::Artifacts::TABLE,
    deployments::Deployments::TABLE,
    users::Users::TABLE,
    limits::Limits::TABLE,
];

pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    TABLES.iter().flat_map(|table| table.settings)
}

impl Setting {
    pub(crate) fn variable(&self) -> String {
        format!("MENDER_{}", self.name.to_ascii_uppercase())
    }

    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// A setting that is wrong, in words for the operator.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Wrong(pub(crate) String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All settings of a server.
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) blobs: Blobs,
    pub(crate) keys: Keys,
    pub(crate) auth: auth::Auth,
    pub(crate) inventory: inventory::Inventory,
    pub(crate) artifacts: artifacts::Artifacts,
    pub(crate) deployments: deployments::Deployments,
    pub(crate) users: users::Users,
    pub(crate) limits: limits::Limits,
}

impl Settings {
    /// Reads the settings from flags, variables and the file; `preferred` are other defaults.
    pub(crate) fn load(
        flags: &ArgMatches,
        variables: impl IntoIterator<Item = (String, String)>,
        preferred: &[(&'static str, &str)],
    ) -> Result<(Self, Given), Wrong> {
        let mut given = Given::collect(flags, variables)?;
        given.prefer(preferred);
        let settings = Self {
            server: Server::read(&given)?,
            blobs: Blobs::read(&given)?,
            keys: Keys::read(&given)?,
            auth: auth::Auth::read(&given)?,
            inventory: inventory::Inventory::read(&given)?,
            artifacts: artifacts::Artifacts::read(&given)?,
            deployments: deployments::Deployments::read(&given)?,
            users: users::Users::read(&given)?,
            limits: limits::Limits::read(&given)?,
        };
        settings.server.check()?;
        settings.blobs.check()?;
        settings.limits.limits(&mender_core::Env::system())?;
        Ok((settings, given))
    }

    /// Returns where large objects are.
    pub(crate) fn blobs_url(&self) -> value::BlobsUrl {
        let url = match self.server.database_url().scheme() {
            "memory" => "memory:".into(),
            _ => format!("file://{}", self.server.data_dir.join("blobs").display()),
        };
        self.blobs.blobs_url.clone().unwrap_or(value::BlobsUrl(url))
    }

    /// Returns how users log in.
    pub(crate) fn users_config(&self) -> mender_core::users::Config {
        self.users.config(self.auth.multi_tenant)
    }
}

#[cfg(test)]
mod tests;
