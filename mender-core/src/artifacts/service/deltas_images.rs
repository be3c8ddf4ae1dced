//! Images of artifacts in files without a name: they are gone with whoever opened them.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc;

use crate::{
    artifacts::{
        format::{Limits, Parser, Script, Sink},
        logic::deltas::{checksum_of, image_of},
        model::Artifact,
        service::{Service, blob_of, upload::refused},
        vcdiff::{self, Encoding},
    },
    blob::ByteStream,
    env::hex,
    error::{Error, Result, StoreError},
    id::TenantId,
};

/// How many bytes are read at a time.
const PIECE: usize = 256 << 10;

/// How many pieces wait to be unpacked.
const WAITING: usize = 4;

/// Ends the work of threads once nobody waits for it.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

/// Stops when it is dropped.
pub(super) struct StopOnDrop(pub(super) Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Stop {
    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(io::Error::other("stopped")) } else { Ok(()) }
    }
}

/// An image in a file.
pub(super) struct Image {
    pub(super) file: File,
    pub(super) checksum: String,
    pub(super) size: u64,
    pub(super) scripts: Vec<Script>,
}

/// A delta in a file.
pub(super) struct DeltaFile {
    pub(super) file: File,
    pub(super) checksum: String,
    pub(super) size: u64,
}

fn broken(error: io::Error) -> Error {
    Error::new(crate::error::Kind::Unavailable, format!("the work folder: {error}")).because(error)
}

/// A file without a name.
fn new_file(folder: Option<&Path>) -> Result<File> {
    let made = match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder))
        }
        None => tempfile::tempfile(),
    };
    made.map_err(broken)
}

/// Writes what comes of a single file of an artifact.
struct ToFile {
    file: BufWriter<File>,
    most: u64,
    failed: Option<Error>,
}

impl Sink for ToFile {
    fn begin(&mut self, _: usize, _: &str, size: u64) {
        if size > self.most {
            self.failed = Some(Error::invalid("image", "the image is too large"));
        }
    }

    fn write(&mut self, piece: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.file.write_all(piece).err().map(broken);
        }
    }

    fn end(&mut self) {}
}

/// Reads an artifact as it comes, and writes its image.
fn unpack(
    mut from: mpsc::Receiver<Bytes>,
    folder: Option<&Path>,
    most: u64,
) -> Result<(File, crate::artifacts::format::Parsed)> {
    let mut sink = ToFile { file: BufWriter::new(new_file(folder)?), most, failed: None };
    let mut parser = Parser::new(Limits::default()).keep_scripts();
    while let Some(piece) = from.blocking_recv() {
        parser.push_to(&piece, &mut sink).map_err(|error| refused(&error))?;
        if let Some(failed) = sink.failed.take() {
            return Err(failed);
        }
    }
    let parsed = parser.finish().map_err(|error| refused(&error))?;
    let file = sink.file.into_inner().map_err(|error| broken(error.into_error()))?;
    Ok((file, parsed))
}

impl Service {
    /// Unpacks the image of an artifact, and verifies its checksum.
    pub(super) async fn image(&self, tenant: &TenantId, artifact: &Artifact) -> Result<Image> {
        let blobs = self.blobs(tenant).await?;
        let bytes = blobs.blob(&blob_of(tenant, &artifact.id)?, None).await?;
        let mut bytes = bytes.ok_or_else(|| Error::not_found("the bytes of an artifact"))?;
        let (to_thread, from_store) = mpsc::channel(WAITING);
        let (folder, most) = (self.config.delta.work.clone(), self.config.delta.max_image);
        let unpacked = off_thread(move || unpack(from_store, folder.as_deref(), most));
        let fed = async {
            while let Some(piece) = bytes.next().await {
                // Where nobody listens, it tells why.
                if to_thread.send(piece?).await.is_err() {
                    break;
                }
            }
            drop(to_thread);
            Ok::<_, StoreError>(())
        };
        let (unpacked, fed) = futures_util::join!(unpacked, fed);
        fed?;
        let (file, parsed) = unpacked?;
        let image = Artifact { content: parsed.content, ..artifact.clone() };
        let (size, checksum) = match image_of(&image) {
            Ok(file) => (file.size, file.checksum.clone()),
            Err(why) => return Err(Error::invalid("image", format!("an artifact {why}"))),
        };
        if checksum_of(&image.content).is_none_or(|(_, declared)| declared != checksum) {
            return Err(Error::invalid("image", "the image has another checksum than it says"));
        }
        Ok(Image { file, checksum, size, scripts: parsed.scripts })
    }

    /// Makes what turns one image into another, and verifies that it does.
    pub(super) async fn encode(
        &self,
        source: Image,
        (target, checksum): (File, String),
        how: Encoding,
        stop: Stop,
    ) -> Result<DeltaFile> {
        let folder = self.config.delta.work.clone();
        off_thread(move || encode(source.file, target, &checksum, &how, folder, &stop)).await
    }
}

/// Counts and sums what is written, until it shall stop.
struct Summed<'a, W> {
    to: W,
    sum: Context,
    size: u64,
    stop: &'a Stop,
}

impl<'a, W: Write> Summed<'a, W> {
    fn new(to: W, stop: &'a Stop) -> Self {
        Self { to, sum: Context::new(&SHA256), size: 0, stop }
    }
}

impl<W: Write> Write for Summed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stop.check()?;
        let written = self.to.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn encode(
    mut source: File,
    mut target: File,
    checksum: &str,
    how: &Encoding,
    folder: Option<PathBuf>,
    stop: &Stop,
) -> Result<DeltaFile> {
    let mut file = new_file(folder.as_deref())?;
    let (size, sum) = (|| {
        target.rewind()?;
        let mut delta = Summed::new(&file, stop);
        vcdiff::encode(&mut source, &mut target, &mut delta, how)?;
        Ok((delta.size, hex(delta.sum.finish().as_ref())))
    })()
    .map_err(broken)?;
    let made = (|| {
        file.rewind()?;
        let mut again = Summed::new(io::sink(), stop);
        vcdiff::decode(&mut source, &mut BufReader::new(&file), &mut again)?;
        Ok::<_, io::Error>(hex(again.sum.finish().as_ref()))
    })();
    match made {
        Ok(made) if made == checksum => Ok(DeltaFile { file, checksum: sum, size }),
        Ok(_) => Err(Error::internal("the delta makes another image")),
        Err(error) => Err(Error::internal("the delta makes no image").because(error)),
    }
}

/// Does what takes time where nobody waits for the thread.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::internal("making a delta panicked").because(e))?
}

/// The bytes of a file, from its beginning.
pub(super) fn bytes_of(file: File) -> ByteStream {
    Box::pin(stream::try_unfold((file, 0_u64), |(mut file, at)| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            file.seek(SeekFrom::Start(at))?;
            (&file).take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((piece, file))
        });
        let (piece, file) =
            read.await.map_err(StoreError::unavailable)?.map_err(StoreError::unavailable)?;
        let next = at + piece.len() as u64;
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), (file, next))))
    }))
}
