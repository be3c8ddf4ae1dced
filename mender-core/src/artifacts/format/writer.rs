use std::sync::Arc;

use super::{
    SigningKey,
    fill::{Filler, Piece},
    plan::{Measure, Plan},
    recipe::{Recipe, RecipeError},
    recipe_header::{header, pad},
    tar_header::BLOCK,
};

/// The second of two passes over the content of all files: writes the artifact.
///
/// What comes out is appended to a buffer that the caller empties as it likes; a push adds little
/// more than it was given.
pub struct Writer {
    filler: Filler,
    out: Out,
}

struct Out {
    plan: Plan,
    head: Vec<u8>,
    payload: usize,
    file: usize,
    written: u64,
}

impl Out {
    fn take(&mut self, piece: Piece, out: &mut Vec<u8>) -> Result<(), RecipeError> {
        match piece {
            Piece::Begin { payload } => {
                let recipe = &self.plan.recipe;
                (self.payload, self.file, self.written) = (payload, 0, 0);
                let name = format!("data/{payload:04}.tar{}", recipe.compression.suffix());
                out.extend(header(&name, self.size(), 0o600, recipe.modified)?);
            }
            Piece::Bytes(bytes) => {
                self.written += bytes.len() as u64;
                out.extend(bytes);
            }
            Piece::File { payload, checksum } => {
                let known = self.plan.checksums.get(payload).and_then(|all| all.get(self.file));
                if known != Some(&checksum) {
                    return Err(RecipeError::Changed);
                }
                self.file += 1;
            }
            Piece::End if self.written == self.size() => pad(out, self.written),
            Piece::End => return Err(RecipeError::Changed),
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.plan.sizes.get(self.payload).copied().unwrap_or_default()
    }
}

impl Writer {
    pub(super) fn new(plan: Plan, head: Vec<u8>) -> Self {
        let filler = Filler::new(Arc::clone(&plan.recipe));
        Self { filler, out: Out { plan, head, payload: 0, file: 0, written: 0 } }
    }

    /// Takes the next bytes of the content, in the order of [`Measure::push`].
    ///
    /// # Errors
    /// [`RecipeError`]: what was written is no artifact then.
    pub fn push(&mut self, bytes: &[u8], to: &mut Vec<u8>) -> Result<(), RecipeError> {
        let out = &mut self.out;
        to.append(&mut out.head);
        self.filler.push(bytes, &mut |piece| out.take(piece, to))
    }

    /// Ends the content and the artifact.
    ///
    /// # Errors
    /// [`RecipeError`]: what was written is no artifact then.
    pub fn finish(mut self, to: &mut Vec<u8>) -> Result<(), RecipeError> {
        let out = &mut self.out;
        to.append(&mut out.head);
        self.filler.finish(&mut |piece| out.take(piece, to))?;
        to.extend([0; 2 * BLOCK]);
        Ok(())
    }
}

impl Recipe {
    /// Writes the artifact in memory; `contents` are those of all files, in order.
    ///
    /// # Errors
    /// [`RecipeError`]
    pub fn build(
        self,
        contents: &[&[u8]],
        key: Option<&SigningKey>,
    ) -> Result<Vec<u8>, RecipeError> {
        let mut measure = Measure::new(self);
        for content in contents {
            measure.push(content)?;
        }
        let mut plan = measure.finish()?;
        if let Some(key) = key {
            plan = plan.sign(key).map_err(|e| RecipeError::Packing(e.to_string()))?;
        }
        let mut to = Vec::new();
        let mut writer = plan.write()?;
        for content in contents {
            writer.push(content, &mut to)?;
        }
        writer.finish(&mut to)?;
        Ok(to)
    }
}

#[cfg(test)]
mod tests;
