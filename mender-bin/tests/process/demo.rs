use std::process::Command;

use crate::support::{Server, program, text};

const PORTS: [&str; 2] = ["--listen=127.0.0.1:0", "--internal-listen=127.0.0.1:0"];

/// Returns how many devices succeeded, failed and were left in a phase, as it was last told.
fn ends(printed: &str, phase: usize) -> [u32; 3] {
    let begin = format!("phase {phase}: ");
    let last = printed.lines().rfind(|line| line.starts_with(&begin)).unwrap();
    let numbers: Vec<u32> =
        last[begin.len()..].split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [success, failure, running, size] = numbers[..] else { panic!("{last}") };
    [success, failure, running + size - success - failure]
}

#[test]
fn a_demo_updates_its_fleet_and_leaves_a_folder_that_a_server_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("my demo");
    let mut demo = program(&data);
    let shown = demo.args(["demo", "--once"]).args(PORTS).output().unwrap();
    let printed = text(&shown.stdout);
    assert!(shown.status.success(), "{printed} {}", text(&shown.stderr));
    // Which phase the device that fails is in depends on when it asks.
    let ended = [1, 2, 3].map(|phase| ends(&printed, phase));
    let total = |n: usize| ended.iter().map(|end| end[n]).sum::<u32>();
    assert_eq!([total(0), total(1), total(2)], [49, 1, 0], "{printed}");
    assert!(!printed.contains('\x1b'));
    let log = printed.lines().find(|line| line.ends_with("/log")).unwrap();
    assert!(log.contains("curl -fsS -H \"Authorization: Bearer $TOKEN\" http"), "{log}");

    let refused = |arguments: &[&str]| {
        let shown = program(&data).args(["demo", "--once"]).args(PORTS).args(arguments).output();
        let shown = shown.unwrap();
        assert!(!shown.status.success());
        text(&shown.stderr)
    };
    assert!(refused(&[]).contains("has a database already"));
    assert!(refused(&["--database-url=memory:"]).contains("a folder of its own"));
    assert!(refused(&["--multi-tenant"]).contains("has one tenant"));

    let checked = program(&data).args(["doctor", "--deep"]).output().unwrap();
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));

    // What is printed for going on works when it is pasted.
    let pasted = |line: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().arg("-c").arg(format!("exec {line}"));
        shell
    };
    let line_with = |part: &str| {
        let line = printed.lines().rfind(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("{printed}")).trim()
    };
    let server = Server::spawn(folder, pasted(line_with(" --data-dir ")));
    let fleet = line_with(" simulate --server ");
    let was = fleet.split_whitespace().find(|word| word.starts_with("http")).unwrap();
    let fleet = fleet.replace(was, &format!("http://{}", server.public));
    let shown = pasted(&format!("{fleet} --duration 2s")).output().unwrap();
    let report = text(&shown.stdout);
    assert!(shown.status.success(), "{report} {}", text(&shown.stderr));
    assert!(report.contains("49 release-2.0"), "{report}");
}
