//! Plays every transcript against every store: `cargo test --test compat`.
//!
//! With `MENDER_COMPAT_BASE` set they are played by `tests/compat/replay` instead.

use std::{fs, path::Path, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use mender::http::testing::{TestApp, transcript::Runner};

mod stores;

#[expect(clippy::unwrap_used, reason = "without its files the test can't run")]
fn transcripts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat");
    let mut found = Vec::new();
    for area in fs::read_dir(&root)
        .unwrap()
        .flatten()
        .filter(|e| e.path().is_dir())
    {
        for file in fs::read_dir(area.path()).unwrap().flatten() {
            let name = format!(
                "{}/{}",
                area.file_name().display(),
                file.path().file_stem().unwrap().display()
            );
            found.push((name, fs::read_to_string(file.path()).unwrap()));
        }
    }
    found.sort();
    found
}

async fn play(store: stores::Store, name: &str, text: &str) -> Result<(), Failed> {
    let Some(builder) = store.builder().await? else {
        return Ok(());
    };
    let app = TestApp::with(builder).await;
    let areas: Vec<&str> = include_str!("areas-not-built").lines().collect();
    let runner = Runner::new(app.transport(), app.token()).not_built(&areas);
    let report = runner.have(&["no other clients"]).play(name, text).await;
    app.drain().await;
    if report.failed.is_empty() {
        println!("{name}: {report}");
        Ok(())
    } else {
        Err(report.to_string().into())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for store in stores::ALL {
        for (name, text) in transcripts() {
            trials.push(Trial::test(format!("{store}::{name}"), move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(play(store, &name, &text))
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
