//! The arguments of `simulate`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::settings::value::Value as _;

#[derive(Args)]
pub(crate) struct Simulate {
    /// The server for devices, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// How many devices there are.
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) devices: u32,
    /// The number of the first device: fleets with other numbers are other devices.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) first: u32,
    /// What the devices are like and what goes wrong, TOML; see docs/simulate.md.
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,
    /// End after this time, such as 30s, 10m or 2h.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) duration: Option<Duration>,
    /// Poll, tell inventories and try again so many times as often as the scenario says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) speed: Option<u32>,
    /// A user of the server, by e-mail address, as whom it accepts its devices itself.
    #[arg(long, alias = "username", value_name = "EMAIL", requires = "password")]
    pub(crate) user: Option<String>,
    /// The user's password.
    #[arg(long, requires = "user")]
    pub(crate) password: Option<String>,
    /// Keep keys and tokens in this file, so that the same fleet returns; made where it is not
    /// there.
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Write the final report as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The authority of the server's certificate, PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Trust any certificate: only for tests.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// What devices name their tenant by, where there are tenants.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) tenant_token: Option<String>,
}

fn time(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(|| format!("allowed is {}", Duration::ALLOWED))
}
