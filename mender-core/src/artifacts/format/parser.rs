use std::fmt::Write as _;

use ring::digest::{Context, SHA256};

use super::{
    Content, File, Script,
    archive::Archive,
    assemble::{Assembled, assemble},
    data::{DataMember, NoSink, Sink},
    error::FormatError,
    header_member::HeaderMember,
    headers::{Headers, Whose, short},
    inflate::Compression,
    json::Json,
    limits::Limits,
    manifest::Manifest,
    sum::hex,
    tar::{Event, Kind, Member, Reader},
    version,
};

/// What an artifact was found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What it contains.
    pub content: Content,
    /// The exact bytes that a signature signs.
    pub manifest: Vec<u8>,
    /// The signature in base64, if there is one; nobody has verified it.
    pub signature: Option<String>,
    /// The number of all bytes, those after the end included.
    pub size: u64,
    /// The state scripts, where [`Parser::keep_scripts`] was asked for.
    pub scripts: Vec<Script>,
    /// Why its payload for orchestrators is no manifest of this artifact.
    pub system_fault: Option<String>,
}

/// Parses an artifact as its bytes come, and verifies all checksums.
///
/// Memory is bounded by the [`Limits`], whatever comes and however it is cut.
pub struct Parser {
    limits: Limits,
    reader: Reader,
    size: u64,
    unpacked: u64,
    state: State,
    failed: Option<FormatError>,
}

/// What was seen so far.
struct State {
    json: Json,
    /// The names of the members up to the header, but for `version`.
    names: Vec<String>,
    version: Option<u32>,
    version_sum: String,
    manifest: Option<Vec<u8>>,
    manifest_augment: bool,
    signature: Option<String>,
    sums: Manifest,
    headers: Option<Headers>,
    keep_scripts: bool,
    scripts: Vec<Script>,
    assembled: Option<Assembled>,
    data: Vec<usize>,
    current: Current,
}

/// The member whose content is passing through.
enum Current {
    None,
    Small { which: Small, bytes: Vec<u8> },
    Header(Box<HeaderMember>),
    Data(Box<DataMember>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Small {
    Version,
    Manifest,
    Signature,
    ManifestAugment,
}

/// What a member may be by its name and its place.
enum Place {
    Small(Small),
    Header { compression: Compression },
    Data { payload: usize, compression: Compression },
}

impl Parser {
    /// A parser that has seen nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let state = State {
            json: Json::new(&limits),
            names: Vec::new(),
            version: None,
            version_sum: String::new(),
            manifest: None,
            manifest_augment: false,
            signature: None,
            sums: Manifest::default(),
            headers: None,
            keep_scripts: false,
            scripts: Vec::new(),
            assembled: None,
            data: Vec::new(),
            current: Current::None,
        };
        let reader = Reader::new(limits.tar_extension);
        let unpacked = limits.unpacked;
        Self { limits, reader, size: 0, unpacked, state, failed: None }
    }

    /// Keeps what state scripts consist of; within the limit of the whole header.
    #[must_use]
    pub fn keep_scripts(mut self) -> Self {
        self.state.keep_scripts = true;
        self
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// What is wrong with the artifact; from then on always the same.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.push_to(bytes, &mut NoSink)
    }

    /// Takes the next bytes, and hands on what they hold of payloads' files.
    ///
    /// # Errors
    /// As [`Parser::push`].
    pub fn push_to(&mut self, mut bytes: &[u8], sink: &mut dyn Sink) -> Result<(), FormatError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.size += bytes.len() as u64;
        let taken = self.take(&mut bytes, sink);
        if let Err(error) = &taken {
            self.failed = Some(error.clone());
        }
        taken
    }

    /// Returns what the headers say, once they are complete: files have names, but neither
    /// checksums nor sizes. Whoever needs no more can stop here.
    #[must_use]
    pub fn headers(&self) -> Option<&Content> {
        self.state.assembled.as_ref().map(|assembled| &assembled.content)
    }

    /// Tells whether the end of the artifact was pushed; bytes that follow belong to nothing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.reader.is_done()
    }

    /// Returns the number of bytes that were pushed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Stops after the headers: of files only the names are known, however much was pushed, and a
    /// manifest where all of it was.
    ///
    /// # Errors
    /// What is wrong with the artifact, or that the headers are not complete.
    pub fn into_headers(self) -> Result<Parsed, FormatError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let state = self.state;
        let mut content = state.assembled.ok_or_else(fields)?.content;
        for file in content.payloads.iter_mut().flat_map(|payload| &mut payload.files) {
            let name = std::mem::take(&mut file.name);
            *file = File { name, checksum: String::new(), size: 0, modified: File::NEVER };
        }
        let manifest = state.manifest.ok_or_else(fields)?;
        let State { signature, scripts, .. } = state;
        let (size, system_fault) = (self.size, None);
        Ok(Parsed { content, manifest, signature, size, scripts, system_fault })
    }

    /// Ends the artifact.
    ///
    /// # Errors
    /// What is wrong with it, or missing.
    pub fn finish(mut self) -> Result<Parsed, FormatError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.size == 0 || !matches!(self.state.current, Current::None) {
            return Err(FormatError::Truncated);
        }
        self.reader.finish()?;
        if self.state.assembled.is_none() {
            self.state.assemble(&self.limits)?;
        }
        let state = self.state;
        let assembled = state.assembled.ok_or_else(fields)?;
        let manifest = state.manifest.ok_or_else(fields)?;
        state.sums.finish()?;
        let (content, system_fault) = (assembled.content, assembled.fault);
        let system_fault = system_fault.map(|fault| fault.to_string());
        let State { signature, scripts, .. } = state;
        Ok(Parsed { content, manifest, signature, size: self.size, scripts, system_fault })
    }

    fn take(&mut self, bytes: &mut &[u8], sink: &mut dyn Sink) -> Result<(), FormatError> {
        while let Some(event) = self.reader.next(bytes)? {
            match event {
                Event::Member(member) => {
                    self.state.begin(&member, self.unpacked, &self.limits)?;
                }
                Event::Data(piece) => self.state.content(piece, sink)?,
                Event::End => {
                    if let Some(left) = self.state.end(sink, &self.limits)? {
                        self.unpacked = left;
                    }
                }
            }
        }
        Ok(())
    }
}

fn fields() -> FormatError {
    FormatError::invalid("The artifact does not contain all required fields")
}

impl State {
    fn begin(
        &mut self,
        member: &Member,
        unpacked: u64,
        limits: &Limits,
    ) -> Result<(), FormatError> {
        let name = member.name.as_str();
        let place = if member.kind == Kind::File { self.place(name, limits)? } else { None };
        let place = place.ok_or_else(|| self.misplaced(name))?;
        self.current = match place {
            Place::Small(which) => {
                let most = match which {
                    Small::Version => limits.version,
                    Small::Manifest | Small::ManifestAugment => limits.manifest,
                    Small::Signature => limits.signature,
                };
                if member.size > most {
                    return Err(FormatError::TooLarge(format!("{name} exceeds {most} bytes")));
                }
                Current::Small { which, bytes: Vec::new() }
            }
            Place::Header { compression } => {
                if member.size > limits.header {
                    let most = limits.header;
                    return Err(FormatError::TooLarge(format!("{name} exceeds {most} bytes")));
                }
                let whose = match &self.headers {
                    Some(original) => Whose::Augmented { kinds: original.kinds.clone() },
                    None => Whose::Artifact { version: self.version.unwrap_or(3) },
                };
                let mut header = HeaderMember::new(name, compression, whose, limits)?;
                if self.keep_scripts {
                    header.keep_scripts();
                }
                Current::Header(Box::new(header))
            }
            Place::Data { payload, compression } => {
                self.data.push(payload);
                let archive = Archive::new(compression, unpacked, limits)?;
                Current::Data(Box::new(DataMember::new(payload, archive)))
            }
        };
        if self.version.is_some() && self.assembled.is_none() {
            self.names.push(name.to_owned());
        }
        Ok(())
    }

    /// What a member may be here; `None`: nothing.
    fn place(&mut self, name: &str, limits: &Limits) -> Result<Option<Place>, FormatError> {
        if self.version.is_none() {
            return Ok((name == "version").then_some(Place::Small(Small::Version)));
        }
        if self.manifest.is_none() {
            return Ok((name == "manifest").then_some(Place::Small(Small::Manifest)));
        }
        let third = self.version == Some(3);
        if self.headers.is_none() {
            let first = self.signature.is_none() && !self.manifest_augment;
            let small = match name {
                "manifest.sig" if first => Some(Small::Signature),
                "manifest-augment" if third && !self.manifest_augment => {
                    Some(Small::ManifestAugment)
                }
                _ => None,
            };
            let header =
                Compression::of(name, "header").map(|compression| Place::Header { compression });
            return Ok(small.map(Place::Small).or(header));
        }
        if self.manifest_augment && self.assembled.is_none() {
            return Ok(Compression::of(name, "header-augment")
                .map(|compression| Place::Header { compression }));
        }
        if self.assembled.is_none() {
            self.assemble(limits)?;
        }
        let Some(base) = name.strip_prefix("data/").filter(|base| !base.contains('/')) else {
            return Ok(None);
        };
        if base.is_empty() {
            return Ok(None);
        }
        let number = base.get(..4).filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let archive = number.and_then(|number| Some((number, Compression::of(base, number)?)));
        let (number, compression) = archive.ok_or_else(|| {
            let name = short(name);
            FormatError::Invalid(format!("reader: error getting data Payload number: {name}"))
        })?;
        let payload: usize = number.parse().unwrap_or(usize::MAX);
        let number = self.assembled.as_ref().map_or(0, |assembled| assembled.files.len());
        if payload >= number {
            return Err(FormatError::Invalid(format!("reader: {name} belongs to no Payload")));
        }
        if self.data.contains(&payload) {
            return Err(FormatError::Invalid(format!("reader: data of a Payload twice: {name}")));
        }
        Ok(Some(Place::Data { payload, compression }))
    }

    fn misplaced(&self, name: &str) -> FormatError {
        let name = short(name);
        if self.version.is_none() {
            return FormatError::Invalid(format!("reader: version must come first, not {name}"));
        }
        if self.assembled.is_some() {
            return FormatError::Invalid(format!("reader: invalid data file name: {name}"));
        }
        let mut names = String::new();
        for known in &self.names {
            let _ = write!(names, "{known} ");
        }
        FormatError::Invalid(format!("Invalid structure: [{names}{name}], wrong element: {name}"))
    }

    fn content(&mut self, piece: &[u8], sink: &mut dyn Sink) -> Result<(), FormatError> {
        match &mut self.current {
            Current::None => Ok(()),
            Current::Small { bytes, .. } => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            Current::Header(header) => {
                header.push(piece, &mut self.json);
                Ok(())
            }
            Current::Data(data) => match &mut self.assembled {
                Some(assembled) => data.push(piece, assembled, &mut self.sums, sink),
                None => Ok(()),
            },
        }
    }

    /// Ends a member; returns how many bytes may still be unpacked, where it was one with data.
    fn end(&mut self, sink: &mut dyn Sink, limits: &Limits) -> Result<Option<u64>, FormatError> {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None => {}
            Current::Small { which, bytes } => self.small(which, bytes, limits)?,
            Current::Header(header) => {
                let augmented = header.augmented;
                let headers = header.end(&mut self.sums, &mut self.json)?;
                if augmented {
                    self.finish_headers(Some(headers), limits)?;
                } else {
                    self.headers = Some(headers);
                    if !self.manifest_augment {
                        self.assemble(limits)?;
                    }
                }
            }
            Current::Data(data) => {
                if let Some(assembled) = &mut self.assembled {
                    return data.end(assembled, &mut self.sums, sink).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn small(&mut self, which: Small, bytes: Vec<u8>, limits: &Limits) -> Result<(), FormatError> {
        match which {
            Small::Version => {
                self.version = Some(version::parse(&bytes, &mut self.json)?);
                self.version_sum = hex(Context::new(&SHA256), &bytes);
            }
            Small::Manifest => {
                self.sums.read(&bytes, false, limits)?;
                self.sums.check("version", &self.version_sum)?;
                self.manifest = Some(bytes);
            }
            Small::Signature => {
                self.signature = Some(String::from_utf8_lossy(&bytes).into_owned());
            }
            Small::ManifestAugment => {
                self.sums.read(&bytes, true, limits)?;
                self.manifest_augment = true;
            }
        }
        Ok(())
    }

    /// Puts together what the headers say, if they are complete.
    fn assemble(&mut self, limits: &Limits) -> Result<(), FormatError> {
        if self.headers.is_some() && !self.manifest_augment {
            self.finish_headers(None, limits)?;
        }
        Ok(())
    }

    fn finish_headers(
        &mut self,
        added: Option<Headers>,
        limits: &Limits,
    ) -> Result<(), FormatError> {
        // What was put together is no longer needed apart; that there were headers is.
        let empty = Headers::new(Whose::Augmented { kinds: Vec::new() }, limits);
        let Some(mut headers) = self.headers.replace(empty) else { return Ok(()) };
        self.scripts = headers.kept.take().unwrap_or_default();
        let version = self.version.unwrap_or(3);
        let signed = self.signature.is_some();
        self.assembled = Some(assemble(version, signed, headers, added, &self.sums, limits)?);
        Ok(())
    }
}
