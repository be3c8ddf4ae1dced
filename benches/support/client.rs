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

/// Returns where the answer ends, once its head has come.
fn end(answer: &str) -> Option<usize> {
    let head = answer.find("\r\n\r\n")? + 4;
    let length = answer[..head].lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some(head + length.unwrap_or(0))
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
        loop {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(broken("the answer is cut off"));
            }
            let text = std::str::from_utf8(&answer).map_err(|_| broken("no text"))?;
            if end(text).is_some_and(|end| end <= text.len()) {
                break;
            }
        }
        self.idle().push(stream);
        let text = String::from_utf8(answer).map_err(|_| broken("no text"))?;
        let status = text.lines().next().unwrap_or_default().to_owned();
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        Ok((status, body.unwrap_or_default()))
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
