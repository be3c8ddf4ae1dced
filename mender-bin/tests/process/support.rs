use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;

/// What all tests wait for at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program, with nothing from the environment of the tests.
pub(crate) fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mender-server"));
    command.env_clear().env("MENDER_DATA_DIR", data);
    command
}

/// Runs a command to its end.
pub(crate) fn run(data: &Path, arguments: &[&str]) -> Output {
    program(data).args(arguments).output().unwrap()
}

/// Runs a command line to its end in a terminal, with this `NO_COLOR`.
pub(crate) fn in_terminal(data: &Path, arguments: &str, refused: &str) -> Output {
    let command = program(data);
    let line = format!("'{}' {arguments}", command.get_program().to_str().unwrap());
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env_clear();
    let path = std::env::var_os("PATH").unwrap_or_default();
    terminal.env("PATH", path).env("TERM", "xterm").env("NO_COLOR", refused);
    terminal.env("MENDER_DATA_DIR", data).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that must succeed, and returns the last word it printed.
pub(crate) fn last_word(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    printed.split_whitespace().last().unwrap_or_default().into()
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) data: TempDir,
    pub(crate) public: String,
    pub(crate) internal: String,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Server {
    /// Starts a server on free ports and an empty folder.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// Starts a server on free ports and this folder.
    pub(crate) fn start_in(data: TempDir, arguments: &[&str]) -> Self {
        let mut command = program(data.path());
        command.args(["--listen=127.0.0.1:0", "--internal-listen=127.0.0.1:0"]).args(arguments);
        Self::spawn(data, command)
    }

    /// Starts what serves, with its folder.
    pub(crate) fn spawn(data: TempDir, mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|l| send.send(l)));
        let mut server = Self {
            child,
            data,
            public: String::new(),
            internal: String::new(),
            lines,
            said: Vec::new(),
        };
        server.public = server.address("devices and users: ");
        server.internal = server.address("other services, /ready and /metrics: ");
        server
    }

    /// Returns HOST:PORT from the next line that says so.
    fn address(&mut self, label: &str) -> String {
        let line = self.heard(label);
        let (_, rest) = line.split_once(label).unwrap();
        let url = rest.split(['"', ' ']).next().unwrap();
        url.split_once("://").unwrap().1.into()
    }

    /// Waits for a line that contains the text.
    pub(crate) fn heard(&mut self, part: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no {part:?} in {:#?}", self.said);
            };
            self.said.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits for a line that contains the text, unless it came already.
    pub(crate) fn has_said(&mut self, part: &str) {
        if !self.said.iter().any(|line| line.contains(part)) {
            self.heard(part);
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-s", name, &id]).status();
        assert!(killed.unwrap().success());
    }

    /// Waits for the end; the folder stays.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// Waits for the end; returns the exit code and everything that was written.
    pub(crate) fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = self.child.wait().unwrap();
        self.said.extend(self.lines.iter());
        (status.code(), std::mem::take(&mut self.said))
    }

    /// Returns the status of a log-in and the body.
    pub(crate) fn log_in(&self, username: &str, password: &str) -> (u16, String) {
        let basic = STANDARD.encode(format!("{username}:{password}"));
        let path = "POST /api/management/v1/useradm/auth/login";
        call(&self.public, path, &format!("Authorization: Basic {basic}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request such as `GET /path`, and returns status and body.
pub(crate) fn call(address: &str, request: &str, header: &str) -> (u16, String) {
    send(address, request, header, "")
}

/// Sends a request with a body, and returns status and body.
pub(crate) fn send(address: &str, request: &str, header: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let header = if header.is_empty() { "X-None: 1" } else { header };
    let length = body.len();
    let message = format!(
        "{request} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\
         {header}\r\n\r\n{body}"
    );
    stream.write_all(message.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Calls until the status is the expected one.
pub(crate) fn eventually(address: &str, request: &str, status: u16) {
    for _ in 0..300 {
        if call(address, request, "").0 == status {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{request} never answers {status}");
}

/// Calls until the body, which is JSON, is as expected, and returns it.
pub(crate) fn eventually_body(
    address: &str,
    request: &str,
    header: &str,
    is_expected: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    let mut body = serde_json::Value::Null;
    for _ in 0..300 {
        body = serde_json::from_str(&call(address, request, header).1).unwrap_or_default();
        if is_expected(&body) {
            return body;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{request} never answers as expected, but {body}");
}
