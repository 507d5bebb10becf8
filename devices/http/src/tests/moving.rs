//! Connections that are left to the next image of the machine.

use super::*;
use crate::pool::{Doing, Pool, Slot};
use core::pin::pin;
use kernel::task::{block_on, join};
use kernel::time::timeout;
use kernel::update::{Part, Phase};

const SECOND: Duration = Duration::from_secs(1);

/// Serves a client that sends `sent` at once and then waits, from a handler that takes two seconds
/// for `/slow`; a second later connections are to be left. Returns how many answers there were,
/// what the next image is to read first, and after how many seconds.
fn left(sent: &str) -> (usize, Option<String>, u64) {
    kernel::testing::simulate_time();
    let (answer, unread) = (Rc::<RefCell<Vec<u8>>>::default(), Rc::default());
    let steps = [Step::Sends(sent.into()), Step::Waits(SECOND * 9)];
    let steps = steps.into_iter().filter(|it| !matches!(it, Step::Sends(none) if none.is_empty()));
    let stream = Script {
        steps: steps.collect(),
        answer: Rc::clone(&answer),
        left: Rc::clone(&unread),
        ..Script::default()
    };
    let limits = Limits::default();
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    let slot = pool.sit().unwrap();
    let handler = async |exchange: &mut Exchange<'_>| {
        if exchange.request().path() == "/slow" {
            sleep(SECOND * 2).await;
        }
        exchange.respond(Status::OK, &[], b"yes").await
    };
    let begun = Instant::now();
    let serving = async {
        server::pooled(stream, &limits, &slot, &handler, None).await;
        begun.elapsed().as_secs()
    };
    let (seconds, ()) = block_on(join(serving, async {
        sleep(SECOND).await;
        pool.set_moving(true);
    }));
    let answers = String::from_utf8(answer.take()).unwrap().matches("200 OK").count();
    let unread = unread.take().map(|it: Vec<u8>| String::from_utf8(it).unwrap());
    (answers, unread, seconds)
}

#[test]
fn each_is_left_where_a_request_may_begin() {
    let fast = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let slow = fast.replace(" / ", " /slow ");
    let closing = fast.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    for (sent, answers, unread, seconds) in [
        (String::new(), 0, "", 1),
        (fast.into(), 1, "", 1),
        ("GET / HT".into(), 0, "GET / HT", 1),
        (format!("{fast}{fast}GET /t"), 2, "GET /t", 1),
        // What is under way is answered.
        (slow.clone(), 1, "", 2),
        (format!("{slow}GET"), 1, "GET", 2),
        (format!("{slow}{fast}"), 1, fast, 2),
        // This one has ended: nothing of it is to be read.
        (closing, 1, "", 1),
    ] {
        assert_eq!(left(&sent), (answers, Some(unread.into()), seconds), "{sent}");
    }
}

#[test]
fn a_body_that_never_ends_is_waited_for_within_bounds_and_cut_off() {
    kernel::testing::simulate_time();
    let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbeg";
    let (left, unread) = (Rc::<RefCell<Option<Vec<u8>>>>::default(), Rc::default());
    let client = |sent: &str, then: &[Step], left: &Rc<RefCell<Option<Vec<u8>>>>| Script {
        steps: [&[Step::Sends(sent.into())], then].concat().into(),
        left: Rc::clone(left),
        ..Script::default()
    };
    let slow = client(body, &[Step::Waits(SECOND * 900)], &left);
    let waits = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let idle = client(waits, &[Step::Waits(SECOND * 900)], &unread);
    let limits = Limits { pause: SECOND * 800, idle: SECOND * 800, ..Limits::default() };
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    for stream in [slow, idle] {
        let slot = pool.sit().unwrap();
        let number = slot.number();
        let task = kernel::task::spawn(async move {
            let handler = async |exchange: &mut Exchange<'_>| {
                exchange.body().collect(100).await?;
                exchange.respond(Status::OK, &[], b"yes").await
            };
            server::pooled(stream, &limits, &slot, &handler, None).await;
        });
        Slot::run_by(&pool, number, task);
    }
    block_on(async {
        sleep(SECOND).await;
        pool.await_requests();
        // One of the two is under way, and all goes on while it is waited for.
        assert!(timeout(SECOND * 60, pool.settled()).await.is_err());
        assert!(unread.borrow().is_none() && left.borrow().is_none());
        let mut part = Part::new();
        let begun = Instant::now();
        let updated =
            timeout(SECOND * 5, crate::moving::update(&mut part, Phase::Rest, &pool)).await;
        assert!(updated.is_err(), "it waits for the next phase");
        assert!(timeout(SECOND, pool.empty()).await.is_ok());
        assert_eq!(begun.elapsed(), SECOND * 5);
        assert!(left.borrow().is_none(), "it was cut off");
        assert_eq!(unread.borrow().as_deref(), Some(&b""[..]), "it goes on");
    });
}

/// A request begins on a connection, and that before it has ended.
async fn begins(slot: &Slot) {
    slot.wait(Doing::Idle, SECOND, pin!(core::future::ready(()))).await;
}

#[test]
fn requests_under_way_are_waited_for_and_no_later_ones() {
    kernel::testing::simulate_time();
    let pool = Rc::new(Pool::new(&Limits::default(), Rc::default()));
    let [one, two, _idle] = core::array::from_fn(|_| pool.sit().unwrap());
    block_on(async {
        join(begins(&one), begins(&two)).await;
        pool.await_requests();
        let begun = Instant::now();
        let settled = async {
            pool.settled().await;
            begun.elapsed()
        };
        let works = async {
            sleep(SECOND).await;
            begins(&one).await;
            sleep(SECOND).await;
            drop(two);
        };
        assert_eq!(join(settled, works).await.0, SECOND * 2);
        begins(&one).await;
        assert!(timeout(Duration::ZERO, pool.settled()).await.is_ok());
    });
}
