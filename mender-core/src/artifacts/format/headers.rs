//! The header archive: `header-info`, scripts, then the headers of each payload.

use serde_json::{Map, Value};

use super::{
    Script,
    error::FormatError,
    header_info::{self, HeaderInfo},
    json::{Json, texts},
    limits::Limits,
    tar::{Event, Kind, Member},
    text,
    type_info::{self, TypeInfo},
};

pub(super) const ROOTFS: &str = "rootfs-image";

/// The headers of one payload.
#[derive(Default)]
pub(super) struct PayloadHeaders {
    pub(super) type_info: Option<TypeInfo>,
    pub(super) meta_data: Option<Map<String, Value>>,
    /// Version 2: the names of its files.
    pub(super) files: Option<Vec<String>>,
}

/// Whose headers they are.
pub(super) enum Whose {
    /// The artifact's.
    Artifact { version: u32 },
    /// Those that augment an artifact whose payloads are of these types.
    Augmented { kinds: Vec<Option<String>> },
}

/// A member whose content is being collected or passed over.
enum Current {
    None,
    Ignored,
    Info,
    Script(String),
    TypeInfo(usize),
    MetaData(usize),
    Files(usize),
}

/// What a header archive says, as far as it was seen.
pub(super) struct Headers {
    whose: Whose,
    limits: Limits,
    pub(super) info: Option<HeaderInfo>,
    /// The type of each payload.
    pub(super) kinds: Vec<Option<String>>,
    pub(super) payloads: Vec<PayloadHeaders>,
    pub(super) scripts: Vec<String>,
    /// What they consist of, where that is asked for.
    pub(super) kept: Option<Vec<Script>>,
    any_payload: bool,
    seen_info: bool,
    current: Current,
    content: Vec<u8>,
}

impl Headers {
    pub(super) fn new(whose: Whose, limits: &Limits) -> Self {
        Self {
            whose,
            limits: limits.clone(),
            info: None,
            kinds: Vec::new(),
            payloads: Vec::new(),
            scripts: Vec::new(),
            kept: None,
            any_payload: false,
            seen_info: false,
            current: Current::None,
            content: Vec::new(),
        }
    }

    pub(super) fn visit(&mut self, event: Event<'_>, json: &mut Json) -> Result<(), FormatError> {
        match event {
            Event::Member(member) => self.begin(&member),
            Event::Data(piece) => {
                if !matches!(self.current, Current::None | Current::Ignored) {
                    self.content.extend_from_slice(piece);
                }
                Ok(())
            }
            Event::End => self.end(json),
        }
    }

    fn begin(&mut self, member: &Member) -> Result<(), FormatError> {
        if member.kind == Kind::Directory {
            self.current = Current::Ignored;
            return Ok(());
        }
        let path = member.name.as_str();
        let (current, most) = if !self.seen_info {
            if path != "header-info" {
                let text = format!("header-info must be the first element, found: {}", short(path));
                return Err(FormatError::Invalid(text));
            }
            self.seen_info = true;
            (Current::Info, self.limits.header_json)
        } else if let Some(script) = path.strip_prefix("scripts/").filter(|_| !self.any_payload) {
            self.script(script)?;
            let kept = self.kept.as_ref().map(|_| Current::Script(script.to_owned()));
            (kept.unwrap_or(Current::Ignored), self.limits.script)
        } else {
            (self.payload(path)?, self.limits.header_json)
        };
        if member.size > most {
            return Err(FormatError::TooLarge(format!("{} exceeds {most} bytes", short(path))));
        }
        self.current = current;
        Ok(())
    }

    fn script(&mut self, name: &str) -> Result<(), FormatError> {
        let refuse = |why: &str| {
            let path = short(name);
            Err(FormatError::Invalid(format!("invalid script name: \"{path}\": {why}")))
        };
        // Compat: names that no device runs are taken all the same.
        if matches!(name, "" | "." | "..") || name.contains('/') {
            return refuse("it is no name of a file");
        }
        if let Err(why) = text::name(name) {
            return refuse(why);
        }
        if self.scripts.iter().any(|known| known == name) {
            return refuse("it comes twice");
        }
        if matches!(self.whose, Whose::Augmented { .. }) {
            return refuse("augmented headers have no scripts");
        }
        if self.scripts.len() >= self.limits.scripts {
            let most = self.limits.scripts;
            return Err(FormatError::TooLarge(format!("artifact has over {most} scripts")));
        }
        self.scripts.push(name.to_owned());
        Ok(())
    }

    /// Finds what a path means for which payload.
    fn payload(&mut self, path: &str) -> Result<Current, FormatError> {
        let nowhere = || {
            let path = short(path);
            FormatError::Invalid(format!("can not get Payload order from tar path: {path}"))
        };
        let (index, rest) = path
            .strip_prefix("headers/")
            .and_then(|path| path.split_once('/'))
            .filter(|(index, _)| index.len() == 4 && index.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(nowhere)?;
        let index: usize = index.parse().map_err(|_| nowhere())?;
        self.any_payload = true;
        let stranger = || {
            let path = short(path);
            FormatError::Invalid(format!("reader: can not find parser for Payload: {path}"))
        };
        let kind = self.kinds.get(index).ok_or_else(stranger)?.as_deref();
        let unsupported =
            || Err(FormatError::Invalid(format!("Payload: unsupported file: {}", short(path))));
        match (&self.whose, rest) {
            (Whose::Artifact { version: 2 }, _) if kind != Some(ROOTFS) => unsupported(),
            (Whose::Augmented { .. }, _) if kind.is_none() => Err(stranger()),
            (_, "type-info") => Ok(Current::TypeInfo(index)),
            (_, "meta-data") if kind.is_some() => Ok(Current::MetaData(index)),
            (Whose::Artifact { version: 2 }, "files") => Ok(Current::Files(index)),
            (Whose::Artifact { version: 2 }, _)
                if rest.starts_with("checksums/") || rest.starts_with("signatures/") =>
            {
                Ok(Current::Ignored)
            }
            (_, "files") if kind == Some(ROOTFS) => {
                Err(FormatError::invalid("\"files\" entry found in version 3 artifact"))
            }
            _ => unsupported(),
        }
    }

    fn end(&mut self, json: &mut Json) -> Result<(), FormatError> {
        let content = std::mem::take(&mut self.content);
        let version = match &self.whose {
            Whose::Artifact { version } => *version,
            Whose::Augmented { .. } => 3,
        };
        let twice = match std::mem::replace(&mut self.current, Current::None) {
            Current::None | Current::Ignored => false,
            Current::Script(name) => {
                self.kept.get_or_insert_default().push(Script { name, content });
                false
            }
            Current::Info => {
                self.kinds = match &self.whose {
                    Whose::Artifact { version } => {
                        let info = HeaderInfo::parse(*version, &content, json, &self.limits)?;
                        self.info.insert(info).kinds.clone()
                    }
                    Whose::Augmented { kinds } => augmented(&content, json, kinds)?,
                };
                self.payloads.resize_with(self.kinds.len(), PayloadHeaders::default);
                false
            }
            Current::TypeInfo(index) => {
                let (kind, headers) = (&self.kinds[index], &mut self.payloads[index]);
                // Compat: the content does not matter in version 2.
                let info = match version {
                    2 => TypeInfo::default(),
                    _ => TypeInfo::parse(&content, json)?,
                };
                // Compat: older tools give a rootfs image the empty type here.
                let given = info.kind.as_deref().filter(|given| !given.is_empty());
                if given.is_some() && given != kind.as_deref() {
                    return Err(FormatError::invalid(
                        "Type in type-info header does not match header-info: Corrupt Artifact",
                    ));
                }
                headers.type_info.replace(info).is_some()
            }
            Current::MetaData(index) => {
                let read = type_info::meta_data(&content, json)?;
                self.payloads[index].meta_data.replace(read).is_some()
            }
            Current::Files(index) => {
                let names = match json.parse(&content)? {
                    Some(Value::Object(mut fields)) => texts(fields.remove("files"), "files")?,
                    _ => None,
                };
                self.payloads[index].files.replace(names.unwrap_or_default()).is_some()
            }
        };
        if twice { Err(FormatError::invalid("Payload: the same file twice")) } else { Ok(()) }
    }

    /// Checks that nothing is missing.
    pub(super) fn finish(&self) -> Result<(), FormatError> {
        if !self.seen_info {
            return Err(FormatError::invalid("header-info is missing"));
        }
        let augmented = matches!(self.whose, Whose::Augmented { .. });
        if !self.any_payload && !augmented {
            return Err(FormatError::invalid(
                "can not get Payload order from tar path: there are no headers of Payloads",
            ));
        }
        for (index, (kind, headers)) in self.kinds.iter().zip(&self.payloads).enumerate() {
            match self.whose {
                Whose::Artifact { version: 2 } if kind.as_deref() != Some(ROOTFS) => {
                    let kind = kind.as_deref().unwrap_or_default();
                    return Err(FormatError::Invalid(format!(
                        "Payload: unsupported type in version 2: {kind}"
                    )));
                }
                Whose::Artifact { version: 2 }
                    if headers.files.as_ref().is_none_or(|files| files.len() != 1) =>
                {
                    return Err(FormatError::invalid(
                        "Rootfs image does not contain exactly one file",
                    ));
                }
                Whose::Augmented { .. } if kind.is_none() => continue,
                _ => {}
            }
            if headers.type_info.is_none() {
                return Err(FormatError::Invalid(format!(
                    "Payload: missing file: headers/{index:04}/type-info"
                )));
            }
        }
        Ok(())
    }
}

fn augmented(
    content: &[u8],
    json: &mut Json,
    originals: &[Option<String>],
) -> Result<Vec<Option<String>>, FormatError> {
    let kinds = header_info::augmented_kinds(content, json)?;
    if kinds.len() != originals.len() {
        return Err(FormatError::invalid("augmented header has another number of Payloads"));
    }
    for (kind, original) in kinds.iter().zip(originals) {
        match (kind.as_deref(), original.as_deref()) {
            (Some(_), None) => {
                return Err(FormatError::invalid("Empty payload can not have augmented header"));
            }
            (Some(ROOTFS), Some(other)) if other != ROOTFS => {
                return Err(FormatError::Invalid(format!(
                    "rootfs-image type cannot be an augmented instance of {other} type."
                )));
            }
            _ => {}
        }
    }
    Ok(kinds)
}

/// A path as error texts show it.
pub(super) fn short(path: &str) -> &str {
    &path[..path.floor_char_boundary(300)]
}
