//! The server as a program: settings, command line, and the assembly of its parts.
//!
//! A distribution of your own is a `main` that calls [`Distribution::run`] with what it adds. Its
//! settings and commands are those of `mender-server`.

mod assemble;
mod cli;
mod commands;
mod failure;
mod keys;
mod routers;
mod serve;
mod settings;
mod telemetry;
#[cfg(feature = "otel")]
mod traces;
#[cfg(not(feature = "otel"))]
#[path = "no_traces.rs"]
mod traces;

use std::process::ExitCode;

use mender_core::{Builder, Mender};
use mender_http::Routes;

/// What a distribution of the server adds to the parts that come with it.
#[derive(Clone, Copy, Debug)]
pub struct Distribution {
    extend: fn(Builder) -> Builder,
    routes: fn() -> Routes<Mender>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { extend: |builder| builder, routes: Routes::new }
    }
}

impl Distribution {
    /// The parts that come with the server, and nothing else.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes how the server is built: stores, subscribers, workers. Commands build it the same
    /// way, so that what they change is heard by the same subscribers.
    #[must_use]
    pub fn extend(mut self, extend: fn(Builder) -> Builder) -> Self {
        self.extend = extend;
        self
    }

    /// Adds routes beside those of the server.
    #[must_use]
    pub fn routes(mut self, routes: fn() -> Routes<Mender>) -> Self {
        self.routes = routes;
        self
    }

    /// Does what the command line says; without a subcommand, serves until told to stop.
    pub async fn run(self) -> ExitCode {
        let arguments = std::env::args_os();
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        match Box::pin(cli::run(&self, arguments, variables)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("mender-server: {failure}");
                ExitCode::from(failure.code)
            }
        }
    }
}
