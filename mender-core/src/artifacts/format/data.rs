use ring::digest::{Context, SHA256};

use super::{
    archive::Archive,
    assemble::{Assembled, Expected},
    error::FormatError,
    headers::short,
    manifest::Manifest,
    sum::hex,
    system::{Kept, SystemManifest},
    tar::{Event, Kind, Member},
};

/// Takes the content of payloads' files while an artifact is parsed.
///
/// What comes is verified only afterwards: it is to be forgotten where [`Sink::end`] does not
/// follow.
pub trait Sink {
    /// A file begins.
    fn begin(&mut self, payload: usize, name: &str, size: u64);
    /// A piece of its content.
    fn write(&mut self, piece: &[u8]);
    /// The file is complete, and its checksum is right.
    fn end(&mut self);
}

pub(super) struct NoSink;

impl Sink for NoSink {
    fn begin(&mut self, _: usize, _: &str, _: u64) {}
    fn write(&mut self, _: &[u8]) {}
    fn end(&mut self) {}
}

/// A data archive that passes through.
pub(super) struct DataMember {
    archive: Archive,
    files: Files,
}

/// The files of the payload.
struct Files {
    payload: usize,
    current: Option<Current>,
}

struct Current {
    index: usize,
    size: u64,
    modified: i64,
    sum: Context,
    /// The content, where it should be a manifest.
    kept: Option<Kept>,
}

impl DataMember {
    pub(super) fn new(payload: usize, archive: Archive) -> Self {
        Self { archive, files: Files { payload, current: None } }
    }

    pub(super) fn push(
        &mut self,
        piece: &[u8],
        assembled: &mut Assembled,
        sums: &mut Manifest,
        sink: &mut dyn Sink,
    ) -> Result<(), FormatError> {
        let files = &mut self.files;
        self.archive.push(piece, &mut |event| files.visit(event, assembled, sums, sink))
    }

    /// Ends the archive; returns how many more bytes others may unpack to.
    pub(super) fn end(
        mut self,
        assembled: &mut Assembled,
        sums: &mut Manifest,
        sink: &mut dyn Sink,
    ) -> Result<u64, FormatError> {
        let files = &mut self.files;
        self.archive.finish(&mut |event| files.visit(event, assembled, sums, sink))?;
        Ok(self.archive.left())
    }
}

impl Files {
    fn visit(
        &mut self,
        event: Event<'_>,
        assembled: &mut Assembled,
        sums: &mut Manifest,
        sink: &mut dyn Sink,
    ) -> Result<(), FormatError> {
        match event {
            Event::Member(member) => self.begin(&member, assembled, sink),
            Event::Data(piece) => {
                if let Some(current) = &mut self.current {
                    current.sum.update(piece);
                    if let Some(kept) = &mut current.kept {
                        kept.push(piece);
                    }
                    sink.write(piece);
                }
                Ok(())
            }
            Event::End => match self.current.take() {
                Some(current) => self.end(current, assembled, sums, sink),
                None => Ok(()),
            },
        }
    }

    fn begin(
        &mut self,
        member: &Member,
        assembled: &mut Assembled,
        sink: &mut dyn Sink,
    ) -> Result<(), FormatError> {
        let name = member.name.as_str();
        let files = assembled.files.get_mut(self.payload).map_or(&mut [][..], Vec::as_mut_slice);
        let found = files.iter().position(|file| file.name == name);
        let (Some(index), Kind::File) = (found, member.kind) else {
            let name = short(name);
            return Err(FormatError::Invalid(format!("Payload: can not find data file: {name}")));
        };
        if std::mem::replace(&mut files[index].seen, true) {
            return Err(FormatError::Invalid(format!("Payload: data file twice: {name}")));
        }
        let (size, modified, sum) = (member.size, member.modified, Context::new(&SHA256));
        let Assembled { content, fault, .. } = assembled;
        let is_first = content.system.is_none() && fault.is_none();
        let kind = content.payloads.get(self.payload).and_then(|payload| payload.kind.as_deref());
        let kept = (is_first && kind == Some(SystemManifest::PAYLOAD)).then(Kept::default);
        self.current = Some(Current { index, size, modified, sum, kept });
        sink.begin(self.payload, name, size);
        Ok(())
    }

    fn end(
        &self,
        current: Current,
        assembled: &mut Assembled,
        sums: &mut Manifest,
        sink: &mut dyn Sink,
    ) -> Result<(), FormatError> {
        let Current { index, size, modified, sum, kept } = current;
        let checksum = hex(sum, &[]);
        let Assembled { content, files, fault } = assembled;
        let Expected { name, shown, .. } = &files[self.payload][index];
        sums.check(&format!("data/{:04}/{name}", self.payload), &checksum)?;
        let payload = &mut content.payloads[self.payload];
        if let Some(file) = shown.and_then(|shown| payload.files.get_mut(shown)) {
            file.checksum = checksum;
            file.size = size;
            file.modified = modified;
        }
        match kept.map(|kept| kept.read(content)) {
            Some(Ok(manifest)) => content.system = Some(Box::new(manifest)),
            Some(Err(why)) => *fault = Some(why),
            None => {}
        }
        sink.end();
        Ok(())
    }
}
