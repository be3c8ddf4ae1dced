use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use mender_core::{
    Ctx, Env, Mender, Time,
    env::{Clock, Entropy},
};
use mender_store::{LocalBlobs, SqlStore};
use tokio::time::Instant;

use crate::support::{Server, last_word, run, text};

/// The machine's time, but later: what the dead have leased is free.
struct Tomorrow(Env);

impl Clock for Tomorrow {
    fn now(&self) -> Time {
        self.0.now() + Duration::from_secs(24 * 3600)
    }
}

impl Entropy for Tomorrow {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(16) {
            chunk.copy_from_slice(&self.0.bytes::<16>()[..chunk.len()]);
        }
    }
}

/// Every file below a folder that has bytes.
fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(it) if it.is_dir() => found.extend(files(&path)),
            Ok(it) if it.len() > 0 => found.push(path),
            _ => {}
        }
    }
    found
}

#[test]
fn an_upload_that_is_killed_leaves_nothing() {
    let mut server = Server::start(&[]);
    let data = server.data.path().to_owned();
    let blobs = data.join("blobs");
    let (image, made) = (data.join("image"), data.join("made.mender"));
    fs::write(&image, vec![7; 32 << 20]).unwrap();
    let arguments = ["artifact", "create", "module", "--type", "raw", "--name", "r1"];
    let more = ["--device-type", "pump", "--compression", "none", "--output"];
    let paths = [made.to_str().unwrap(), image.to_str().unwrap()];
    let output = run(&data, &[&arguments[..], &more, &paths].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let user = ["user", "create", "--username", "u@example.com", "--password", "correct horse"];
    last_word(&data, &user);
    let (status, token) = server.log_in("u@example.com", "correct horse");
    assert_eq!(status, 200, "{token}");

    // All but the end of it.
    let artifact = fs::read(&made).unwrap();
    let head = "--b\r\nContent-Disposition: form-data; name=\"artifact\"; filename=\"a\"\r\n\r\n";
    let mut stream = TcpStream::connect(&server.public).unwrap();
    write!(
        stream,
        "POST /api/management/v1/deployments/artifacts HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {token}\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n{head}",
        head.len() + artifact.len() + 9
    )
    .unwrap();
    stream.write_all(&artifact[..artifact.len() / 2]).unwrap();
    let begun = Instant::now();
    while files(&blobs).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is written");
        thread::yield_now();
    }
    server.signal("KILL");
    server.wait();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", data.join("mender.db").display());
        let tomorrow = || Tomorrow(Env::system());
        let mender = Mender::builder()
            .stores(SqlStore::open(&url).await.unwrap())
            .blobs(LocalBlobs::new(&blobs).unwrap())
            .ephemeral_keys()
            .env(Env::new(tomorrow(), tomorrow()))
            .build()
            .unwrap();
        mender.drain().await.unwrap();
        let ctx = Ctx::system(Default::default());
        let known = mender.artifacts().all_artifacts(&ctx, Default::default()).await.unwrap();
        assert_eq!(known, []);
        assert_eq!(mender.artifacts().storage(&ctx).await.unwrap().used, 0);
    });
    assert_eq!(files(&blobs), [""; 0].map(PathBuf::from));
}
