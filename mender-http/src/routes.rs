//! The endpoints of an area: listed once, for routing, answers to wrong methods, and documents.

use std::{borrow::Cow, collections::HashMap, pin::Pin, sync::Arc};

use axum::{extract::Request, handler::Handler, response::Response};
use http::Method;
use serde::Serialize;
use serde_json::Value;

use crate::{audience::Audience, path};

/// One operation of the interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with parameters as `{name}` and, at the end only, `{*name}` for any rest.
    pub path: &'static str,
    /// Whom it is for.
    pub audience: Audience,
    /// Whether its path answers `OPTIONS`.
    pub options: bool,
    /// Whether bodies are streams: no limit of size or time, no compression.
    pub streaming: bool,
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
pub(crate) type Call<S> = Arc<dyn Fn(Request, S) -> Answer + Send + Sync>;

pub(crate) struct Target<S> {
    pub(crate) endpoint: Endpoint,
    pub(crate) call: Call<S>,
}

/// The endpoints of an area, with their handlers over a state `S`.
///
/// ```
/// use mender_http::Routes;
///
/// let routes = Routes::<()>::new()
///     .get("/api/management/v2/devauth/devices", async || "[]")
///     .get("/api/management/v2/devauth/devices/{id}", async || "{}");
/// assert_eq!(routes.endpoints().count(), 2);
/// ```
pub struct Routes<S = ()> {
    pub(crate) targets: Vec<Target<S>>,
    pub(crate) documents: Vec<Value>,
    without_options: bool,
}

impl<S> std::fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let endpoints = self.targets.iter().map(|target| &target.endpoint);
        f.debug_list().entries(endpoints).finish()
    }
}

impl<S> Default for Routes<S> {
    fn default() -> Self {
        Self { targets: Vec::new(), documents: Vec::new(), without_options: false }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No endpoints yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No endpoints yet, and paths added later do not answer `OPTIONS`, as some services don't.
    #[must_use]
    pub fn without_options() -> Self {
        Self { without_options: true, ..Self::default() }
    }

    /// Adds an endpoint.
    #[must_use]
    pub fn on<H, T>(mut self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let audience = Audience::of(&method, path);
        // What a gateway rewrites is public.
        let is_public = Audience::behind_gateway(&method, path) != Audience::Internal;
        let call: Call<S> = Arc::new(move |request, state| {
            let answer = handler.clone().call(request, state);
            Box::pin(answer)
        });
        self.targets.push(Target {
            endpoint: Endpoint {
                options: !self.without_options && is_public,
                method,
                path,
                audience,
                streaming: false,
            },
            call,
        });
        self
    }

    /// Adds an endpoint for GET. HEAD is not implied.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(Method::GET, path, handler)
    }

    /// Adds an endpoint for POST.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(Method::POST, path, handler)
    }

    /// Adds an endpoint for PUT.
    #[must_use]
    pub fn put<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(Method::PUT, path, handler)
    }

    /// Adds an endpoint for PATCH.
    #[must_use]
    pub fn patch<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(Method::PATCH, path, handler)
    }

    /// Adds an endpoint for DELETE.
    #[must_use]
    pub fn delete<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(Method::DELETE, path, handler)
    }

    /// Declares that the endpoint added last streams: its bodies have no limit of size or time.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        if let Some(target) = self.targets.last_mut() {
            target.endpoint.streaming = true;
        }
        self
    }

    /// Adds the area's OpenAPI document, as made by `#[derive(utoipa::OpenApi)]`.
    #[must_use]
    pub fn document(mut self, document: &impl Serialize) -> Self {
        self.documents.extend(serde_json::to_value(document));
        self
    }

    /// Adds all endpoints of another area.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.targets.extend(other.targets);
        self.documents.extend(other.documents);
        self
    }

    /// Returns the table of endpoints, in the order of addition.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.targets.iter().map(|target| &target.endpoint)
    }

    /// Splits the endpoints into those of the public listener and those of the internal one.
    pub(crate) fn split(self) -> (Self, Self) {
        let (internal, public) =
            self.targets.into_iter().partition(|t| t.endpoint.audience == Audience::Internal);
        let with = |targets, documents| Self { targets, documents, without_options: false };
        (with(public, self.documents), with(internal, Vec::new()))
    }
}

/// A tree of path segments. Fixed segments come before parameters, as on the reference server.
pub(crate) struct Tree<S> {
    fixed: HashMap<&'static str, Tree<S>>,
    param: Option<Box<Tree<S>>>,
    rest: Vec<Target<S>>,
    targets: Vec<Target<S>>,
}

/// One path that fits, with the values of its parameters. Each route has its own names for them.
pub(crate) struct Fit<'a, S> {
    pub(crate) targets: &'a [Target<S>],
    pub(crate) values: Vec<String>,
}

/// Returns the names of the parameters in a path, in order.
pub(crate) fn names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.trim_start_matches('*'))
    })
}

impl<S> Tree<S> {
    fn new() -> Self {
        Self { fixed: HashMap::new(), param: None, rest: Vec::new(), targets: Vec::new() }
    }

    pub(crate) fn of(targets: Vec<Target<S>>) -> Self {
        let mut tree = Self::new();
        for target in targets {
            tree.add(target);
        }
        tree
    }

    fn add(&mut self, target: Target<S>) {
        let mut node = self;
        for segment in target.endpoint.path.trim_start_matches('/').split('/') {
            let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            node = match name {
                Some(name) if name.starts_with('*') => {
                    node.rest.push(target);
                    return;
                }
                Some(_) => node.param.get_or_insert_with(|| Box::new(Self::new())),
                None => node.fixed.entry(segment).or_insert_with(Self::new),
            };
        }
        let same = |t: &Target<S>| t.endpoint.method == target.endpoint.method;
        debug_assert!(!node.targets.iter().any(same), "two handlers for {:?}", target.endpoint);
        node.targets.push(target);
    }

    /// Returns all paths that fit, best first.
    pub(crate) fn find(&self, path: &str) -> Vec<Fit<'_, S>> {
        let mut found = Vec::new();
        if let Ok(segments) = path::segments(path) {
            self.walk(&segments, &mut Vec::new(), &mut found);
        }
        found
    }

    fn walk<'a>(
        &'a self,
        left: &[Cow<'_, str>],
        values: &mut Vec<String>,
        found: &mut Vec<Fit<'a, S>>,
    ) {
        let Some((head, tail)) = left.split_first() else {
            if !self.targets.is_empty() {
                found.push(Fit { targets: &self.targets, values: values.clone() });
            }
            return;
        };
        if let Some(next) = self.fixed.get(&**head) {
            next.walk(tail, values, found);
        }
        // Compat: an empty segment is a value, but at the end it is a slash too many.
        if let Some(next) = &self.param
            && !(head.is_empty() && tail.is_empty())
        {
            values.push(head.to_string());
            next.walk(tail, values, found);
            values.pop();
        }
        if !self.rest.is_empty() {
            let mut values = values.clone();
            values.push(left.join("/"));
            found.push(Fit { targets: &self.rest, values });
        }
    }
}
