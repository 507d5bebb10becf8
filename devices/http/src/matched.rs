//! Where routers led a request.

/// Where a request was led by a router: a path of a route, and how many bytes of the
/// request's path come before what that matched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matched {
    pub(super) path: &'static str,
    pub(super) start: usize,
}

/// The routes that a request took, as deep as routers may be mounted in each other.
pub(super) type Matches = heapless::Vec<Matched, 4>;
