//! Certificates from a CA in memory, on a cable, in simulated time.

mod ca;
mod parts;

use crate::challenges::{Challenges, Plain};
use crate::config::Config;
use crate::error::Error;
use crate::keeper::{Keeper, Trusted};
use crate::order::obtain;
use crate::store::{Certificate, Failures, Store};
use crate::{Flaw, ip};
use alloc::rc::Rc;
use ca::Ca;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use https::Redirect;
use std::string::ToString;
use std::vec;
use xenith::block::memory::Memory;
use xenith::http::client::{self, Limits, Stage, get};
use xenith::http::{Server, with};
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{Addresses, Resolve, Stack, Tcp};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{block_on, spawn};
use xenith::time::{Instant, sleep, timeout};
use xenith::tls::{self, Identity, ServerOptions};

const DAY: Duration = Duration::from_secs(86_400);
const DIRECTORY: &str = "https://www.lab/directory";

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/tls/", $name))
    };
}

/// A time that passes as simulated time does.
fn clock() -> Duration {
    std::thread_local! {
        static BEGUN: Instant = Instant::now();
    }
    Duration::from_secs(1_900_000_000) + BEGUN.with(|it| it.elapsed())
}

/// A clock that is ahead of that.
fn ahead() -> Duration {
    clock() + 80 * DAY
}

/// A network in which every name is that of the other end, and HTTPS is HTTP where it says so.
#[derive(Clone)]
struct Named {
    stack: Rc<Stack<End>>,
    peer: u8,
}

impl Resolve for Named {
    async fn resolve(&self, _: &str) -> Result<Addresses, ip::Error> {
        Ok([IpAddr::from([10, 0, 0, self.peer])].into_iter().collect())
    }
}

impl Tcp for Named {
    type Listener = <Stack<End> as Tcp>::Listener;
    type Stream = <Stack<End> as Tcp>::Stream;

    const SECURE: bool = true;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, ip::Error> {
        Tcp::bind(&*self.stack, addr).await
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Self::Stream, ip::Error> {
        self.stack.connect(addr).await
    }

    async fn connect_to(
        &self,
        _: &str,
        addr: SocketAddr,
        _: bool,
    ) -> Result<Self::Stream, ip::Error> {
        self.stack.connect(addr).await
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, ip::Error> {
        Tcp::open(&*self.stack, from, to)
    }
}

/// A guest that answers challenges, and a CA.
struct World {
    net: Named,
    ca: Rc<Ca<Named>>,
    config: Config,
    challenges: Rc<Challenges>,
    disk: Memory,
    store: Store<Memory>,
}

fn config() -> Config {
    let names = ["Site.lab", "blog.lab", "site.lab"];
    let config = Config::new(&names, DIRECTORY, Some("agree"), &["admin@site.lab"], None);
    Config { clock, ..config.unwrap() }
}

impl World {
    async fn new(secure: bool) -> Self {
        let (near, far) = cable(Options::default());
        let at = |net, last, peer| {
            let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
            let settings = Settings { ipv4, ..Settings::default() };
            Named { stack: Rc::new(Stack::start(net, settings).unwrap()), peer }
        };
        let (net, there) = (at(near, 2, 1), at(far, 1, 2));
        let ca = Rc::new(Ca::new(there.clone(), clock));
        let server = Server::new(with(&ca, Ca::handle));
        if secure {
            let identity = Identity::from_pem(pem!("server.pem"), pem!("server.key")).unwrap();
            let tls = tls::Server::new(there, ServerOptions::new(identity).build().unwrap());
            let bound = server.bind(&tls, ip::any(443)).await.unwrap();
            spawn(async move { bound.serve().await }).detach();
        } else {
            let bound = server.bind(&there, ip::any(443)).await.unwrap();
            spawn(async move { bound.serve().await }).detach();
        }
        let challenges = Rc::new(Challenges::default());
        let plain = Plain { challenges: Rc::clone(&challenges), redirect: Redirect { port: 443 } };
        let bound = Server::new(plain).bind(&net, ip::any(80)).await.unwrap();
        spawn(async move { bound.serve().await }).detach();
        let disk = Memory::new(512, 2048);
        let store = Store::open(disk.clone(), DIRECTORY.into()).await.unwrap();
        Self { net, ca, config: config(), challenges, disk, store }
    }

    async fn obtain(&self) -> Result<Certificate, Error> {
        obtain(&self.net, &self.config, &self.store, &self.challenges).await
    }

    /// What a machine knows that is started anew.
    async fn restart(self) -> Self {
        let store = Store::open(self.disk.clone(), self.config.directory.clone()).await.unwrap();
        self.challenges.clear();
        Self { store, ..self }
    }

    /// A keeper with what is in the store, which speaks TLS.
    async fn keeper(&self) -> Keeper<'_, Named, Memory, Memory> {
        let mut roots = pem!("ca.pem").to_vec();
        roots.resize(roots.len().next_multiple_of(512), 0);
        let roots = Memory::from_bytes(512, roots);
        let store = Store::open(self.disk.clone(), self.config.directory.clone()).await.unwrap();
        Keeper {
            net: &self.net,
            config: self.config.clone(),
            trusted: Trusted { roots, fingerprints: Default::default(), tls12: false },
            held: store.certificate().await.unwrap(),
            store,
            challenges: Rc::clone(&self.challenges),
            not_before: Instant::now(),
        }
    }
}

/// Runs `work` beside a CA, whose connections are by TLS or not.
fn beside<F: Future>(secure: bool, work: impl FnOnce(World) -> F) -> F::Output {
    xenith::testing::simulate_time();
    block_on(async { work(World::new(secure).await).await })
}

#[test]
fn a_certificate_is_for_all_names_and_kept_with_its_key() {
    beside(false, async |world| {
        let new = world.obtain().await.unwrap();
        assert_eq!(world.config.domains, ["site.lab", "blog.lab"]);
        assert_eq!(new.facts.missing(&world.config.domains), None);
        assert_eq!(new.facts.until - new.facts.from, 90 * 86_400);
        new.identity().unwrap();
        let kept = world.store.certificate().await.unwrap().unwrap();
        assert_eq!((kept.facts, kept.from), (new.facts.clone(), DIRECTORY.to_string()));
        // No answer is left, and no order.
        let url = "http://x/.well-known/acme-challenge/token-0-0";
        let limits = Limits::default();
        let fetched = get(&world.ca.net, url, &limits, async |_, answer, _| Ok(answer.status().0));
        assert_eq!(fetched.await, Ok(404));
        assert!(world.store.order().await.unwrap().is_none());
        // The next one is of the same account, and of another key.
        let before = new.public();
        let world = world.restart().await;
        let next = world.obtain().await.unwrap();
        assert_eq!((world.ca.accounts(), world.ca.ordered()), (1, 2));
        assert_ne!(next.public(), before);
    });
}

#[test]
fn port_80_leads_to_https_once_there_is_a_certificate() {
    beside(false, async |world| {
        let ask = async |ready| {
            world.challenges.is_ready.set(ready);
            let limits = Limits { redirects: 0, ..Limits::default() };
            let taken = get(&world.ca.net, "http://site.lab/a?b", &limits, async |_, it, _| {
                Ok((it.status().0, it.field("Location").unwrap_or_default().to_vec()))
            });
            taken.await.unwrap()
        };
        assert_eq!(ask(false).await, (503, vec![]));
        assert_eq!(ask(true).await, (308, b"https://site.lab/a?b".to_vec()));
    });
}

#[test]
fn a_nonce_that_is_refused_is_replaced_but_not_for_ever() {
    beside(false, async |world| {
        world.ca.mood.bad_nonces.set(3);
        assert!(world.obtain().await.is_ok());
        world.ca.mood.bad_nonces.set(100);
        assert_eq!(world.obtain().await.err(), Some(Error::Nonces));
        assert_eq!(world.ca.mood.bad_nonces.get(), 96);
    });
}

#[test]
fn what_a_ca_says_is_told() {
    beside(false, async |world| {
        let refused = async |at, status, kind, later| {
            world.ca.mood.refuses.set(Some((at, status, kind, later)));
            world.obtain().await.err().unwrap()
        };
        let error = refused("/order", 403, "rejectedIdentifier", "").await;
        assert_eq!(
            error.to_string(),
            r"https://www.lab/order: the CA answers with 403: rejectedIdentifier: so it is \x1b[2J"
        );
        assert!(error.is_answer() && !error.is_passing() && !error.is_limit());
        let error = refused("/order", 429, "rateLimited", "7200").await;
        assert!(error.is_limit() && error.is_passing());
        assert_eq!(error.later(), Some(Duration::from_secs(7200)));
        let error = refused("/directory", 503, "serverInternal", "").await;
        assert!(error.is_passing(), "{error}");
        // It is only what is not JSON that it says nothing of.
        world.ca.mood.refuses.set(Some(("/directory", 200, "x", "")));
        let error = world.obtain().await.err().unwrap().to_string();
        assert!(error.contains("the CA's answer is not understood: missing field `newNonce`"));
        world.ca.mood.refuses.set(None);
        world.ca.mood.blind.set(true);
        assert_eq!(
            world.obtain().await.err().unwrap().to_string(),
            "the CA has not found the proof for site.lab: connection: nobody is there"
        );
        assert!(world.store.order().await.unwrap().is_none());
    });
}

#[test]
fn nobody_agrees_to_terms_but_the_user() {
    beside(false, async |mut world| {
        world.config.agreed = false;
        let error = world.obtain().await.err().unwrap();
        assert_eq!(error, Error::Terms("https://www.lab/terms".into()));
        assert!(error.to_string().contains("read https://www.lab/terms, and write terms=agree"));
        world.config.agreed = true;
        world.ca.mood.external.set(true);
        assert_eq!(world.obtain().await.err(), Some(Error::External));
        assert_eq!(world.ca.asked("/account"), 0);
    });
}

#[test]
fn a_certificate_that_is_none_of_ours_is_not_kept() {
    beside(false, async |world| {
        let flaw = async |of: &core::cell::Cell<bool>| {
            of.set(true);
            let error = world.obtain().await.err();
            of.set(false);
            assert!(world.store.certificate().await.unwrap().is_none());
            assert!(world.store.order().await.unwrap().is_none());
            error
        };
        let mood = &world.ca.mood;
        assert_eq!(flaw(&mood.other_key).await, Some(Error::Certificate(Flaw::OtherKey)));
        let other = Flaw::OtherName("site.lab".into());
        assert_eq!(flaw(&mood.other_name).await, Some(Error::Certificate(other)));
        world.ca.validity.set(0);
        let error = flaw(&mood.lenient).await.unwrap().to_string();
        assert!(error.contains("and this machine's clock says 2030-03-17"), "{error}");
    });
}

#[test]
fn a_ca_gets_neither_memory_nor_time_without_end() {
    beside(false, async |world| {
        world.ca.mood.huge.set(true);
        let error = world.obtain().await.err().unwrap();
        let Error::Http(failure) = error else { panic!("{error}") };
        assert_eq!(failure.error, client::Error::TooLong(Stage::Body, 64 << 10));
        for at in ["/directory", "/nonce", "/account", "/order", "/proof", "/challenge", "/final"] {
            world.ca.mood.silent.set(Some(at));
            world.store.forget_order().await.unwrap();
            let begun = Instant::now();
            let error = world.obtain().await.err().unwrap();
            assert!(matches!(error, Error::Http(_)) && !error.is_answer(), "{at}: {error}");
            assert!(begun.elapsed() < Duration::from_secs(60), "{at}: {:?}", begun.elapsed());
        }
    });
}

#[test]
fn an_order_goes_on_after_a_restart() {
    beside(false, async |world| {
        world.ca.mood.slow.set(true);
        let begun = Instant::now();
        assert_eq!(world.obtain().await.err(), Some(Error::Slow("processing")));
        assert!(begun.elapsed() < Duration::from_secs(400));
        // As often as the CA has said, and no more.
        assert!((250..330).contains(&world.ca.asked("/order/0")), "{}", world.ca.asked("/order/0"));
        let world = world.restart().await;
        world.ca.mood.slow.set(false);
        world.ca.finish(0);
        world.obtain().await.unwrap();
        assert_eq!((world.ca.ordered(), world.ca.accounts()), (1, 1));

        // In the middle of the proofs as well: the key of the order is the same.
        world.ca.mood.silent.set(Some("/challenge/1/1"));
        assert!(matches!(world.obtain().await.err(), Some(Error::Http(_))));
        let mut world = world.restart().await;
        world.ca.mood.silent.set(None);
        world.obtain().await.unwrap();
        assert_eq!(world.ca.ordered(), 2);

        // One for other names is of no use, nor one that the CA has forgotten.
        world.ca.mood.silent.set(Some("/challenge"));
        assert!(world.obtain().await.is_err());
        world.ca.mood.silent.set(None);
        world.config.domains.truncate(1);
        world.obtain().await.unwrap();
        assert_eq!(world.ca.ordered(), 4);
    });
}

#[test]
fn a_certificate_is_renewed_when_a_third_is_left() {
    beside(true, async |world| {
        let mut keeper = world.keeper().await;
        let begun = Instant::now();
        keeper.next().await;
        assert!(begun.elapsed() < Duration::from_secs(60));
        keeper.next().await;
        let passed = begun.elapsed();
        assert!((60 * DAY..60 * DAY + DAY / 24).contains(&passed), "{passed:?}");
        // Another machine with this disk has nothing to do.
        let mut keeper = world.keeper().await;
        assert!(timeout(59 * DAY, keeper.next()).await.is_err());
        assert_eq!(world.ca.ordered(), 2);
        keeper.config.renew = Some(DAY);
        let begun = Instant::now();
        keeper.next().await;
        let passed = begun.elapsed();
        assert!((30 * DAY - DAY / 24..=30 * DAY).contains(&passed), "{passed:?}");
        // However long before is asked for.
        keeper.config.renew = Some(1000 * DAY);
        assert!(timeout(11 * DAY, keeper.next()).await.is_err());
        timeout(DAY, keeper.next()).await.unwrap();
    });
}

#[test]
fn other_names_or_another_ca_are_reasons_to_renew_at_once_and_so_is_the_end() {
    beside(true, async |mut world| {
        let at_once = async |world: &World| {
            let begun = Instant::now();
            world.keeper().await.next().await;
            assert!(begun.elapsed() < Duration::from_secs(60));
        };
        at_once(&world).await;
        sleep(100 * DAY).await;
        let keeper = world.keeper().await;
        let held = keeper.held.as_ref().unwrap();
        assert!(held.facts.until < keeper.config.now(), "it is shown all the same");
        held.identity().unwrap();
        at_once(&world).await;
        world.config.domains.push("new.lab".into());
        at_once(&world).await;
        world.config.domains.truncate(1);
        world.config.directory = "https://www.lab/directory?".into();
        at_once(&world).await;
        // Fewer names are no reason.
        assert!(timeout(DAY, world.keeper().await.next()).await.is_err());
        assert_eq!((world.ca.ordered(), world.ca.accounts()), (4, 2));
    });
}

#[test]
fn a_ca_that_fails_is_asked_seldom_also_after_restarts() {
    beside(true, async |mut world| {
        world.ca.mood.refuses.set(Some(("/order", 403, "rejectedIdentifier", "")));
        let mut keeper = world.keeper().await;
        assert!(timeout(10 * DAY, keeper.next()).await.is_err());
        assert!((10..=14).contains(&world.ca.asked("/directory")), "{:?}", world.ca.heard);
        // Who restarts it again and again gets no further.
        let before = world.ca.asked("/directory");
        for _ in 0..10 {
            assert!(timeout(DAY / 24, world.keeper().await.next()).await.is_err());
        }
        assert!(world.ca.asked("/directory") <= before + 1);
        // What is asked for now may be all right.
        world.config.contact.clear();
        let before = world.ca.asked("/directory");
        assert!(timeout(DAY / 24, world.keeper().await.next()).await.is_err());
        assert_eq!(world.ca.asked("/directory"), before + 1);
        world.config = config();
        world.ca.mood.refuses.set(None);
        timeout(2 * DAY, world.keeper().await.next()).await.unwrap();
        assert_eq!(world.store.failures().await.unwrap(), Failures::default());
    });
}

#[test]
fn a_limit_of_the_cas_is_kept_also_after_a_restart() {
    beside(true, async |world| {
        world.ca.mood.refuses.set(Some(("/order", 429, "rateLimited", "172800")));
        let begun = Instant::now();
        assert!(timeout(DAY, world.keeper().await.next()).await.is_err());
        world.ca.mood.refuses.set(None);
        world.keeper().await.next().await;
        let passed = begun.elapsed();
        assert!((2 * DAY..3 * DAY).contains(&passed), "{passed:?}");
        assert_eq!(world.ca.asked("/directory"), 2);
    });
}

#[test]
fn a_clock_that_is_wrong_makes_no_ca_sign_without_end() {
    beside(true, async |mut world| {
        world.config.clock = ahead;
        let mut keeper = world.keeper().await;
        keeper.next().await;
        // A third is left long since, by that clock.
        assert!(timeout(11 * DAY, keeper.next()).await.is_err());
        assert_eq!(world.ca.ordered(), 1);
        timeout(DAY, keeper.next()).await.unwrap();
    });
}
