//! Handlers by method and path.

use super::matched::Matched;
use super::response::Line;
use super::{Error, Exchange, Handler, Method, Status};
use alloc::borrow::Cow;
use percent_encoding::percent_decode_str;

/// Chooses one of several handlers by the method and the path of a request.
///
/// The path of a route is made of segments: text, `{name}` for any segment that is not empty,
/// and `{*name}` as the last for all that is left, which may be nothing. Of several routes that
/// match, the first is taken. A GET route answers HEAD as well. A path without a route is answered
/// with 404; one that has routes for other methods with 405, and OPTIONS with 204, both of which
/// list the methods in `Allow` (RFC 9110, section 10.2.1).
///
/// Text is compared with the path as it came, percent-encoded: `/a` is not `/%61`. Dot segments
/// are text as well.
///
/// ```
/// # use xenith_http::{Error, Exchange, Handler, Router, Status};
/// async fn one(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     let id = exchange.parameter("id").unwrap_or_default();
///     exchange.respond(Status::OK, &[], id.as_bytes()).await
/// }
/// # fn is_handler(_: impl Handler) {}
/// # is_handler(
/// Router::new().get("/notes/{id}", one).delete("/notes/{id}", one)
/// # );
/// ```
///
/// Routes are a part of its type, so that no request allocates for the future of its handler:
/// a future behind a pointer is an allocation that would end the machine where it fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct Router<R = End> {
    routes: R,
}

/// Ends a [`Router`]'s routes.
#[derive(Clone, Copy, Debug, Default)]
pub struct End;

/// Holds one of a [`Router`]'s routes and those before it.
#[derive(Clone, Copy, Debug)]
pub struct Route<H, R> {
    method: Option<Method>,
    path: &'static str,
    /// All paths below `path` are meant.
    mount: bool,
    handler: H,
    before: R,
}

/// Stands for the routes of a [`Router`], in functions that take or return one.
///
/// ```
/// # use xenith_http::{Error, Exchange, Router, Routes, Status};
/// async fn health(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     exchange.respond(Status::OK, &[], b"ok").await
/// }
/// fn with_health(router: Router<impl Routes>) -> Router<impl Routes> {
///     router.get("/health", health)
/// }
/// with_health(Router::new());
/// ```
pub trait Routes {
    /// Finds the first route for a request; how many are behind it. Methods of other routes
    /// for the path are added to `allowed`, a bit each.
    #[doc(hidden)]
    fn find(&self, method: Method, path: &str, allowed: &mut u8) -> Option<usize>;

    /// Runs the handler that has so many behind it.
    #[doc(hidden)]
    fn run(
        &self,
        behind: usize,
        exchange: &mut Exchange<'_>,
    ) -> impl Future<Output = Result<(), Error>>;
}

impl Routes for End {
    fn find(&self, _: Method, _: &str, _: &mut u8) -> Option<usize> {
        None
    }

    async fn run(&self, _: usize, _: &mut Exchange<'_>) -> Result<(), Error> {
        Err(Error::Request(Status::NOT_FOUND))
    }
}

impl<H: Handler, R: Routes> Routes for Route<H, R> {
    fn find(&self, method: Method, path: &str, allowed: &mut u8) -> Option<usize> {
        if let Some(behind) = self.before.find(method, path, allowed) {
            return Some(behind + 1);
        }
        if self.mount {
            let rest = path.strip_prefix(self.path)?;
            return (rest.is_empty() || rest.starts_with('/')).then_some(0);
        }
        if !matches(self.path, path, |_, _| {}) {
            return None;
        }
        let Some(of) = self.method else { return Some(0) };
        *allowed |= 1 << of as u8;
        if of == Method::Get {
            *allowed |= 1 << Method::Head as u8;
        }
        (of == method || (of == Method::Get && method == Method::Head)).then_some(0)
    }

    async fn run(&self, behind: usize, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        if behind > 0 {
            return self.before.run(behind - 1, exchange).await;
        }
        let start = exchange.routed;
        if self.mount {
            exchange.routed += self.path.len();
        }
        // What is mounted deeper has no parameters.
        let _ = exchange.matched.push(Matched { path: self.path, start });
        self.handler.handle(exchange).await
    }
}

impl Router {
    /// Makes a router without routes.
    #[must_use]
    pub const fn new() -> Self {
        Self { routes: End }
    }
}

impl<R: Routes> Router<R> {
    /// Adds a route for `method`, or with `None` for all methods.
    #[must_use]
    pub fn route<H: Handler>(
        self,
        method: Option<Method>,
        path: &'static str,
        handler: H,
    ) -> Router<Route<H, R>> {
        Router { routes: Route { method, path, mount: false, handler, before: self.routes } }
    }

    /// Adds a route for GET and HEAD.
    #[must_use]
    pub fn get<H: Handler>(self, path: &'static str, handler: H) -> Router<Route<H, R>> {
        self.route(Some(Method::Get), path, handler)
    }

    /// Adds a route for POST.
    #[must_use]
    pub fn post<H: Handler>(self, path: &'static str, handler: H) -> Router<Route<H, R>> {
        self.route(Some(Method::Post), path, handler)
    }

    /// Adds a route for PUT.
    #[must_use]
    pub fn put<H: Handler>(self, path: &'static str, handler: H) -> Router<Route<H, R>> {
        self.route(Some(Method::Put), path, handler)
    }

    /// Adds a route for DELETE.
    #[must_use]
    pub fn delete<H: Handler>(self, path: &'static str, handler: H) -> Router<Route<H, R>> {
        self.route(Some(Method::Delete), path, handler)
    }

    /// Mounts a handler at `path`, which has no parameters: it answers all requests for `path`
    /// and for what is below it. A router and [`StaticFiles`](crate::files::StaticFiles) see the
    /// rest of the path alone.
    #[must_use]
    pub fn mount<H: Handler>(self, path: &'static str, handler: H) -> Router<Route<H, R>> {
        let before = self.routes;
        Router { routes: Route { method: None, path, mount: true, handler, before } }
    }

    /// Adds a handler for all requests that no route before it matches, also those whose method
    /// is another, which then get no 405.
    #[must_use]
    pub fn fallback<H: Handler>(self, handler: H) -> Router<Route<H, R>> {
        self.route(None, "/{*}", handler)
    }
}

impl<R: Routes> Handler for Router<R> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let request = exchange.request();
        let mut allowed = 0;
        let path = request.path().get(exchange.routed..).filter(|path| !path.is_empty());
        let found = self.routes.find(request.method(), path.unwrap_or("/"), &mut allowed);
        if let Some(behind) = found {
            return self.routes.run(behind, exchange).await;
        }
        if allowed == 0 {
            let why = format_args!("There is no such page");
            return exchange.refuse(Status::NOT_FOUND, why).await;
        }
        let mut allow = Line::new();
        for method in Method::ALL.into_iter().filter(|&it| allowed & (1 << it as u8) != 0) {
            // All of them fit.
            let _ = allow.push_str(method.name());
            let _ = allow.push_str(", ");
        }
        let _ = allow.push_str("OPTIONS");
        let allow = [("Allow", &*allow)];
        match request.method() {
            Method::Options => exchange.respond(Status::NO_CONTENT, &allow, b"").await,
            _ => {
                let why = format_args!("The method is not allowed here");
                exchange.refuse_with(Status::METHOD_NOT_ALLOWED, &allow, Some(why)).await
            }
        }
    }
}

/// Whether the path of a route matches `path`. Its parameters, and what they stand for, are
/// given to `each`.
fn matches<'p>(
    route: &'static str,
    mut path: &'p str,
    mut each: impl FnMut(&'static str, &'p str),
) -> bool {
    let mut segments = route.split('/').skip(1);
    loop {
        match (segments.next(), path.strip_prefix('/')) {
            (None, None) => return path.is_empty(),
            (Some(segment), Some(rest)) => {
                let inner = segment.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
                if let Some(name) = inner.and_then(|it| it.strip_prefix('*')) {
                    each(name, rest);
                    return true;
                }
                let (value, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                match inner {
                    Some(name) if !value.is_empty() => each(name, value),
                    None if segment == value => {}
                    _ => return false,
                }
                path = after;
            }
            _ => return false,
        }
    }
}

impl<'a> Exchange<'a> {
    /// Returns the value of the parameter `name` of the route, percent-decoded. `None` if the
    /// route has none of that name, if the value is not UTF-8, and for routers that are mounted
    /// more than four deep. A decoded value may hold slashes and control characters.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        let path = self.request.path();
        self.matched.iter().rev().find_map(|matched| {
            let (mut found, rest) = (None, path.get(matched.start..)?);
            matches(matched.path, rest, |of, value| {
                if of == name {
                    found = Some(value);
                }
            });
            percent_decode_str(found?).decode_utf8().ok()
        })
    }
}
