//! Makes data archives of files' content, which comes in one stream.

use std::sync::Arc;

use ring::digest::{Context, SHA256};

use super::{
    pack::Packer,
    recipe::{Recipe, RecipeError},
    recipe_header::{header, pad},
    sum::hex,
    tar_header::BLOCK,
};

/// What comes out.
pub(super) enum Piece {
    /// A data archive begins.
    Begin { payload: usize },
    /// Bytes of it, packed.
    Bytes(Vec<u8>),
    /// A file is complete; its checksum.
    File { payload: usize, checksum: String },
    /// The archive is complete.
    End,
}

/// Where in the content of all files we are.
pub(super) struct Filler {
    recipe: Arc<Recipe>,
    payload: usize,
    file: usize,
    open: Option<Packer>,
    content: Option<Content>,
}

struct Content {
    left: u64,
    sum: Context,
}

/// Bytes that are packed at once.
const PIECE: usize = 64 << 10;

type Visit<'a> = &'a mut dyn FnMut(Piece) -> Result<(), RecipeError>;

impl Filler {
    pub(super) fn new(recipe: Arc<Recipe>) -> Self {
        Self { recipe, payload: 0, file: 0, open: None, content: None }
    }

    /// Takes more content.
    pub(super) fn push(&mut self, mut input: &[u8], visit: Visit<'_>) -> Result<(), RecipeError> {
        let recipe = Arc::clone(&self.recipe);
        while let Some(payload) = recipe.payloads.get(self.payload) {
            let Some(packer) = &mut self.open else {
                visit(Piece::Begin { payload: self.payload })?;
                self.open = Some(Packer::new(recipe.compression)?);
                continue;
            };
            let Some(file) = payload.files.get(self.file) else {
                visit(Piece::Bytes(packer.write(&[0; 2 * BLOCK])?))?;
                let last = self.open.take().map(Packer::finish).transpose()?;
                visit(Piece::Bytes(last.unwrap_or_default()))?;
                visit(Piece::End)?;
                (self.payload, self.file) = (self.payload + 1, 0);
                continue;
            };
            let Some(content) = &mut self.content else {
                let header = header(&file.name, file.size, file.mode, recipe.modified)?;
                visit(Piece::Bytes(packer.write(&header)?))?;
                self.content = Some(Content { left: file.size, sum: Context::new(&SHA256) });
                continue;
            };
            if content.left == 0 {
                let mut zeros = Vec::new();
                pad(&mut zeros, file.size);
                visit(Piece::Bytes(packer.write(&zeros)?))?;
                let sum = self.content.take().map(|content| hex(content.sum, &[]));
                let checksum = sum.unwrap_or_default();
                visit(Piece::File { payload: self.payload, checksum })?;
                self.file += 1;
                continue;
            }
            if input.is_empty() {
                return Ok(());
            }
            let most = usize::try_from(content.left).unwrap_or(usize::MAX);
            let (piece, rest) = input.split_at(input.len().min(most).min(PIECE));
            content.sum.update(piece);
            content.left -= piece.len() as u64;
            visit(Piece::Bytes(packer.write(piece)?))?;
            input = rest;
        }
        if input.is_empty() { Ok(()) } else { Err(RecipeError::TooLong) }
    }

    /// Ends the content.
    pub(super) fn finish(&mut self, visit: Visit<'_>) -> Result<(), RecipeError> {
        self.push(&[], visit)?;
        let complete = self.payload == self.recipe.payloads.len();
        if complete { Ok(()) } else { Err(RecipeError::TooShort) }
    }
}
