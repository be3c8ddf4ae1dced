//! What shells and terminals get.

use std::{fs, process::Command};

use crate::support::{in_terminal, run, text};

const ESCAPE: char = '\x1b';

#[test]
fn help_tells_a_newcomer_what_to_type_first() {
    let data = tempfile::tempdir().unwrap();
    let short = text(&run(data.path(), &["-h"]).stdout);
    assert!(short.contains("mender-server user create --username"), "{short}");
    assert!(short.lines().count() < 50 && !short.contains("--tls-cert"), "{short}");
    let long = text(&run(data.path(), &["--help"]).stdout);
    assert!(long.contains("--tls-cert <VALUE>\n          Certificate chain of"), "{long}");
    let backup = text(&run(data.path(), &["backup", "--help"]).stdout);
    assert!(backup.contains("keep it as safe as the server itself"), "{backup}");
    assert!(backup.lines().count() < 25, "{backup}");
}

#[test]
fn bash_completes_commands_and_settings() {
    let dir = tempfile::tempdir().unwrap();
    let script = run(dir.path(), &["completions", "bash"]).stdout;
    let file = dir.path().join("completions");
    fs::write(&file, &script).unwrap();
    let complete = |words: &str, before: &str, word: &str| {
        let text = format!(
            "source {}; function=$(complete -p mender-server); function=${{function#* -F }}; \
             COMP_WORDS=(mender-server {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             ${{function%% *}} mender-server '{word}' {before}; echo ${{COMPREPLY[@]}}",
            file.display()
        );
        let output = Command::new("bash").args(["-c", &text]).output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            self::text(&output.stderr)
        );
        self::text(&output.stdout)
    };
    assert_eq!(complete("back", "mender-server", "back"), "backup\n");
    assert_eq!(complete("backup --data-", "backup", "--data-"), "--data-dir\n");
    assert_eq!(complete("completions z", "completions", "z"), "zsh\n");
}

#[test]
fn zsh_and_fish_get_scripts_of_their_own() {
    let data = tempfile::tempdir().unwrap();
    let zsh = text(&run(data.path(), &["completions", "zsh"]).stdout);
    assert!(zsh.starts_with("#compdef mender-server\n"));
    let fish = text(&run(data.path(), &["completions", "fish"]).stdout);
    assert!(fish.contains("complete -c mender-server"));
    assert_eq!(run(data.path(), &["completions", "tcl"]).status.code(), Some(2));
}

#[test]
fn colours_are_for_terminals_unless_they_are_refused() {
    let data = tempfile::tempdir().unwrap();
    // The second command logs a warning.
    let terminal = |arguments: &str, refused: &str| in_terminal(data.path(), arguments, refused);
    let user = |name: &str| {
        format!("user create --username {name}@x.example --password 'correct horse' --role R")
    };
    for arguments in ["-h".to_owned(), user("a")] {
        let coloured = terminal(&arguments, "");
        assert!(coloured.status.success(), "{}", text(&coloured.stdout));
        assert!(text(&coloured.stdout).contains(ESCAPE), "{}", text(&coloured.stdout));
    }
    for arguments in ["-h".to_owned(), user("b")] {
        let plain = terminal(&arguments, "1");
        assert!(plain.status.success(), "{}", text(&plain.stdout));
        assert!(!text(&plain.stdout).contains(ESCAPE), "{}", text(&plain.stdout));
    }
    let piped = run(data.path(), &["-h"]);
    assert!(!text(&piped.stdout).contains(ESCAPE));
}
