//! A way to the server that can be cut.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::Arc;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::TaskTracker;

/// A running proxy; it ends with the test's runtime.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    is_up: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Starts a proxy before the server, `host:port`, which is down at first.
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_up = Arc::new(watch::Sender::new(false));
        let (tasks, server, shared) = (TaskTracker::new(), server.to_owned(), is_up.clone());
        let spawner = tasks.clone();
        tasks.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut is_up) = (server.clone(), shared.subscribe());
                spawner.spawn(async move {
                    let pass_on = async {
                        let mut server = TcpStream::connect(server).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    };
                    tokio::select! {
                        biased;
                        // However it ends, both connections are closed.
                        _ = is_up.wait_for(|up| !up) => {}
                        _ = pass_on => {}
                    }
                });
            }
        });
        Self { port, is_up }
    }

    /// Lets connections through from now on, or cuts them all.
    pub(crate) fn set_up(&self, up: bool) {
        self.is_up.send_replace(up);
    }
}
