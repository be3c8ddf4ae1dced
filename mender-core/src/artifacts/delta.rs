//! Makes deltas between artifacts that install an image of the root file system.
//!
//! Images lie in files without a name meanwhile, which are gone with whoever opened them.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Seek as _, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ring::digest::{Context, SHA256};

use crate::{
    artifacts::{
        format::{
            Content, FileRecipe, FormatError, Limits, Parser, Plan, RecipeError, Script, Sink,
        },
        logic::deltas,
        model::DeltaSizes,
        vcdiff,
    },
    env::hex,
    error::{Error, Kind, Result},
};

/// Ends the work of threads that nobody waits for any more.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends it.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(io::Error::other("stopped")) } else { Ok(()) }
    }
}

fn broken(error: io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("the work folder: {error}")).because(error)
}

/// The refusal of what is no artifact.
fn unreadable(error: &FormatError) -> Error {
    Error::invalid("artifact", error.to_string())
}

/// The refusal of what can be no artifact.
fn unwritable(error: RecipeError) -> Error {
    Error::invalid("delta", error.to_string()).because(error)
}

/// A file without a name; `None`: where the system has such files.
fn new_file(folder: Option<&Path>) -> io::Result<File> {
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder))
        }
        None => tempfile::tempfile(),
    }
}

/// Takes an artifact as its bytes come, and writes its image to a file.
pub struct Unpacker {
    parser: Parser,
    sink: ToFile,
}

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

impl Unpacker {
    /// Begins with an artifact whose image has at most so many bytes.
    ///
    /// # Errors
    /// `Unavailable` where the folder can't be written to.
    pub fn new(folder: Option<&Path>, most: u64) -> Result<Self> {
        let file = BufWriter::new(new_file(folder).map_err(broken)?);
        let parser = Parser::new(Limits::default()).keep_scripts();
        Ok(Self { parser, sink: ToFile { file, most, failed: None } })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `Invalid` for what is no artifact, or has too large an image, and as above.
    pub fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.parser.push_to(piece, &mut self.sink).map_err(|error| unreadable(&error))?;
        self.sink.failed.take().map_or(Ok(()), Err)
    }

    /// Ends the artifact, and verifies all checksums.
    ///
    /// # Errors
    /// `Invalid` for what is no artifact of an image, and as above.
    pub fn finish(self) -> Result<Image> {
        let parsed = self.parser.finish().map_err(|error| unreadable(&error))?;
        let file = self.sink.file.into_inner().map_err(|error| broken(error.into_error()))?;
        let (content, scripts) = (parsed.content, parsed.scripts);
        let image = deltas::image_of(&content)
            .map_err(|why| Error::invalid("image", format!("an artifact {why}")))?;
        let (name, size, checksum) = (image.name.clone(), image.size, image.checksum.clone());
        if deltas::checksum_of(&content).is_none_or(|(_, declared)| declared != checksum) {
            return Err(Error::invalid("image", "the image has another checksum than it says"));
        }
        Ok(Image { file, name, size, checksum, content, scripts })
    }
}

/// The image of an artifact.
#[derive(Debug)]
pub struct Image {
    file: File,
    name: String,
    size: u64,
    checksum: String,
    content: Content,
    scripts: Vec<Script>,
}

/// A delta, and the artifact that it will be.
#[derive(Debug)]
pub struct Delta {
    /// The artifact, but for the delta.
    pub plan: Plan,
    /// The delta, from the beginning of the file.
    pub file: File,
    /// The bytes of the image that it makes.
    pub target_size: u64,
}

impl Delta {
    /// Makes what turns the one image into the other, and verifies that it does.
    ///
    /// # Errors
    /// `Invalid` where there can be no such artifact, `Unavailable` where the folder can't be
    /// written to or it shall stop, `Internal` where the delta makes another image.
    pub fn between(
        mut source: Image,
        mut target: Image,
        sizes: &DeltaSizes,
        folder: Option<&Path>,
        stop: &Stop,
    ) -> Result<Self> {
        let types = &source.content.device_types;
        if !target.content.device_types.iter().any(|t| types.contains(t)) {
            return Err(Error::invalid("delta", "the artifacts are for other devices"));
        }
        let mut file = new_file(folder).map_err(broken)?;
        let encoded = encode(&mut source.file, &mut target.file, &mut file, sizes, stop);
        let (size, checksum) = encoded.map_err(broken)?;
        match decode(&mut source.file, &mut file, stop) {
            Ok(made) if made == target.checksum => {}
            Ok(_) => return Err(Error::internal("the delta makes another image")),
            Err(error) => return Err(Error::internal("the delta makes no image").because(error)),
        }
        let recipe = FileRecipe::new(format!("{}.delta", target.name), size);
        let made = (&target.content, target.checksum.as_str(), target.size);
        let recipe = deltas::recipe(&source.content, made, target.scripts, (recipe, sizes));
        // A delta is packed already.
        let plan = Plan::of_known(recipe, vec![vec![checksum]]).map_err(unwritable)?;
        Ok(Self { plan, file, target_size: target.size })
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
    source: &mut File,
    target: &mut File,
    file: &mut File,
    sizes: &DeltaSizes,
    stop: &Stop,
) -> io::Result<(u64, String)> {
    target.rewind()?;
    let mut delta = Summed::new(file, stop);
    vcdiff::encode(source, target, &mut delta, &sizes.encoding())?;
    Ok((delta.size, hex(delta.sum.finish().as_ref())))
}

/// Returns the checksum of what a delta makes.
fn decode(source: &mut File, file: &mut File, stop: &Stop) -> io::Result<String> {
    file.rewind()?;
    let mut again = Summed::new(io::sink(), stop);
    vcdiff::decode(source, &mut BufReader::new(&mut *file), &mut again)?;
    file.rewind()?;
    Ok(hex(again.sum.finish().as_ref()))
}
