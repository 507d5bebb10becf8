//! What port 80 says: answers to challenges, and where everything else is.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use https::Redirect;
use xenith::http::{Error, Exchange, Handler, Status};

/// Where a CA looks for answers (RFC 8555, section 8.3).
const PLACE: &str = "/.well-known/acme-challenge/";

/// Answers to the challenges that are open, by their tokens.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    open: RefCell<Vec<(String, String)>>,
    /// Whether there is a certificate, so that there is somewhere to send others to.
    pub(crate) is_ready: Cell<bool>,
}

impl Challenges {
    /// Answers a challenge from now on.
    pub(crate) fn answer(&self, token: &str, with: String) {
        self.open.borrow_mut().push((token.into(), with));
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.open.borrow_mut().clear();
    }

    fn of(&self, token: &str) -> Option<String> {
        let open = self.open.borrow();
        open.iter().find(|(it, _)| it == token).map(|(_, answer)| answer.clone())
    }
}

/// Serves port 80.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) challenges: Rc<Challenges>,
    pub(crate) redirect: Redirect,
}

impl Handler for Plain {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        if let Some(token) = exchange.request().path().strip_prefix(PLACE) {
            let kind =
                [("Content-Type", "application/octet-stream"), ("Cache-Control", "no-store")];
            return match self.challenges.of(token) {
                Some(answer) => exchange.respond(Status::OK, &kind, answer.as_bytes()).await,
                None => exchange.respond(Status::NOT_FOUND, &[], b"").await,
            };
        }
        if self.challenges.is_ready.get() {
            return self.redirect.handle(exchange).await;
        }
        let fields = [("Content-Type", "text/plain"), ("Retry-After", "60")];
        let why = b"There is no certificate yet: it is being asked for.\n";
        exchange.respond(Status::UNAVAILABLE, &fields, why).await
    }
}

/// Says where the answer to a challenge is.
pub(crate) fn place(domain: &str, token: &str) -> String {
    format!("http://{domain}{PLACE}{token}")
}
