//! The settings as flags, as a list, and as a page of documentation.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::settings::{Given, Setting, TABLES, sources::CONFIG};

/// Adds a flag for every setting; each may stand before or after the subcommand.
pub(crate) fn flags(mut command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help(format!("File with settings, TOML [variable: {CONFIG}]"))
        .global(true);
    command = command.arg(config);
    for table in &TABLES {
        for setting in table.settings {
            command = command.arg(flag(setting).help_heading(table.title));
        }
    }
    command
}

fn flag(setting: &Setting) -> Arg {
    let mut help = doc(setting).to_owned();
    let _ = write!(help, " [variable: {}]", setting.variable());
    if !setting.default.is_empty() {
        let _ = write!(help, " [default: {}]", setting.default);
    }
    let arg = Arg::new(setting.name)
        .long(setting.flag())
        .value_name("VALUE")
        .help(help)
        // The help of the server lists them once.
        .hide_short_help(true)
        .hide_long_help(true)
        .allow_hyphen_values(true)
        .global(true);
    if setting.switch {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        arg
    }
}

fn doc(setting: &Setting) -> &str {
    setting.doc.trim()
}

/// Explains every setting, for the help of the server.
pub(crate) fn help() -> String {
    let mut page = String::from(
        "Settings, which all commands share. Each is a flag, a variable, and a line of the file \
         that --config names: --data-dir is MENDER_DATA_DIR, and data_dir = \"…\".\n",
    );
    for table in &TABLES {
        let _ = writeln!(page, "\n{}:", table.title);
        for setting in table.settings {
            let value = if setting.switch { "[=<VALUE>]" } else { " <VALUE>" };
            let _ = write!(page, "  --{}{value}\n          {}", setting.flag(), doc(setting));
            let _ = match setting.default {
                "" => writeln!(page),
                default => writeln!(page, " [default: {default}]"),
            };
        }
    }
    page
}

/// Lists the settings with the values that hold; secrets are left out.
pub(crate) fn show(given: &Given) -> String {
    let mut page = String::new();
    for table in &TABLES {
        let _ = writeln!(page, "# {}", table.title);
        for setting in table.settings {
            let (value, source) = given.text(setting);
            let value = match value.as_str() {
                "" => "",
                _ if setting.secret => "(secret)",
                value => value,
            };
            let _ = writeln!(page, "{} = {value:?}  # {source}", setting.name);
        }
        page.push('\n');
    }
    page
}

/// Writes the page of documentation.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         Written by `mender-server settings --markdown`.\n\n\
         A setting `example_name` is the flag `--example-name`, the environment variable\n\
         `MENDER_EXAMPLE_NAME`, and a line `example_name = \"…\"` of the TOML file that `--config`\n\
         or `MENDER_CONFIG` names. A flag counts more than a variable, a variable more than the\n\
         file, the file more than the default. Unknown names in the file, and unknown variables\n\
         that begin with `MENDER_`, are errors, but for the names of service links that Kubernetes\n\
         sets, such as `MENDER_SERVICE_HOST`. An empty variable counts as none.\n",
    );
    for table in &TABLES {
        let _ = write!(
            page,
            "\n## {}\n\n| setting | default | what it does | allowed |\n|---|---|---|---|\n",
            table.title
        );
        for setting in table.settings {
            let default = match setting.default {
                "" => "–".into(),
                text => format!("`{text}`"),
            };
            let (name, doc, allowed) = (setting.name, doc(setting), setting.allowed);
            let _ = writeln!(page, "| `{name}` | {default} | {doc} | {allowed} |");
        }
    }
    page
}
