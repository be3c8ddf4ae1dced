//! A proxy before the server that loses requests and answers.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::Notify,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Loses {
    /// The request, before it reaches the server.
    Request,
    /// The answer, after the server gave it.
    Answer,
    /// The answer, but not before [`Proxy::go_on`] is called.
    AnswerLater,
}

#[derive(Debug, Default)]
struct State {
    /// Which command loses what, how many times.
    plan: Mutex<Option<(&'static str, Loses, usize)>>,
    down: Mutex<bool>,
    reached: Notify,
    go_on: Notify,
    cut: Mutex<CancellationToken>,
}

/// A running proxy; it ends with the test's runtime.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) port: u16,
    state: Arc<State>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts a proxy before the server, `host:port`.
    pub(super) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let (tasks, server, shared) = (TaskTracker::new(), server.to_owned(), state.clone());
        let spawner = tasks.clone();
        tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, state) = (server.clone(), shared.clone());
                spawner.spawn(async move {
                    let cut = lock(&state.cut).clone();
                    tokio::select! {
                        () = cut.cancelled() => {}
                        // However it ends, both connections are closed.
                        _ = state.serve(client, &server) => {}
                    }
                });
            }
        });
        Self { port, state }
    }

    /// Loses something of the next commands with this name.
    pub(super) fn lose(&self, command: &'static str, loses: Loses, times: usize) {
        *lock(&self.state.plan) = Some((command, loses, times));
    }

    /// Cuts every connection; those made while it is down are cut too.
    pub(super) fn set_down(&self, down: bool) {
        *lock(&self.state.down) = down;
        lock(&self.state.cut).cancel();
        *lock(&self.state.cut) = CancellationToken::new();
    }

    /// Waits until the server has answered what is to be lost.
    pub(super) async fn reached(&self) {
        self.state.reached.notified().await;
    }

    /// Lets the connection be cut.
    pub(super) fn go_on(&self) {
        self.state.go_on.notify_one();
    }

    /// Tells whether everything planned was lost.
    pub(super) fn is_done(&self) -> bool {
        lock(&self.state.plan).is_none()
    }
}

impl State {
    fn loses(&self, message: &[u8]) -> Option<Loses> {
        let mut plan = lock(&self.plan);
        let (command, loses, times) = plan.as_mut()?;
        let name = [&[2], command.as_bytes(), &[0]].concat();
        if !message.windows(name.len()).any(|part| part == name) {
            return None;
        }
        let loses = *loses;
        *times -= 1;
        if *times == 0 {
            *plan = None;
        }
        Some(loses)
    }

    async fn serve(&self, client: TcpStream, server: &str) -> io::Result<()> {
        if *lock(&self.down) {
            return Ok(());
        }
        let server = TcpStream::connect(server).await?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        loop {
            let request = message(&mut from_client).await?;
            let loses = self.loses(&request);
            if loses == Some(Loses::Request) {
                return Ok(());
            }
            to_server.write_all(&request).await?;
            let answer = message(&mut from_server).await?;
            if loses == Some(Loses::AnswerLater) {
                self.reached.notify_one();
                self.go_on.notified().await;
            }
            if loses.is_some() {
                return Ok(());
            }
            to_client.write_all(&answer).await?;
        }
    }
}

/// Reads a message of the protocol: its length comes first.
async fn message(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = from.read_u32_le().await?;
    let mut message = length.to_le_bytes().to_vec();
    message.resize(length as usize, 0);
    from.read_exact(&mut message[4..]).await?;
    Ok(message)
}
