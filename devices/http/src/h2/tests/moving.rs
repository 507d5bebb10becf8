//! Requests that another image of the machine waits for.

use super::*;
use core::pin::pin;
use kernel::task::{Either, block_on, select};
use kernel::time::{Instant, sleep, timeout};

/// Time between two parts of what a client sends.
const BETWEEN: Duration = Duration::from_millis(200);

/// Answers `/slow` after two seconds, and sends events to `/events` that never come.
async fn app(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    if exchange.request().path() == "/events" {
        let mut events = events::Events::begin(exchange).await?;
        events.wait(core::future::pending::<()>()).await?;
        return events.finish().await;
    }
    if exchange.request().path() == "/slow" {
        sleep(Duration::from_secs(2)).await;
    }
    exchange.respond(Status::OK, &[], b"yes").await
}

/// After how many milliseconds the requests have been served that were under way after 500, where a
/// client sends these parts one after the other.
fn settled(parts: &[Vec<u8>]) -> u128 {
    kernel::testing::simulate_time();
    let mut steps = VecDeque::from([Step::Sends([&PREFACE[..], &settings(&[])].concat())]);
    for part in parts {
        if !part.is_empty() {
            steps.push_back(Step::Sends(part.clone()));
        }
        steps.push_back(Step::Waits(BETWEEN));
    }
    steps.extend([Step::Waits(Duration::from_secs(9)), Step::Closes]);
    let script = Script { steps, ..Script::default() };
    let limits = Limits::default();
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    let slot = pool.sit().unwrap();
    let begun = Instant::now();
    block_on(async {
        let settled = async {
            sleep(Duration::from_millis(500)).await;
            pool.await_requests();
            let settled = timeout(Duration::from_secs(5), pool.settled()).await;
            assert!(settled.is_ok(), "it waits for what it need not");
            begun.elapsed().as_millis()
        };
        let serving = server::pooled(script, &limits, &slot, &app, Some(serve));
        match select(pin!(serving), pin!(settled)).await {
            Either::First(()) => panic!("the connection has ended"),
            Either::Second(time) => time,
        }
    })
}

#[test]
fn all_that_are_under_way_are_waited_for_and_no_later_ones() {
    let (none, half) = (Vec::new, request("GET", "/", &[]));
    let begun = frame(kind::HEADERS, flag::END_STREAM, 5, &half[..4]);
    let rest = frame(kind::CONTINUATION, flag::END_HEADERS, 5, &half[4..]);
    for (what, parts, time) in [
        ("none", vec![get(1, "/")], 500),
        ("one", vec![get(1, "/slow")], 2000),
        ("a later one", vec![get(1, "/slow"), none(), none(), get(3, "/slow")], 2000),
        ("one of two", vec![get(1, "/slow"), get(3, "/slow"), none(), get(5, "/")], 2200),
        // The connection waits for the rest of a head meanwhile, with the request still under way.
        ("half a head", vec![get(1, "/slow"), none(), none(), begun.clone(), rest.clone()], 2000),
        ("half before", vec![get(1, "/slow"), none(), begun, rest], 2000),
        // Nobody knows when an event comes, and what waits for one can be begun again.
        ("events", vec![get(1, "/events")], 500),
        ("events beside", vec![get(1, "/slow"), get(3, "/events"), none(), get(5, "/")], 2000),
        ("events later", vec![get(1, "/slow"), none(), none(), get(3, "/events")], 2000),
    ] {
        assert_eq!(settled(&parts), time, "{what}");
    }
}

#[test]
fn the_last_stream_that_was_named_to_a_client_does_not_grow() {
    kernel::testing::simulate_time();
    let answer = Rc::<RefCell<Vec<u8>>>::default();
    let begin = [&PREFACE[..], &settings(&[]), &get(1, "/slow")].concat();
    let steps = VecDeque::from([
        Step::Sends(begin),
        Step::Waits(BETWEEN),
        Step::Sends(get(3, "/")),
        Step::Waits(BETWEEN),
        Step::Sends(data(0, 0, b"x")),
        Step::Waits(BETWEEN),
        Step::Closes,
    ]);
    let script = Script { steps, answer: answer.clone(), ..Script::default() };
    let (limits, stats) = (Limits::default(), Rc::<Cell<Stats>>::default());
    let pool = Rc::new(Pool::new(&limits, stats.clone()));
    let slot = pool.sit().unwrap();
    block_on(async {
        let ends = async {
            sleep(BETWEEN / 2).await;
            pool.closing.set(true);
        };
        let serving = server::pooled(script, &limits, &slot, &app, Some(serve));
        kernel::task::join(serving, ends).await;
    });
    let outcome = read(&answer.take(), stats.get());
    assert_eq!(outcome.streams[&3].reset, Some(Code::REFUSED_STREAM.0));
    assert_eq!(outcome.away, Some((Code::PROTOCOL.0, 1)));
}
