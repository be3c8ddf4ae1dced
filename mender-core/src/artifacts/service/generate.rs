//! Artifacts that the server makes of a single file.

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

use crate::{
    artifacts::{
        format::{Measure, Recipe, RecipeError, SingleFile, Software, Writer},
        logic,
        model::{ArtifactId, Generate, UploadState, Work},
        service::{
            Service,
            bounded::Bounds,
            check_scope, raw_of,
            upload::{Claimed, Role, check_policy},
        },
    },
    blob::ByteStream,
    ctx::Ctx,
    error::{Error, Result},
};

/// What a single file becomes on a device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
struct Args {
    #[serde(default)]
    filename: String,
    #[serde(default)]
    dest_dir: String,
    #[serde(default)]
    software_filesystem: String,
    #[serde(default)]
    software_name: String,
    #[serde(default)]
    software_version: String,
}

fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid("args", what)
}

/// Checks a text that ends up in an artifact.
fn check_text(field: &str, text: &str, max: usize) -> Result<()> {
    if text.len() > max {
        return Err(invalid(format!("{field} exceeds maximum length of {max}")));
    }
    if text.starts_with('-') {
        return Err(invalid(format!("{field} must not start with '-'")));
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err(invalid(format!("{field} must not contain control characters")));
    }
    Ok(())
}

/// The names of the files that tell the device what to do with the one that matters.
const CONTROL: [&str; 3] = ["dest_dir", "filename", "permissions"];

impl Args {
    fn of(generate: &Generate) -> Result<Self> {
        let mut args: Self = serde_json::from_str(&generate.args)
            .map_err(|error| invalid(format!("can't parse 'args': {error}")))?;
        let last = args.filename.rsplit('/').find(|part| !part.is_empty());
        args.filename = last.unwrap_or(".").to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ',');
        let name = args.filename.as_str();
        if name == "." || name == ".." || !name.chars().all(plain) || CONTROL.contains(&name) {
            return Err(invalid("invalid filename"));
        }
        check_text("filename", name, 256)?;
        check_text("artifact-name", &generate.name, 4096)?;
        for text in &generate.device_types {
            if text.is_empty() {
                return Err(invalid("device type can't be empty"));
            }
            check_text("device type", text, 256)?;
        }
        check_text("software-filesystem", &args.software_filesystem, 256)?;
        check_text("software-name", &args.software_name, 256)?;
        check_text("software-version", &args.software_version, 256)?;
        check_text("description", &generate.description, logic::MAX_DESCRIPTION)?;
        check_text("destination dir", &args.dest_dir, 4096)?;
        if !args.dest_dir.starts_with('/') {
            return Err(invalid("invalid artifact destination dir: need an absolute path"));
        }
        if args.dest_dir.split('/').any(|part| part == "..") {
            return Err(invalid(
                "invalid artifact destination dir: path must not contain '..' components",
            ));
        }
        Ok(args)
    }
}

impl Service {
    /// Takes a file that an artifact is made of; the artifact appears later, under the id that is
    /// returned.
    ///
    /// # Errors
    /// `Invalid` for what no artifact can be made of, `Conflict` where the release has an artifact
    /// for one of the device types, `TooLarge`, `Forbidden` for users who are limited to some tags
    /// and where the policy of the tenant takes signed artifacts only,
    /// the errors of the bytes, and those of the stores.
    pub async fn generate(
        &self,
        ctx: &Ctx,
        generate: Generate,
        size: Option<u64>,
        bytes: impl Stream<Item = Result<Bytes>> + Send + 'static,
    ) -> Result<ArtifactId> {
        check_scope(ctx)?;
        Args::of(&generate)?;
        let bounds = Bounds::new(size, self.config.max_generate_size)?;
        // Nobody signs what is made here.
        check_policy(&self.settings(ctx).await?, None)?;
        self.check_unique(ctx, &generate).await?;
        let id = self.new_id()?;
        let work = Work::Generate(generate);
        let upload = self.begin(ctx, id.clone(), work, UploadState::Running).await?;
        let claimed = Claimed::new(self, ctx, upload);
        let raw = raw_of(&ctx.tenant, &id)?;
        match claimed.work(self.put_bounded(&ctx.tenant, &raw, bytes, bounds)).await {
            Ok(()) => {
                claimed.hand_over().await?;
                self.work_on(ctx, &id).await?;
                Ok(id)
            }
            Err(error) => {
                // Where this fails as well, the job cleans up.
                let _ = claimed.end().await;
                Err(error)
            }
        }
    }

    /// Makes the artifact of a file that was taken. The file is read twice, and never held.
    pub(super) async fn generate_from(
        &self,
        ctx: &Ctx,
        claimed: &Claimed<'_>,
        id: &ArtifactId,
        generate: Generate,
    ) -> Result<()> {
        let (blobs, key) = (self.blobs(&ctx.tenant).await?, raw_of(&ctx.tenant, id)?);
        let missing = || Error::not_found("the file");
        let size = blobs.blob_size(&key).await?.ok_or_else(missing)?;
        let Args { filename, dest_dir, software_filesystem, software_name, software_version } =
            Args::of(&generate)?;
        let file = SingleFile { dest_dir, filename, size, mode: 0o644 };
        let given = |text: String| (!text.is_empty()).then_some(text);
        let software = Software {
            filesystem: given(software_filesystem),
            name: given(software_name),
            version: given(software_version),
        };
        let recipe = Recipe::single_file(&generate.name, generate.device_types, &file, &software)
            .map_err(unwritable)?;
        let mut content = blobs.blob(&key, None).await?.ok_or_else(missing)?;
        let mut measure = Measure::new(recipe);
        measure.push(&file.preamble()).map_err(unwritable)?;
        while let Some(piece) = content.next().await {
            let piece = piece?;
            measure = off_thread(move || measure.push(&piece).map(|()| measure)).await?;
        }
        let plan = off_thread(move || measure.finish()).await?;
        let content = blobs.blob(&key, None).await?.ok_or_else(missing)?;
        let writer = plan.write().map_err(unwritable)?;
        let bounds = Bounds::new(None, self.config.max_size)?;
        let bytes = written(writer, file.preamble(), content);
        let description = Some(generate.description);
        Box::pin(self.receive(ctx, claimed, description, &Role::Any, bounds, bytes)).await.map(drop)
    }

    /// Refuses what would conflict with an artifact that every device of a type may install.
    async fn check_unique(&self, ctx: &Ctx, generate: &Generate) -> Result<()> {
        let Some(release) = self.store.release(&ctx.tenant, &generate.name).await? else {
            return Ok(());
        };
        let taken = release.artifacts.iter().any(|artifact| {
            artifact.content.depends.keys().all(|key| key == "device_type")
                && artifact.content.device_types.iter().any(|t| generate.device_types.contains(t))
        });
        if taken {
            return Err(Error::conflict("Artifact not unique"));
        }
        Ok(())
    }
}

pub(super) fn unwritable(error: RecipeError) -> Error {
    let text = error.to_string();
    Error::invalid("args", text).because(error)
}

/// Does what takes time where nobody waits for the thread.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RecipeError> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::internal("writing panicked").because(e))?.map_err(unwritable)
}

/// The bytes of an artifact, written as they are read.
pub(super) fn written(
    writer: Writer,
    preamble: Vec<u8>,
    content: ByteStream,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let begun = stream::once(async move { Ok(Bytes::from(preamble)) }).chain(content).boxed();
    stream::try_unfold(Some((writer, begun)), |state| async move {
        let Some((mut writer, mut content)) = state else {
            return Ok(None);
        };
        let piece = content.next().await.transpose()?;
        let (bytes, writer) = off_thread(move || {
            let mut bytes = Vec::new();
            match piece {
                Some(piece) => writer.push(&piece, &mut bytes).map(|()| (bytes, Some(writer))),
                None => writer.finish(&mut bytes).map(|()| (bytes, None)),
            }
        })
        .await?;
        Ok(Some((Bytes::from(bytes), writer.map(|writer| (writer, content)))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Result<Args> {
        Args::of(&Generate {
            name: "n".into(),
            description: String::new(),
            device_types: vec!["t".into()],
            args: text.into(),
        })
    }

    #[test]
    fn only_the_last_part_of_a_file_name_counts() {
        let found = args(r#"{"filename":"a/b/c.sh","dest_dir":"/opt","other":1}"#).unwrap();
        assert_eq!(found.filename, "c.sh");
    }

    #[test]
    fn what_no_artifact_can_be_made_of_is_refused_at_once() {
        let wrong = [
            ("", "can't parse 'args'"),
            (r#"{"filename":"","dest_dir":"/"}"#, "invalid filename"),
            (r#"{"filename":"..","dest_dir":"/"}"#, "invalid filename"),
            (r#"{"filename":"a b","dest_dir":"/"}"#, "invalid filename"),
            (r#"{"filename":"permissions","dest_dir":"/"}"#, "invalid filename"),
            (r#"{"filename":"-a","dest_dir":"/"}"#, "must not start with '-'"),
            (r#"{"filename":"a","dest_dir":"opt"}"#, "need an absolute path"),
            (r#"{"filename":"a","dest_dir":"/a/../b"}"#, "must not contain '..'"),
            (r#"{"filename":"a","dest_dir":"/\n"}"#, "control characters"),
        ];
        for (text, why) in wrong {
            let error = args(text).unwrap_err();
            assert!(error.what.contains(why), "{text}: {error}");
        }
    }
}
