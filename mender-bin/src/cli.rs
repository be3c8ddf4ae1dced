//! The command line.

mod artifact;
mod demo;
mod simulate;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::{
    Distribution, commands,
    failure::Failure,
    serve::serve,
    settings::{self, Settings},
    telemetry,
};

pub(crate) use artifact::{Artifact, Common, Create, Packing, Sizes};
pub(crate) use demo::Demo;
pub(crate) use simulate::Simulate;

/// What to type first.
const FIRST_STEPS: &str = "\
First steps:
  mender-server                serve; everything is kept in ./mender-data
  mender-server user create --username you@example.com --password 'correct horse'
  mender-server doctor         look for what is wrong, and say how to mend it

Commands work beside a running server when they are given the same settings, such as --data-dir.
`mender-server --help` explains every setting, `mender-server settings` lists those that hold.";

/// Over-the-air device management: a server that speaks the Mender protocols.
///
/// Without a subcommand it serves. Results go to standard output, logs to standard error.
#[derive(Parser)]
#[command(name = "mender-server", version, after_help = FIRST_STEPS)]
#[command(after_long_help = format!("{FIRST_STEPS}\n\n{}", settings::help()))]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until told to stop.
    #[command(visible_alias = "server")]
    Serve,
    /// Bring the schema of the database up to date.
    Migrate {
        /// Has no meaning: all tenants share one schema.
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
    },
    /// Manage users.
    #[command(subcommand)]
    User(User),
    /// Manage tenants.
    #[command(subcommand)]
    Tenant(Tenant),
    /// See and repeat what could not be delivered.
    #[command(subcommand)]
    Events(Events),
    /// Move tags and attributes of devices between the server and files.
    #[command(subcommand)]
    Inventory(Inventory),
    /// Manage the search index that answers reports.
    #[command(subcommand)]
    Search(Search),
    /// Explain why a device gets an update, or gets none.
    Explain(Explain),
    /// Write everything the server keeps into one file, while it runs.
    ///
    /// The file has the rows of the database as they are at one moment, the artifacts that they
    /// name, and the keys of the server: keep it as safe as the server itself. Settings,
    /// certificates and the stores that tenants bring are not in it. For SQLite and PostgreSQL; a
    /// MongoDB database has a tool of its own, mongodump.
    Backup {
        /// The file to write. It must not exist yet.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Restore a backup into an empty database and an empty place for artifacts.
    ///
    /// The whole file is checked first. Nothing that is there is overwritten: name a new folder
    /// by --data-dir, or a new database by --database-url, and start the server on it afterwards.
    /// A backup of SQLite may be restored into PostgreSQL, and the reverse.
    Restore {
        /// The file that `backup` wrote.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Look for what is wrong, and say how to mend it. Exits with 1 if anything is.
    Doctor {
        /// Read all that is stored as well, and check that it fits together: counters, limits,
        /// statistics, what areas say of a device. Takes a while where there is much.
        #[arg(long)]
        deep: bool,
    },
    /// Manage keys.
    #[command(subcommand)]
    Key(Key),
    /// Make, sign, verify and look into artifacts; no server is needed.
    #[command(subcommand)]
    Artifact(Artifact),
    /// Be a fleet of devices that speak the real protocol to a server, until Ctrl-C.
    ///
    /// Devices get keys, wait until they are accepted, tell their inventory, poll, and install
    /// what they are told to. In the end it is told what that cost. Keys follow from numbers that
    /// anybody can guess unless --keys names a file: such devices are for servers of tests.
    Simulate(Simulate),
    /// Show a small fleet that is updated: a server in a folder of its own, 50 simulated devices,
    /// two releases, and a deployment in three phases.
    ///
    /// What it writes is in ./mender-demo, unless --data-dir says otherwise; `mender-server
    /// --data-dir ./mender-demo` goes on with it.
    Demo(Demo),
    /// List the settings with the values that hold and where they were given.
    Settings {
        /// Write the page of documentation instead.
        #[arg(long)]
        markdown: bool,
    },
    /// Print what makes a shell complete commands and settings at the press of Tab.
    ///
    /// For instance, in ~/.bashrc: source <(mender-server completions bash)
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the version.
    Version {
        /// The form.
        #[arg(long, default_value = "text")]
        output: Output,
    },
}

#[derive(Args)]
pub(crate) struct Explain {
    /// The id of the device.
    pub(crate) device: String,
    /// The tenant of the device, where there are tenants.
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum User {
    /// Make a user. The last word printed is the user's id.
    Create(NewUser),
    /// Set a user's password. The old one and all sessions stop at once.
    SetPassword {
        #[command(flatten)]
        login: Login,
        /// The user's tenant.
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        tenant: String,
    },
}

#[derive(Args)]
pub(crate) struct Login {
    /// The e-mail address.
    #[arg(long, value_name = "EMAIL")]
    pub(crate) username: String,
    /// The password.
    #[arg(long)]
    pub(crate) password: String,
}

#[derive(Args)]
pub(crate) struct NewUser {
    #[command(flatten)]
    pub(crate) login: Login,
    /// The user's tenant.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) tenant: String,
    /// The id; a new one where it is left out.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The name of a role; may be repeated. Roles are kept but not enforced yet: every user may
    /// do everything in the tenant.
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
}

#[derive(Subcommand)]
pub(crate) enum Tenant {
    /// Make a tenant and its first user, an administrator. The last word printed is the tenant's
    /// id.
    Create(NewTenant),
    /// Print a tenant as JSON.
    Show {
        /// The tenant's id.
        #[arg(long)]
        id: String,
    },
}

#[derive(Args)]
pub(crate) struct NewTenant {
    /// What the tenant is called.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) login: Login,
    /// What the tenant pays for.
    #[arg(long, default_value = "enterprise")]
    pub(crate) plan: Plan,
    /// An add-on: configure, troubleshoot or monitor; may be repeated.
    #[arg(long = "addon", value_name = "ADDON")]
    pub(crate) addons: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Plan {
    Os,
    Professional,
    Enterprise,
}

#[derive(Subcommand)]
pub(crate) enum Events {
    /// List the dead letters: what was given up after many attempts. One line each.
    List {
        /// How many at most, the oldest first.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Have dead letters tried again by the server.
    Redrive {
        /// Only those of this kind, as `events list` shows it.
        #[arg(long)]
        kind: Option<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Inventory {
    /// Write what is known about every device, one line each.
    ///
    /// In CSV, the first column is the id, and each attribute has a column SCOPE/NAME. A cell holds
    /// a text, a number, or JSON: lists, and texts that look like numbers or JSON.
    Export(Export),
    /// Set tags and attributes of known devices, as a file says.
    ///
    /// It reads what `export` writes, or any CSV whose first line names the columns. Columns of
    /// other scopes than tags and inventory are passed over, and so are empty cells.
    Import(Import),
}

#[derive(Args)]
pub(crate) struct Export {
    /// The tenant.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) tenant: String,
    /// The form of the file.
    #[arg(long, default_value = "csv")]
    pub(crate) format: FileFormat,
    /// Only attributes of this scope; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// The file to write; standard output where it is left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Import {
    /// The tenant.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) tenant: String,
    /// The form of the file.
    #[arg(long, default_value = "csv")]
    pub(crate) format: FileFormat,
    /// What names a device: `id`, or an attribute as SCOPE/NAME, such as identity/mac. In CSV it
    /// is the column with this name.
    #[arg(long, value_name = "NAME", default_value = "id")]
    pub(crate) by: String,
    /// Remove tags that the file does not give.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Take every cell of a CSV file as text.
    #[arg(long)]
    pub(crate) text: bool,
    /// The file to read; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
pub(crate) enum FileFormat {
    /// A table.
    Csv,
    /// A JSON object on each line.
    Jsonl,
}

#[derive(Subcommand)]
pub(crate) enum Search {
    /// Build the index anew from the database, while the old one answers.
    Reindex,
}

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a private key.
    ///
    /// To change the key that signs, write the new one as private.id.N.pem, with a number N not
    /// used before, beside the old one, and name it in the setting signing_key: the old key goes
    /// on verifying what it signed.
    Generate {
        /// The kind of key.
        #[arg(long, default_value = "ed25519")]
        kind: KeyKind,
        /// The file to write; standard output where it is left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum KeyKind {
    Ed25519,
    Rsa,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Fish,
    Zsh,
}

impl Shell {
    /// Writes what the shell reads.
    fn script(self) -> String {
        use clap_complete::{generate, shells};

        let (mut command, mut text) = (settings::flags(Cli::command()), Vec::new());
        let name = command.get_name().to_owned();
        match self {
            Self::Bash => generate(shells::Bash, &mut command, name, &mut text),
            Self::Fish => generate(shells::Fish, &mut command, name, &mut text),
            Self::Zsh => generate(shells::Zsh, &mut command, name, &mut text),
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// Does what the arguments say.
pub(crate) async fn run(
    parts: &Distribution,
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), Failure> {
    let command = settings::flags(Cli::command());
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program = arguments.first().cloned().unwrap_or_default();
    // Asking for help and misuse end here, with the exit codes 0 and 2.
    let matches = command.get_matches_from(arguments);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let command = match cli.command.unwrap_or(Command::Serve) {
        Command::Version { output } => return commands::version(output),
        Command::Completions { shell } => return commands::print(&shell.script()),
        Command::Key(Key::Generate { kind, out }) => {
            return commands::key::generate(kind, out).await;
        }
        Command::Artifact(artifact) => return commands::artifact::run(artifact).await,
        Command::Simulate(simulate) => return Box::pin(commands::simulate::run(simulate)).await,
        Command::Settings { markdown: true } => return commands::print(&settings::markdown()),
        command => command,
    };
    let preferred: &[_] =
        if matches!(command, Command::Demo(_)) { &commands::demo::PREFERRED } else { &[] };
    let (settings, given) = Settings::load(&matches, variables, preferred)?;
    let traces = telemetry::log(&settings.server, matches!(command, Command::Serve))?;
    match command {
        Command::Serve => {
            let served = Box::pin(serve(parts, &settings)).await;
            traces.end().await;
            served
        }
        Command::Demo(Demo { once }) => {
            let typed = commands::demo::Typed::new(&program, &settings, &given);
            Box::pin(commands::demo::run(parts, &settings, typed, once)).await
        }
        Command::Migrate { tenant: _ } => commands::migrate(&settings).await,
        Command::User(user) => commands::user::run(parts, &settings, user).await,
        Command::Tenant(tenant) => commands::tenant::run(parts, &settings, tenant).await,
        Command::Events(events) => commands::events::run(parts, &settings, events).await,
        Command::Inventory(inventory) => {
            commands::inventory::run(parts, &settings, inventory).await
        }
        Command::Search(search) => commands::search::run(parts, &settings, search).await,
        Command::Explain(explain) => commands::explain::run(parts, &settings, explain).await,
        Command::Backup { file } => commands::backup::back_up(&settings, &file).await,
        Command::Restore { file } => Box::pin(commands::backup::restore(&settings, &file)).await,
        Command::Doctor { deep } => commands::doctor::run(parts, &settings, deep).await,
        _ => commands::print(&settings::show(&given)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        settings::flags(Cli::command()).debug_assert();
    }

    #[test]
    fn settings_stand_before_or_after_the_subcommand() {
        for arguments in [
            &["x", "--listen", "a:1", "user", "set-password", "--username=u", "--password=p"][..],
            &["x", "user", "set-password", "--username=u", "--password=p", "--listen", "a:1"],
        ] {
            let matches = settings::flags(Cli::command()).get_matches_from(arguments);
            let (settings, _) = Settings::load(&matches, [], &[]).unwrap();
            assert_eq!(settings.server.listen.0, "a:1");
        }
    }
}
