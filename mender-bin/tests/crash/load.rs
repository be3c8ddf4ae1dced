use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use libtest_mimic::Failed;
use mender_core::testing::TestDevice;
use serde_json::{Value, json};

use crate::server::{EMAIL, PASSWORD};

/// How many answers a round must have had before the server is killed.
const BUSY: u64 = 150;

/// What the server has answered: promises.
#[derive(Default)]
pub(crate) struct Journal {
    /// Identities of devices that were told to wait, or got a token.
    pub(crate) asked: Mutex<BTreeSet<String>>,
    /// Devices whose acceptance was confirmed.
    pub(crate) accepted: Mutex<BTreeSet<String>>,
    answers: Mutex<u64>,
    more: Condvar,
}

impl Journal {
    fn promise(&self, set: &Mutex<BTreeSet<String>>, what: String) {
        set.lock().unwrap().insert(what);
        *self.answers.lock().unwrap() += 1;
        self.more.notify_all();
    }
}

pub(crate) fn identity(n: u64) -> String {
    json!({ "serial": n.to_string() }).to_string()
}

/// One connection to the server.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request and returns status and body; an error once the server is gone.
    fn call(&mut self, request: &str, headers: &str, body: &str) -> std::io::Result<(u16, String)> {
        let head = format!(
            "{request} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        let gone = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(gone());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| gone())?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status.ok_or_else(gone)?, String::from_utf8_lossy(&answer).into_owned()))
    }
}

/// Devices that ask and a user who accepts, until the server is gone.
pub(crate) struct Load {
    threads: Vec<JoinHandle<()>>,
    answers_before: u64,
}

impl Load {
    pub(crate) fn start(address: &str, round: u64, journal: &Arc<Journal>) -> Result<Self, Failed> {
        let answers_before = *journal.answers.lock().unwrap();
        let next = Arc::new(AtomicU64::new(round * 1_000_000));
        let basic = STANDARD.encode(format!("{EMAIL}:{PASSWORD}"));
        let log_in = "POST /api/management/v1/useradm/auth/login";
        let header = format!("Authorization: Basic {basic}\r\n");
        let (status, token) = Client::connect(address)?.call(log_in, &header, "")?;
        if status != 200 {
            return Err(format!("log-in: {status} {token}").into());
        }
        let mut threads = Vec::new();
        for _ in 0..3 {
            let (address, next, journal) = (address.to_owned(), next.clone(), journal.clone());
            threads.push(thread::spawn(move || {
                // The end of the server ends the loop.
                let _ = ask(&address, &next, &journal);
            }));
        }
        let (address, journal) = (address.to_owned(), journal.clone());
        threads.push(thread::spawn(move || {
            let _ = accept(&address, &token, &journal);
        }));
        Ok(Self { threads, answers_before })
    }

    /// Waits until the round has had enough answers.
    pub(crate) fn until_busy(&self, journal: &Journal) {
        let busy = |answers: &mut u64| *answers < self.answers_before + BUSY;
        let answers = journal.answers.lock().unwrap();
        let (_answers, late) =
            journal.more.wait_timeout_while(answers, Duration::from_secs(60), busy).unwrap();
        assert!(!late.timed_out(), "the server hardly answers");
    }

    pub(crate) fn join(self) {
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// New devices ask for a token.
fn ask(address: &str, next: &AtomicU64, journal: &Journal) -> std::io::Result<()> {
    let mut client = Client::connect(address)?;
    loop {
        let n = next.fetch_add(1, Ordering::SeqCst);
        let device = TestDevice::new(&identity(n), n);
        let id_data = device.identity().as_str();
        let body = json!({ "id_data": id_data, "pubkey": device.key().as_pem() }).to_string();
        let headers = format!(
            "Content-Type: application/json\r\nX-MEN-Signature: {}\r\n",
            device.sign(body.as_bytes())
        );
        let request = "POST /api/devices/v1/authentication/auth_requests";
        let (status, text) = client.call(request, &headers, &body)?;
        assert_eq!(status, 401, "{text}");
        journal.promise(&journal.asked, id_data.to_owned());
    }
}

/// The user accepts what waits.
fn accept(address: &str, token: &str, journal: &Journal) -> std::io::Result<()> {
    const DEVICES: &str = "/api/management/v2/devauth/devices";
    let mut client = Client::connect(address)?;
    let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    loop {
        let list = format!("GET {DEVICES}?status=pending&per_page=20");
        let (status, text) = client.call(&list, &headers, "")?;
        assert_eq!(status, 200, "{text}");
        let pending: Value = serde_json::from_str(&text).unwrap_or_default();
        for device in pending.as_array().into_iter().flatten() {
            let (Some(id), Some(set)) =
                (device["id"].as_str(), device["auth_sets"][0]["id"].as_str())
            else {
                continue;
            };
            let put = format!("PUT {DEVICES}/{id}/auth/{set}/status");
            let (status, text) = client.call(&put, &headers, r#"{"status":"accepted"}"#)?;
            assert_eq!(status, 204, "{text}");
            journal.promise(&journal.accepted, id.to_owned());
        }
    }
}
