use super::{
    FormatError, Limits, SignatureError, SigningKey,
    recipe::RecipeError,
    recipe_header::member,
    tar::{Event, Reader},
    tar_header::padding,
};

/// Whether a signature that is there is replaced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replace {
    /// Refuse to sign.
    No,
    /// Replace it.
    Yes,
}

/// Why an artifact was not signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ResignError {
    /// It is none, as far as was looked.
    Format(FormatError),
    /// The key can't sign it.
    Signature(SignatureError),
    /// There is a signature already.
    Signed,
}

impl std::fmt::Display for ResignError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::Signature(error) => error.fmt(f),
            Self::Signed => f.write_str(
                "Artifact already signed, refusing to re-sign. Use force option to override",
            ),
        }
    }
}

impl std::error::Error for ResignError {}

impl From<FormatError> for ResignError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

/// Signs an artifact while it passes through: only the member `manifest.sig` is new, all other
/// bytes are kept.
///
/// It looks no further than it must: whether it is an artifact, a
/// [`Parser`](super::Parser) beside it tells.
pub struct Resigner {
    key: SigningKey,
    replace: Replace,
    limits: Limits,
    reader: Reader,
    state: State,
    manifest: Vec<u8>,
    /// Bytes that were read and not yet handed on.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Before the manifest, in another member.
    Before,
    Manifest,
    /// After the manifest, and before the next member.
    Behind,
    /// In the old signature, which is dropped.
    Old {
        padding: u64,
    },
    /// After the old signature, whose padding is dropped, too.
    Dropped {
        padding: u64,
    },
    /// All else is handed on as it comes.
    Through,
}

impl Resigner {
    /// A transformer that signs with the key.
    #[must_use]
    pub fn new(key: SigningKey, replace: Replace, limits: Limits) -> Self {
        let reader = Reader::new(limits.tar_extension);
        let (manifest, held) = (Vec::new(), Vec::new());
        Self { key, replace, limits, reader, state: State::Before, manifest, held }
    }

    /// Takes the next bytes, and appends what is done to `to`.
    ///
    /// # Errors
    /// [`ResignError`]: what was written is no artifact then.
    pub fn push(&mut self, mut bytes: &[u8], to: &mut Vec<u8>) -> Result<(), ResignError> {
        while self.state != State::Through {
            let before = bytes;
            let event = self.reader.next(&mut bytes)?;
            let read = &before[..before.len() - bytes.len()];
            if !matches!(self.state, State::Old { .. }) {
                self.held.extend_from_slice(read);
            }
            match event {
                None => {
                    self.bound()?;
                    return Ok(());
                }
                Some(event) => self.take(&event, to)?,
            }
        }
        to.append(&mut self.held);
        to.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends the artifact.
    ///
    /// # Errors
    /// [`ResignError::Format`] where it ends too early.
    pub fn finish(self) -> Result<(), ResignError> {
        match self.state {
            State::Through => Ok(()),
            _ => Err(FormatError::Truncated.into()),
        }
    }

    /// Refuses to hold more than the members that may come before the signature can be.
    fn bound(&self) -> Result<(), ResignError> {
        let most = self.limits.manifest + self.limits.version + 4 * self.limits.tar_extension;
        if self.held.len() as u64 > most {
            let text = "no manifest where it should be";
            return Err(FormatError::invalid(text).into());
        }
        Ok(())
    }

    fn take(&mut self, event: &Event<'_>, to: &mut Vec<u8>) -> Result<(), ResignError> {
        self.state = match (self.state, event) {
            (State::Before, Event::Member(member)) => match member.name.as_str() {
                "version" => State::Before,
                "manifest" if member.size <= self.limits.manifest => State::Manifest,
                name => {
                    let name = super::headers::short(name);
                    let text = format!("reader: manifest must come second, not {name}");
                    return Err(FormatError::Invalid(text).into());
                }
            },
            (State::Manifest, Event::Data(piece)) => {
                self.manifest.extend_from_slice(piece);
                State::Manifest
            }
            (State::Manifest, Event::End) => {
                let size = self.manifest.len() as u64;
                // Invariant: nothing of what pads the manifest was read yet.
                to.append(&mut self.held);
                let zeros = padding(size);
                to.extend(std::iter::repeat_n(0, usize::try_from(zeros).unwrap_or(0)));
                let signature = self.key.sign(&self.manifest).map_err(ResignError::Signature)?;
                member(to, "manifest.sig", 0o644, 0, signature.as_bytes()).map_err(|error| {
                    match error {
                        RecipeError::Invalid(error) => ResignError::Format(error),
                        other => FormatError::invalid(other.to_string()).into(),
                    }
                })?;
                State::Behind
            }
            (State::Behind, Event::Member(member)) => {
                // What pads the manifest was written already.
                self.drop_first(padding(self.manifest.len() as u64));
                if member.name != "manifest.sig" {
                    State::Through
                } else if self.replace == Replace::No {
                    return Err(ResignError::Signed);
                } else {
                    self.held.clear();
                    State::Old { padding: padding(member.size) }
                }
            }
            (State::Old { padding }, Event::End) => State::Dropped { padding },
            (State::Dropped { padding }, Event::Member(_)) => {
                self.drop_first(padding);
                State::Through
            }
            (state, _) => state,
        };
        Ok(())
    }

    fn drop_first(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.held.len());
        self.held.drain(..bytes);
    }
}
