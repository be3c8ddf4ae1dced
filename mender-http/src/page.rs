//! Paging of lists: parameters `page` and `per_page`, header `Link`.

use axum::extract::{FromRequestParts, OriginalUri};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::LINK, request::Parts};
use mender_core::page::{MAX_PAGE, PageRequest};

use crate::{error::ApiError, query::Query};

/// The header with the number of items in the whole list.
pub const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The page that a request asks for, and what is needed to link to its neighbours.
#[derive(Clone, Debug)]
pub struct Paging {
    /// The page.
    pub page: PageRequest,
    path: String,
    query: Query,
}

/// What is known about the items after a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rest {
    /// Whether there are more; their number is not known.
    More(bool),
    /// The number of items in the whole list.
    Total(u64),
}

impl Paging {
    /// Reads the parameters. `max` is the largest page.
    pub fn of(uri: &Uri, max: u32) -> Result<Self, ApiError> {
        let query = Query::of(uri);
        let number = number(&query, "page", 1)?;
        let size = number_of_items(&query, max)?;
        Ok(Self::new(uri, query, number, size))
    }

    /// Reads the parameters; the defaults stand in for values out of range.
    #[must_use]
    pub fn lenient(uri: &Uri) -> Self {
        let query = Query::of(uri);
        let number = number(&query, "page", 1).unwrap_or(1);
        let size = number_of_items(&query, MAX_PAGE).unwrap_or(20);
        Self::new(uri, query, number, size)
    }

    fn new(uri: &Uri, query: Query, number: u32, size: u32) -> Self {
        Self { page: PageRequest::new(number, size), path: uri.path().into(), query }
    }

    /// The page that a request asks for elsewhere than in its query.
    #[must_use]
    pub fn given(uri: &Uri, page: PageRequest) -> Self {
        Self { page, path: uri.path().into(), query: Query::of(uri) }
    }

    /// Links to another beginning of the path, where it begins like this.
    #[must_use]
    pub fn moved(mut self, from: &str, to: &str) -> Self {
        if let Some(rest) = self.path.strip_prefix(from) {
            self.path = format!("{to}{rest}");
        }
        self
    }

    /// Returns the headers of the answer: a line of `Link` per relation, and `X-Total-Count`
    /// where the total is known.
    #[must_use]
    pub fn headers(&self, rest: Rest) -> HeaderMap {
        let mut headers = self.links(rest);
        if let Rest::Total(total) = rest {
            headers.insert(TOTAL_COUNT, total.into());
        }
        headers
    }

    /// Returns the lines of `Link` alone.
    #[must_use]
    pub fn links(&self, rest: Rest) -> HeaderMap {
        let PageRequest { number, size } = self.page;
        let (number, size) = (u64::from(number), u64::from(size));
        let last = match rest {
            Rest::Total(total) if total > 0 => Some((total - 1) / size + 1),
            _ => None,
        };
        let next = match rest {
            Rest::More(more) => more,
            Rest::Total(_) => last.is_some_and(|last| number < last),
        };
        let links = [
            (Some(1), "first"),
            ((number > 1).then(|| number - 1), "prev"),
            (next.then_some(number + 1), "next"),
            (last, "last"),
        ];
        let mut headers = HeaderMap::new();
        let query = self.query.clone().with("per_page", size);
        for (page, rel) in links {
            let Some(page) = page else { continue };
            let query = query.clone().with("page", page).encode();
            let link = format!("<{}?{query}>; rel=\"{rel}\"", self.path);
            if let Ok(value) = HeaderValue::from_str(&link) {
                headers.append(LINK, value);
            }
        }
        headers
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // The original URI: a router that is mounted somewhere gives links that work there.
        let uri = parts.extensions.get::<OriginalUri>();
        Self::of(uri.map_or(&parts.uri, |uri| &uri.0), MAX_PAGE)
    }
}

fn number_of_items(query: &Query, max: u32) -> Result<u32, ApiError> {
    let size = number(query, "per_page", 20)?;
    if size > max {
        return Err(ApiError::bad_request(format!(
            "parameter \"per_page\" above limit (max: {max})"
        )));
    }
    Ok(size)
}

fn number(query: &Query, name: &str, default: u32) -> Result<u32, ApiError> {
    let text = query.first(name).unwrap_or_default();
    if text.is_empty() {
        return Ok(default);
    }
    let number: i64 = text
        .parse()
        .map_err(|_| ApiError::bad_request(format!("invalid {name} query: \"{text}\"")))?;
    if number < 1 {
        return Err(ApiError::bad_request(format!(
            "invalid {name} query: value must be a non-zero positive integer"
        )));
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(uri: &str, rest: Rest) -> Vec<String> {
        let paging = Paging::of(&uri.parse().unwrap(), MAX_PAGE).unwrap();
        let links = paging.links(rest);
        let text = |v: &HeaderValue| v.to_str().unwrap().to_owned();
        links.get_all(LINK).iter().map(text).collect()
    }

    #[test]
    fn links_are_relative_sorted_and_in_order() {
        let uri = "http://host/d?status=pending&page=2&per_page=5";
        assert_eq!(
            links(uri, Rest::More(true)),
            [
                "</d?page=1&per_page=5&status=pending>; rel=\"first\"",
                "</d?page=1&per_page=5&status=pending>; rel=\"prev\"",
                "</d?page=3&per_page=5&status=pending>; rel=\"next\"",
            ]
        );
        assert_eq!(
            links("/d", Rest::Total(21)),
            [
                "</d?page=1&per_page=20>; rel=\"first\"",
                "</d?page=2&per_page=20>; rel=\"next\"",
                "</d?page=2&per_page=20>; rel=\"last\"",
            ]
        );
        assert_eq!(links("/d", Rest::Total(0)).len(), 1);
    }

    #[test]
    fn values_out_of_range_have_their_texts() {
        let text = |uri: &str| {
            let error = Paging::of(&uri.parse().unwrap(), MAX_PAGE).unwrap_err();
            error.text().unwrap().to_owned()
        };
        assert_eq!(text("/d?page=x&per_page=y"), "invalid page query: \"x\"");
        assert_eq!(
            text("/d?page=0"),
            "invalid page query: value must be a non-zero positive integer"
        );
        assert_eq!(text("/d?per_page=501"), "parameter \"per_page\" above limit (max: 500)");
        assert_eq!(Paging::lenient(&"/d?per_page=0&page=x".parse().unwrap()).page.size, 20);
    }
}
