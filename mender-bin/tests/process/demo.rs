use crate::support::{program, text};

const PORTS: [&str; 2] = ["--listen=127.0.0.1:0", "--internal-listen=127.0.0.1:0"];

/// Returns the line that begins with this.
fn line<'a>(printed: &'a str, begin: &str) -> &'a str {
    printed.lines().map(str::trim).find(|line| line.starts_with(begin)).unwrap()
}

#[test]
fn a_demo_updates_its_fleet_and_leaves_a_folder_that_a_server_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("demo");
    let mut demo = program(&data);
    let shown = demo.args(["demo", "--once"]).args(PORTS).output().unwrap();
    let printed = text(&shown.stdout);
    assert!(shown.status.success(), "{printed} {}", text(&shown.stderr));
    for phase in ["phase 1:  5 success", "phase 2: 15 success", "phase 3: 29 success  1 failure"] {
        line(&printed, phase);
    }
    assert!(!printed.contains('\x1b'));
    assert!(printed.contains(&format!("--data-dir {}", data.display())), "{printed}");
    let log = line(&printed, "curl -fsS -H \"Authorization: Bearer $TOKEN\" http").to_owned();
    assert!(log.ends_with("/log'") || printed.contains("/log\n"), "{printed}");

    let refused = program(&data).args(["demo", "--once"]).args(PORTS).output().unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("has a database already"));

    let checked = program(&data).arg("doctor").output().unwrap();
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
}
