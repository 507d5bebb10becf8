//! Connections that are left to the next image of the machine.

use super::*;
use crate::pool::Pool;
use kernel::task::{block_on, join};

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
