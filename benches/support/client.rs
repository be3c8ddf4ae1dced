//! Requests over connections that stay open; the client is as cheap as can be, since it shares the
//! processor with the server.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// More than any answer is long.
const ANSWER: usize = 4096;

/// Connections to one server.
pub(crate) struct Client {
    address: SocketAddr,
    idle: Mutex<Vec<TcpStream>>,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The end of an answer that comes in chunks.
const LAST: &[u8] = b"\r\n0\r\n\r\n";

/// How far an answer goes.
enum Extent {
    /// To here.
    To(usize),
    /// To the last of chunks, of which the first one begins here.
    Chunks(usize),
}

/// Returns how far an answer goes, once its head has come.
fn extent(answer: &[u8]) -> Option<Extent> {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let lines = std::str::from_utf8(&answer[..head]).ok()?.lines();
    let field = |name: &str| {
        let mut fields = lines.clone().filter_map(|line| line.split_once(':'));
        fields.find(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1.trim())
    };
    if field("transfer-encoding").is_some() {
        return Some(Extent::Chunks(head));
    }
    let length: usize = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Some(Extent::To(head + length))
}

/// Puts chunks together.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = chunks.windows(2).position(|end| end == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..line]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(line + 2..line + 2 + size)?);
        chunks = chunks.get(line + 2 + size + 2..)?;
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request, and returns the status line and the body.
    pub(crate) async fn ask(&self, request: &[u8]) -> io::Result<(String, String)> {
        let idle = self.idle().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(request).await?;
        let mut answer = Vec::with_capacity(ANSWER);
        let mut known = None;
        let head = loop {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(broken("the answer is cut off"));
            }
            known = known.or_else(|| extent(&answer));
            match known {
                Some(Extent::To(end)) if end <= answer.len() => break None,
                Some(Extent::Chunks(head)) if answer.ends_with(LAST) => break Some(head),
                _ => {}
            }
        };
        self.idle().push(stream);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| broken("no text"));
        let body = match head {
            Some(head) => Some(joined(&answer[head..]).ok_or_else(|| broken("no chunks"))?),
            None => None,
        };
        let answer = text(answer)?;
        let status = answer.lines().next().unwrap_or_default().to_owned();
        let whole = || answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        Ok((status, body.map_or_else(|| Ok(whole().unwrap_or_default()), text)?))
    }
}

/// An authentication request of a device.
pub(crate) fn auth_request(body: &str, signature: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /api/devices/v1/authentication/auth_requests HTTP/1.1\r\nHost: bench\r\n\
         Content-Type: application/json\r\nX-MEN-Signature: {signature}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
