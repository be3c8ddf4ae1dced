//! Answers that may be a million devices long: written as they are read, some at a time.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{iter, once, try_unfold},
};
use http::{HeaderMap, header::CONTENT_TYPE};
use mender_core::{
    Ctx, Mender,
    deployments::{Deployment, DeviceIds, Named, Shown, ShownDevice, Streamed},
    error::{Error, Result},
};
use serde::Serialize;

use super::wire;
use crate::{error::ApiError, json};

/// How many bytes of an answer are written before it begins: what fails until then is told, and
/// what ends until then has a length.
const BEGINNING: usize = 1 << 20;

fn text(value: &impl Serialize) -> Result<String> {
    json::text(value).map_err(|error| Error::internal("an answer").because(error))
}

/// Returns the items of an array of ids.
fn items(ids: &DeviceIds) -> String {
    let array = json::escaped(ids.as_json().to_owned());
    let items = array.strip_prefix('[').and_then(|array| array.strip_suffix(']'));
    items.map(str::to_owned).unwrap_or_default()
}

/// Puts items into one array; each piece may have several of them, or none.
fn array(pieces: Streamed<String>) -> Streamed<String> {
    let mut is_first = true;
    let separated = pieces.map_ok(move |piece| match (piece.is_empty(), is_first) {
        (true, _) => piece,
        (false, true) => {
            is_first = false;
            piece
        }
        (false, false) => format!(",{piece}"),
    });
    let bracket = |text: &str| once(std::future::ready(Ok(text.to_owned())));
    bracket("[").chain(separated).chain(bracket("]")).boxed()
}

/// Writes ids.
pub(super) fn ids(parts: Streamed<DeviceIds>) -> Streamed<String> {
    array(parts.map_ok(|part| items(&part)).boxed())
}

/// Writes devices of a deployment.
pub(super) fn devices(found: Streamed<Vec<ShownDevice>>) -> Streamed<String> {
    let piece = |found: Result<Vec<ShownDevice>>| {
        let all = found?.into_iter().map(|device| text(&wire::Device::of(device)));
        Ok(all.collect::<Result<Vec<String>>>()?.join(","))
    };
    array(found.map(piece).boxed())
}

/// Text with places where the ids of named devices go.
#[derive(Default)]
pub(super) struct Draft {
    /// What comes before each of the places.
    before: Vec<String>,
    /// Whose devices they are.
    of: Vec<Deployment>,
    /// What comes after the last one.
    rest: String,
}

impl Draft {
    /// Writes a deployment.
    ///
    /// # Errors
    /// None of the input's.
    pub(super) fn deployment(&mut self, shown: Shown) -> Result<()> {
        let of = shown.deployment.names_devices().then(|| shown.deployment.clone());
        self.rest.push_str(&text(&wire::Deployment::of(shown))?);
        if let Some(of) = of {
            // The last member of the object.
            self.rest.pop();
            self.rest.push_str(r#","filter":{"id":"","name":"","terms":[{"scope":"identity","#);
            self.rest.push_str(r#""attribute":"id","type":"$in","value":["#);
            self.before.push(std::mem::replace(&mut self.rest, "]}]}}".to_owned()));
            self.of.push(of);
        }
        Ok(())
    }

    /// Writes a record of a device with its deployment.
    ///
    /// # Errors
    /// None of the input's.
    pub(super) fn record(&mut self, record: (ShownDevice, Option<Shown>)) -> Result<()> {
        let (device, deployment) = record;
        let id = text(&device.row.record)?;
        let device = text(&wire::Device::of(device))?;
        self.rest.push_str(&format!(r#"{{"id":{id},"device":{device},"deployment":"#));
        match deployment {
            Some(deployment) => self.deployment(deployment)?,
            None => self.rest.push_str("null"),
        }
        self.rest.push('}');
        Ok(())
    }

    /// Writes several.
    ///
    /// # Errors
    /// Those of writing one.
    pub(super) fn list<T>(
        found: Vec<T>,
        write: impl Fn(&mut Self, T) -> Result<()>,
    ) -> Result<Self> {
        let mut draft = Self { rest: "[".to_owned(), ..Self::default() };
        for (n, one) in found.into_iter().enumerate() {
            if n > 0 {
                draft.rest.push(',');
            }
            write(&mut draft, one)?;
        }
        draft.rest.push(']');
        Ok(draft)
    }

    /// Returns the text, with the devices.
    pub(super) fn filled(self, mender: &Mender, ctx: &Ctx) -> Streamed<String> {
        let Self { before, of, rest } = self;
        let named = mender.deployments().named(ctx, &of);
        let (before, last) = (before.into_iter(), None::<usize>);
        let next = |state: Option<(Streamed<Named>, std::vec::IntoIter<String>, _, String)>| async {
            let Some((mut named, mut before, last, rest)) = state else { return Ok(None) };
            let Some(Named { nth, devices }) = named.try_next().await? else {
                let rest = before.chain([rest]).collect::<String>();
                return Ok::<_, Error>(Some((rest, None)));
            };
            let ids = items(&devices);
            let piece = match last {
                Some(last) if last == nth => format!(",{ids}"),
                last => {
                    let places = nth - last.map_or(0, |last| last + 1) + 1;
                    let texts = before.by_ref().take(places);
                    texts.chain([ids]).collect()
                }
            };
            Ok(Some((piece, Some((named, before, Some(nth), rest)))))
        };
        try_unfold(Some((named, before, last, rest)), next).boxed()
    }
}

/// Answers with JSON as it comes. What fails before the answer begins is told; what fails
/// afterwards breaks the connection, so that nobody takes what came for all there is.
///
/// # Errors
/// Those of the text.
pub(super) async fn json(
    headers: HeaderMap,
    mut text: Streamed<String>,
    fault: fn(Error) -> ApiError,
) -> Result<Response, ApiError> {
    let mut beginning = String::new();
    let body = loop {
        match text.try_next().await.map_err(fault)? {
            Some(piece) => beginning.push_str(&piece),
            None => break Body::from(beginning),
        }
        if beginning.len() >= BEGINNING {
            break Body::from_stream(rest_of(beginning, text));
        }
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, json::CONTENT);
    Ok(response)
}

fn rest_of(beginning: String, text: Streamed<String>) -> impl Stream<Item = Result<Bytes>> {
    let text = text.inspect_err(|error| tracing::error!(%error, "an answer broke off"));
    iter([Ok(beginning)]).chain(text).map_ok(Bytes::from)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use http::StatusCode;

    use super::*;
    use crate::deployments::error;

    fn pieces(pieces: Vec<Result<String>>) -> Streamed<String> {
        iter(pieces).boxed()
    }

    async fn answered(text: Streamed<String>) -> Result<Response, ApiError> {
        json(HeaderMap::new(), text, error::other).await
    }

    async fn written(text: Streamed<String>) -> Option<String> {
        let body = to_bytes(answered(text).await.ok()?.into_body(), usize::MAX).await.ok()?;
        String::from_utf8(body.to_vec()).ok()
    }

    #[tokio::test]
    async fn an_array_is_one_however_it_is_cut() {
        let cut = |all: &[&str]| pieces(all.iter().map(|piece| Ok((*piece).to_owned())).collect());
        assert_eq!(written(array(cut(&[]))).await.unwrap(), "[]");
        assert_eq!(written(array(cut(&["", ""]))).await.unwrap(), "[]");
        assert_eq!(written(array(cut(&["", "1,2", "", "3", ""]))).await.unwrap(), "[1,2,3]");
    }

    #[tokio::test]
    async fn ids_are_written_as_in_every_answer() {
        let some = [r#"a<"b"#, "é"].map(|id| id.parse().unwrap());
        let parts =
            vec![Ok(DeviceIds::of(&some)), Ok(DeviceIds::of(&[])), Ok(DeviceIds::of(&some))];
        let expected = r#"["a\u003c\"b","é","a\u003c\"b","é"]"#;
        assert_eq!(written(ids(iter(parts).boxed())).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn what_fails_at_first_is_told() {
        let broken = || Err(Error::internal("broken"));
        let refused = answered(pieces(vec![Ok("[1".to_owned()), broken()])).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn what_fails_later_breaks_off() {
        let long = || Ok("1,".repeat(BEGINNING));
        let whole = written(pieces(vec![long(), long()])).await.unwrap();
        assert_eq!(whole.len(), 4 * BEGINNING);
        let broken = || Err(Error::internal("broken"));
        let answer = answered(pieces(vec![long(), broken()])).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(to_bytes(answer.into_body(), usize::MAX).await.is_err());
    }
}
