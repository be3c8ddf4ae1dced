//! A stream becomes an object: at once where it fits into one part, else in parts.

use bytes::Bytes;
use futures_util::StreamExt as _;
use mender_core::{StoreError, StoreResult, blob::ARTIFACT_TYPE, blob::ByteStream};
use object_store::{
    Attribute, Attributes, ObjectStore as _, PutMultipartOptions, PutOptions, PutPayloadMut,
    WriteMultipart, path::Path,
};
use tokio_util::task::TaskTracker;

use super::Cloud;

/// How many parts are on their way at once.
const PARTS: usize = 4;

/// What was begun and is undone unless it is finished.
struct Begun {
    write: Option<WriteMultipart>,
    tasks: TaskTracker,
}

impl Begun {
    /// Undoes it, also when the caller does not wait.
    async fn undo(mut self) {
        if let Some(write) = self.write.take() {
            let undone = self.tasks.spawn(abort(write)).await;
            drop(undone);
        }
    }
}

async fn abort(write: WriteMultipart) {
    if let Err(error) = write.abort().await {
        // A rule of the bucket that ends uploads of some age takes these away.
        tracing::warn!(%error, "parts of an upload that was given up may stay in the bucket");
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let (Some(write), Ok(runtime)) =
            (self.write.take(), tokio::runtime::Handle::try_current())
        {
            self.tasks.spawn_on(abort(write), &runtime);
        }
    }
}

fn attributes() -> Attributes {
    Attributes::from_iter([(Attribute::ContentType, ARTIFACT_TYPE)])
}

fn cut(error: tokio::task::JoinError) -> StoreError {
    StoreError::unavailable(error)
}

/// Takes chunks until there are more than `part` bytes, or the stream ends.
async fn head(bytes: &mut ByteStream, part: usize) -> StoreResult<(Vec<Bytes>, usize, bool)> {
    let (mut chunks, mut size) = (Vec::new(), 0);
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk?;
        size += chunk.len();
        chunks.push(chunk);
        if size > part {
            return Ok((chunks, size, false));
        }
    }
    Ok((chunks, size, true))
}

pub(super) async fn put(cloud: &Cloud, path: Path, mut bytes: ByteStream) -> StoreResult<u64> {
    let (chunks, size, is_all) = head(&mut bytes, cloud.part).await?;
    if is_all {
        let mut payload = PutPayloadMut::new();
        chunks.into_iter().for_each(|chunk| payload.push(chunk));
        let options = PutOptions { attributes: attributes(), ..PutOptions::default() };
        let put = cloud.data.put_opts(&path, payload.into(), options).await;
        return put.map(|_| size as u64).map_err(|error| cloud.failed(&error));
    }
    let mut begun = begin(cloud, path).await?;
    let sent = send(cloud, &mut begun, chunks, bytes).await;
    let Some(write) = begun.write.take_if(|_| sent.is_ok()) else {
        begun.undo().await;
        return sent;
    };
    // In a task of its own: from here on it can't be taken back, only seen through. Where it fails
    // it undoes itself.
    let finished = cloud.tasks.spawn(write.finish()).await.map_err(cut)?;
    finished.map_err(|error| cloud.failed(&error))?;
    sent
}

/// Begins an upload. In a task of its own, for where the caller goes away meanwhile, what was
/// begun is dropped there, and so undone.
async fn begin(cloud: &Cloud, path: Path) -> StoreResult<Begun> {
    let (data, tasks, part) = (cloud.data.clone(), cloud.tasks.clone(), cloud.part);
    let begin = async move {
        let options =
            PutMultipartOptions { attributes: attributes(), ..PutMultipartOptions::default() };
        let upload = data.put_multipart_opts(&path, options).await?;
        let write = Some(WriteMultipart::new_with_chunk_size(upload, part));
        Ok(Begun { write, tasks })
    };
    let begun: object_store::Result<_> = cloud.tasks.spawn(begin).await.map_err(cut)?;
    begun.map_err(|error| cloud.failed(&error))
}

/// Sends everything, and waits until the store has it.
async fn send(
    cloud: &Cloud,
    begun: &mut Begun,
    first: Vec<Bytes>,
    mut bytes: ByteStream,
) -> StoreResult<u64> {
    let Some(write) = &mut begun.write else { return Ok(0) };
    let mut size = 0;
    let mut first = first.into_iter();
    loop {
        let chunk = match first.next() {
            Some(chunk) => chunk,
            None => match bytes.next().await {
                Some(chunk) => chunk?,
                None => return Ok(size),
            },
        };
        size += chunk.len() as u64;
        write.wait_for_capacity(PARTS).await.map_err(|error| cloud.failed(&error))?;
        write.put(chunk);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use async_trait::async_trait;
    use futures_util::stream::{self, BoxStream};
    use mender_core::{
        Time,
        blob::{Audience, BlobKey, Link, LinkTo},
    };
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        PutPayload, PutResult, Result, UploadPart, memory::InMemory,
    };
    use reqwest::Client;

    use super::*;
    use crate::cloud::Vendor;

    /// Counts uploads in parts that were begun, and those that came to an end.
    #[derive(Debug, Default)]
    struct Counting {
        store: InMemory,
        begun: AtomicUsize,
        ended: Arc<AtomicUsize>,
    }

    impl fmt::Display for Counting {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Counting")
        }
    }

    #[derive(Debug)]
    struct Counted {
        upload: Box<dyn MultipartUpload>,
        ended: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl MultipartUpload for Counted {
        fn put_part(&mut self, data: PutPayload) -> UploadPart {
            self.upload.put_part(data)
        }

        async fn complete(&mut self) -> Result<PutResult> {
            self.ended.fetch_add(1, Ordering::SeqCst);
            self.upload.complete().await
        }

        async fn abort(&mut self) -> Result<()> {
            self.ended.fetch_add(1, Ordering::SeqCst);
            self.upload.abort().await
        }
    }

    #[async_trait]
    impl ObjectStore for Counting {
        async fn put_opts(&self, at: &Path, all: PutPayload, o: PutOptions) -> Result<PutResult> {
            self.store.put_opts(at, all, o).await
        }

        async fn put_multipart_opts(
            &self,
            at: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let upload = self.store.put_multipart_opts(at, options).await?;
            Ok(Box::new(Counted { upload, ended: self.ended.clone() }))
        }

        async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
            self.store.get_opts(at, options).await
        }

        fn delete_stream(
            &self,
            all: BoxStream<'static, Result<Path>>,
        ) -> BoxStream<'static, Result<Path>> {
            self.store.delete_stream(all)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.store.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.store.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.store.copy_opts(from, to, options).await
        }
    }

    struct Nobody;

    #[async_trait]
    impl Vendor for Nobody {
        fn place(&self) -> String {
            "nowhere".into()
        }

        async fn link(
            &self,
            _: &BlobKey,
            _: LinkTo<'_>,
            _: Audience,
            _: Duration,
            _: Time,
        ) -> StoreResult<Option<Link>> {
            Ok(None)
        }

        async fn check(&self, _: &Client, _: Time) -> StoreResult<()> {
            Ok(())
        }
    }

    /// Drops an upload after each number of steps that it takes, and looks what is left.
    #[tokio::test]
    async fn an_upload_in_parts_ends_wherever_it_is_cut_off() {
        let client = Client::new();
        for steps in 0..40 {
            let data = Arc::new(Counting::default());
            let cloud = Cloud {
                data: data.clone(),
                vendor: Arc::new(Nobody),
                client: client.clone(),
                part: 10,
                tasks: TaskTracker::new(),
            };
            let chunks = stream::iter((0..7).map(|_| Ok(Bytes::from_static(b"12345678"))));
            let chunks = chunks.then(async |chunk| {
                tokio::task::yield_now().await;
                chunk
            });
            let path = Path::from("a");
            let mut put = Box::pin(put(&cloud, path.clone(), Box::pin(chunks)));
            for _ in 0..steps {
                if futures_util::poll!(put.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(put);
            cloud.tasks.close();
            cloud.tasks.wait().await;
            let ended = data.ended.load(Ordering::SeqCst);
            assert_eq!(ended, data.begun.load(Ordering::SeqCst), "after {steps} steps");
            match object_store::ObjectStoreExt::head(&*data, &path).await {
                Ok(whole) => assert_eq!(whole.size, 56),
                Err(error) => assert!(matches!(error, object_store::Error::NotFound { .. })),
            }
        }
    }
}
