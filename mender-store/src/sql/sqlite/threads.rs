use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    thread::{Builder, JoinHandle},
};

use mender_core::{StoreError, StoreResult};

use super::{
    conn::Conn,
    gone,
    open::{self, Options},
    queue::Queue,
    writer::{self, Request},
};

type Read = Box<dyn FnOnce(&mut Conn) + Send>;

/// The threads that own the connections. Dropping this waits for the work they have.
pub(super) struct Threads {
    writes: Option<Sender<Request>>,
    reads: Arc<Queue<Read>>,
    /// The writer, then the readers.
    running: Vec<JoinHandle<()>>,
    // Declared last: another server may come once the threads are done.
    _lock: Option<File>,
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> StoreResult<JoinHandle<()>> {
    let failed = |e: io::Error| StoreError::unavailable(e);
    Builder::new().name(name.into()).spawn(work).map_err(failed)
}

fn read(conn: &mut Conn, reads: &Queue<Read>) {
    while let Some(read) = reads.take() {
        // Invariant: a call that panics drops its reply, so that its caller does not wait.
        if catch_unwind(AssertUnwindSafe(|| read(conn))).is_err() {
            conn.end();
        }
    }
}

impl Threads {
    pub(super) fn start(options: &Options) -> StoreResult<Self> {
        let lock = if options.exclusive { Some(open::lock(&options.path)?) } else { None };
        let mut writer = options.writer()?;
        let (writes, requests) = channel();
        let reads = Arc::new(Queue::new());
        let (queue, running) = (reads.clone(), Vec::new());
        let mut threads = Self { writes: Some(writes), reads, running, _lock: lock };
        threads.running.push(spawn("sqlite-writer", move || {
            writer::run(&mut writer, &requests);
        })?);
        for _ in 0..options.readers.max(1) {
            let mut reader = options.reader()?;
            let queue = queue.clone();
            threads.running.push(spawn("sqlite-reader", move || read(&mut reader, &queue))?);
        }
        Ok(threads)
    }

    pub(super) fn write(&self, request: Request) -> StoreResult<()> {
        let writes = self.writes.as_ref().ok_or(()).map_err(gone)?;
        writes.send(request).map_err(gone)
    }

    pub(super) fn read(&self, read: Read) {
        self.reads.put(read);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.reads.close();
        let mut running = self.running.drain(..);
        let writer = running.next();
        for reader in running {
            let _ = reader.join();
        }
        // The last to leave writes the log back into the file, and readers can't.
        self.writes = None;
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}
