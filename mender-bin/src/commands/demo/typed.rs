use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{DEVICES, FLEET_FILE, KEYS_FILE};
use crate::settings::{Given, Settings};

/// What was typed to see the demo, for the lines that go on with it.
pub(crate) struct Typed {
    program: String,
    folder: PathBuf,
    /// The flags but for that of the folder, as a shell reads them.
    flags: String,
}

impl Typed {
    pub(crate) fn new(program: &OsStr, settings: &Settings, given: &Given) -> Self {
        let flags = given.flags().filter(|(name, _)| *name != "data_dir");
        let flag = |(name, value): (&str, &str)| {
            format!(" {}", quoted(&format!("--{}={value}", name.replace('_', "-"))))
        };
        Self {
            program: quoted(&program.to_string_lossy()),
            folder: settings.server.data_dir.clone(),
            flags: flags.map(flag).collect(),
        }
    }

    /// The line that serves on.
    pub(super) fn serve(&self) -> String {
        let Self { program, folder, flags } = self;
        format!("{program} --data-dir {}{flags}", shown(folder))
    }

    /// The line that has the devices return.
    pub(super) fn simulate(&self, url: &str) -> String {
        format!(
            "{} simulate --server {url} --devices {DEVICES} --scenario {} --keys {}",
            self.program,
            shown(&self.folder.join(FLEET_FILE)),
            shown(&self.folder.join(KEYS_FILE)),
        )
    }
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Writes a word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    match word {
        "" => "''".into(),
        _ if word.chars().all(is_plain) => word.into(),
        _ => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_words_as_they_were() {
        for word in ["", "a", "./a-b", "a b", "it's", "$HOME", "a\"b\\", "~", "*", "x;y", "\u{e9}"]
        {
            let line = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
