//! The member that holds the header archive.

use ring::digest::{Context, SHA256};

use super::{
    archive::Archive,
    error::FormatError,
    headers::{Headers, Whose},
    inflate::Compression,
    json::Json,
    limits::Limits,
    manifest::Manifest,
    sum::hex,
};

/// A header archive that passes through.
pub(super) struct HeaderMember {
    name: String,
    sum: Context,
    archive: Archive,
    headers: Headers,
    pub(super) augmented: bool,
    /// What was wrong inside: told only if the checksum is right.
    failed: Option<FormatError>,
}

impl HeaderMember {
    pub(super) fn new(
        name: &str,
        compression: Compression,
        whose: Whose,
        limits: &Limits,
    ) -> Result<Self, FormatError> {
        Ok(Self {
            name: name.to_owned(),
            sum: Context::new(&SHA256),
            archive: Archive::new(compression, limits.header, limits)?,
            augmented: matches!(whose, Whose::Augmented { .. }),
            headers: Headers::new(whose, limits),
            failed: None,
        })
    }

    pub(super) fn keep_scripts(&mut self) {
        self.headers.kept = Some(Vec::new());
    }

    pub(super) fn push(&mut self, piece: &[u8], json: &mut Json) {
        self.sum.update(piece);
        if self.failed.is_none() {
            let headers = &mut self.headers;
            let pushed = self.archive.push(piece, &mut |event| headers.visit(event, json));
            self.failed = pushed.err();
        }
    }

    pub(super) fn end(
        mut self,
        sums: &mut Manifest,
        json: &mut Json,
    ) -> Result<Headers, FormatError> {
        sums.check(&self.name, &hex(self.sum, &[]))?;
        if let Some(error) = self.failed {
            return Err(error);
        }
        let headers = &mut self.headers;
        self.archive.finish(&mut |event| headers.visit(event, json))?;
        self.headers.finish()?;
        Ok(self.headers)
    }
}
