use std::sync::Arc;

use ring::digest::{Context, SHA256};

use super::{
    Compression, Content, Limits, Parser, SignatureError, SigningKey,
    fill::{Filler, Piece},
    recipe::{Recipe, RecipeError},
    recipe_header::{self, member},
    sum::hex,
    tar_header::{BLOCK, padding},
    writer::Writer,
};

/// The first of two passes over the content of all files: checksums and sizes, which come before
/// the content in an artifact.
pub struct Measure {
    recipe: Arc<Recipe>,
    filler: Filler,
    found: Found,
}

#[derive(Default)]
struct Found {
    checksums: Vec<Vec<String>>,
    sizes: Vec<u64>,
}

impl Found {
    fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Begin { .. } => {
                self.checksums.push(Vec::new());
                self.sizes.push(0);
            }
            Piece::Bytes(bytes) => {
                if let Some(size) = self.sizes.last_mut() {
                    *size += bytes.len() as u64;
                }
            }
            Piece::File { checksum, .. } => {
                if let Some(checksums) = self.checksums.last_mut() {
                    checksums.push(checksum);
                }
            }
            Piece::End => {}
        }
    }
}

impl Measure {
    /// Begins to measure.
    #[must_use]
    pub fn new(recipe: Recipe) -> Self {
        let recipe = Arc::new(recipe);
        let filler = Filler::new(Arc::clone(&recipe));
        Self { recipe, filler, found: Found::default() }
    }

    /// Takes the next bytes of the content: that of the first file, then that of the next.
    ///
    /// # Errors
    /// [`RecipeError`]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), RecipeError> {
        let found = &mut self.found;
        self.filler.push(bytes, &mut |piece| {
            found.take(piece);
            Ok(())
        })
    }

    /// Ends the content.
    ///
    /// # Errors
    /// [`RecipeError`], also where the recipe is none of an artifact that can be read.
    pub fn finish(mut self) -> Result<Plan, RecipeError> {
        let found = &mut self.found;
        self.filler.finish(&mut |piece| {
            found.take(piece);
            Ok(())
        })?;
        Plan::new(self.recipe, self.found.checksums, self.found.sizes)
    }
}

/// All that an artifact is but for the content of its files.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) recipe: Arc<Recipe>,
    pub(super) checksums: Vec<Vec<String>>,
    /// The sizes of the data archives.
    pub(super) sizes: Vec<u64>,
    pub(super) header: Vec<u8>,
    manifest: String,
    signature: Option<String>,
    content: Content,
}

impl Plan {
    /// A plan for an artifact that is not packed, of files whose checksums are known: content
    /// needs to be read only once then.
    ///
    /// # Errors
    /// [`RecipeError`]
    pub fn of_known(mut recipe: Recipe, checksums: Vec<Vec<String>>) -> Result<Self, RecipeError> {
        recipe.compression = Compression::None;
        let counts = recipe.payloads.iter().map(|payload| payload.files.len());
        if !counts.eq(checksums.iter().map(Vec::len)) {
            return Err(RecipeError::TooShort);
        }
        let block = BLOCK as u64;
        let size = |file: &super::FileRecipe| block + file.size + padding(file.size);
        let sizes = recipe
            .payloads
            .iter()
            .map(|payload| payload.files.iter().map(size).sum::<u64>() + 2 * block);
        let sizes = sizes.collect();
        Self::new(Arc::new(recipe), checksums, sizes)
    }

    fn new(
        recipe: Arc<Recipe>,
        checksums: Vec<Vec<String>>,
        sizes: Vec<u64>,
    ) -> Result<Self, RecipeError> {
        let header = recipe_header::archive(&recipe, &checksums)?;
        let mut manifest = String::new();
        let mut line = |checksum: &str, name: &str| {
            manifest.extend([checksum, "  ", name, "\n"]);
        };
        for (index, (payload, checksums)) in recipe.payloads.iter().zip(&checksums).enumerate() {
            for (file, checksum) in payload.files.iter().zip(checksums) {
                line(checksum, &format!("data/{index:04}/{}", file.name));
            }
        }
        let sum = |bytes: &[u8]| hex(Context::new(&SHA256), bytes);
        line(&sum(&header), &header_name(&recipe));
        line(&sum(version(&recipe).as_bytes()), "version");

        let mut parser = Parser::new(Limits::default());
        parser.push(&head(&recipe, &manifest, None, &header)?)?;
        let content = parser.into_headers()?.content;
        Ok(Self { recipe, checksums, sizes, header, manifest, signature: None, content })
    }

    /// Returns the bytes that a signature signs.
    #[must_use]
    pub fn manifest(&self) -> &str {
        &self.manifest
    }

    /// Returns what the artifact will contain; checksums and sizes of files are left out.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Signs the artifact to be.
    ///
    /// # Errors
    /// [`SignatureError::Failed`]
    pub fn sign(self, key: &SigningKey) -> Result<Self, SignatureError> {
        let signature = key.sign(self.manifest.as_bytes())?;
        Ok(self.with_signature(signature))
    }

    /// Adds a signature, in base64, that somebody else made.
    #[must_use]
    pub fn with_signature(mut self, signature: String) -> Self {
        self.content.signed = true;
        self.signature = Some(signature);
        self
    }

    /// Returns the number of the artifact's bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let block = BLOCK as u64;
        let member = |size: u64| block + size + padding(size);
        let signature = self.signature.as_ref().map_or(0, |text| member(text.len() as u64));
        let fixed = [version(&self.recipe).len(), self.manifest.len(), self.header.len()];
        let fixed: u64 = fixed.iter().map(|size| member(*size as u64)).sum();
        fixed + signature + self.sizes.iter().copied().map(member).sum::<u64>() + 2 * block
    }

    /// Begins the second pass over the content.
    ///
    /// # Errors
    /// [`RecipeError::Tar`]
    pub fn write(self) -> Result<Writer, RecipeError> {
        let head = head(&self.recipe, &self.manifest, self.signature.as_deref(), &self.header)?;
        Ok(Writer::new(self, head))
    }
}

fn version(recipe: &Recipe) -> String {
    format!("{{\"format\":\"mender\",\"version\":{}}}", recipe.version)
}

fn header_name(recipe: &Recipe) -> String {
    format!("header.tar{}", recipe.compression.suffix())
}

/// All that comes before the data.
fn head(
    recipe: &Recipe,
    manifest: &str,
    signature: Option<&str>,
    header: &[u8],
) -> Result<Vec<u8>, RecipeError> {
    let mut tar = Vec::new();
    member(&mut tar, "version", 0o600, 0, version(recipe).as_bytes())?;
    member(&mut tar, "manifest", 0o600, 0, manifest.as_bytes())?;
    if let Some(signature) = signature {
        member(&mut tar, "manifest.sig", 0o600, 0, signature.as_bytes())?;
    }
    member(&mut tar, &header_name(recipe), 0o600, recipe.modified, header)?;
    Ok(tar)
}
