//! A server whose clients say nothing, too little, or too much.

use super::*;
use devices::net::cable::{End, Options, cable};
use ip::config::Ipv4;
use ip::{Settings, Stack, Tcp};
use kernel::task::{block_on, spawn};
use kernel::time::timeout;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SECOND: Duration = Duration::from_secs(1);

type Client = Stack<End>;

/// Runs `clients` beside a server of this handler.
fn beside<F: Future>(
    limits: Limits,
    handler: impl Handler + 'static,
    clients: impl FnOnce(Client, Rc<Cell<Stats>>) -> F,
) -> F::Output {
    kernel::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (server, client) = (stack(a, 1), stack(b, 2));
        let stats = Rc::<Cell<Stats>>::default();
        let of_server = stats.clone();
        let serving = spawn(async move {
            Server::new(handler).limits(limits).stats(of_server).serve(&server, ip::any(80)).await
        });
        kernel::task::yield_now().await;
        let result = clients(client, stats).await;
        drop(serving);
        result
    })
}

async fn connected(client: &Client) -> <Client as Tcp>::Stream {
    client.connect(SocketAddr::new(SERVER.into(), 80)).await.unwrap()
}

/// The status of what a connection is told within a second, and 0 of one that is told
/// nothing.
async fn status<S: Stream>(stream: &mut S) -> u16 {
    let mut answer = [0; 512];
    match timeout(SECOND, stream.read(&mut answer)).await {
        Ok(Ok(count)) if count > 12 => {
            core::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap()
        }
        _ => 0,
    }
}

/// The status of the answer to one request on a connection of its own.
async fn asked(client: &Client) -> u16 {
    let mut stream = connected(client).await;
    let closing = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    stream.write_all(closing.as_bytes()).await.unwrap();
    let status = status(&mut stream).await;
    let _ = stream.close().await;
    status
}

fn few() -> Limits {
    Limits { connections: 8, ..Limits::default() }
}

#[test]
fn silent_connections_make_room_for_those_that_ask_t7() {
    beside(few(), echo, |client, stats| async move {
        let mut silent = Vec::new();
        for _ in 0..32 {
            silent.push(connected(&client).await);
        }
        let begun = Instant::now();
        for _ in 0..60 {
            assert_eq!(asked(&client).await, 200);
        }
        assert!(begun.elapsed() < SECOND * 20, "{:?}", begun.elapsed());
        // Those that made room are gone, though they say nothing to that either.
        sleep(SECOND).await;
        assert!(stats.get().open <= 8 && stats.get().refused == 0, "{:?}", stats.get());
    });
}

#[test]
fn who_is_idle_for_longest_makes_room_and_who_is_served_does_not() {
    beside(few(), echo, |client, _| async move {
        let body = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nh";
        let mut at_work = connected(&client).await;
        at_work.write_all(body.as_bytes()).await.unwrap();
        let mut silent = Vec::new();
        for _ in 0..7 {
            silent.push(connected(&client).await);
            sleep(SECOND / 10).await;
        }
        // One that has been served is younger than one that was silent all the time.
        silent[0].write_all(GET.as_bytes()).await.unwrap();
        assert_eq!(status(&mut silent[0]).await, 200);
        assert_eq!(asked(&client).await, 200);
        let mut piece = [0; 8];
        assert_eq!(timeout(SECOND, silent[1].read(&mut piece)).await, Ok(Ok(0)));
        for at in [0, 2, 3, 4, 5, 6] {
            assert!(timeout(SECOND / 10, silent[at].read(&mut piece)).await.is_err(), "{at}");
        }
        at_work.write_all(b"i").await.unwrap();
        assert_eq!(status(&mut at_work).await, 200);
    });
}

#[test]
fn where_all_are_at_work_a_further_one_is_told_so() {
    beside(few(), echo, |client, stats| async move {
        let body = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nh";
        let mut at_work = Vec::new();
        for _ in 0..8 {
            let mut stream = connected(&client).await;
            stream.write_all(body.as_bytes()).await.unwrap();
            at_work.push(stream);
        }
        sleep(SECOND / 10).await;
        assert_eq!(asked(&client).await, 503);
        assert_eq!(stats.get().refused, 1);
        // They have not come to the point for more than a second.
        let mut begun = Vec::new();
        drop(at_work);
        sleep(SECOND).await;
        for _ in 0..8 {
            let mut stream = connected(&client).await;
            stream.write_all(b"GET / HT").await.unwrap();
            begun.push(stream);
        }
        sleep(SECOND * 2).await;
        assert_eq!(asked(&client).await, 200);
        assert_eq!(status(&mut begun[0]).await, 408);
    });
}

#[test]
fn a_body_of_a_byte_in_six_seconds_ends_t7() {
    let drip = |count| {
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n";
        let bytes = (0..count).flat_map(|_| [Step::Waits(SECOND * 6), sends("x")]);
        served(&core::iter::once(sends(head)).chain(bytes).collect::<Vec<_>>())
    };
    let (answer, _, time) = drip(900);
    assert!(answer.starts_with("HTTP/1.1 408 ") && time < SECOND * 30, "{answer} {time:?}");
}

#[test]
fn an_answer_that_is_not_taken_ends() {
    let limits = Limits { connections: 1, ..few() };
    beside(limits, endless, |client, stats| async move {
        let mut stream = connected(&client).await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        // A byte in six seconds is less than the rate.
        let begun = Instant::now();
        let mut byte = [0];
        while begun.elapsed() < SECOND * 120 && matches!(stream.read(&mut byte).await, Ok(1)) {
            if stats.get().open == 0 {
                break;
            }
            sleep(SECOND * 6).await;
        }
        // What the two stacks hold was taken at once, and counts.
        assert!(begun.elapsed() < SECOND * 90 && stats.get().open == 0, "{:?}", begun.elapsed());
    });
}

/// Answers without an end.
async fn endless(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let mut sink = exchange.stream(Status::OK, &[], None).await?;
    loop {
        sink.write_all(&[b'x'; 1000]).await?;
    }
}

/// Collects a body, holds it for a while, and tells its length.
async fn collector(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let all = exchange.body().collect(10_000).await?;
    if exchange.request().path() == "/wait" {
        sleep(SECOND * 60).await;
    }
    assert!(all.iter().all(|&byte| byte == b'x'));
    let length = format!("{}", all.len());
    exchange.respond(Status::OK, &[("X-Length", &length)], b"").await
}

/// A request with a body of `length` bytes.
fn post(path: &str, length: usize, chunked: bool) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n");
    let all = "x".repeat(length);
    match chunked {
        true if length == 0 => format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        true => {
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{all}\r\n0\r\n\r\n")
        }
        false => format!("{head}Content-Length: {length}\r\n\r\n{all}"),
    }
}

#[test]
fn a_body_is_collected_up_to_a_limit() {
    beside(few(), collector, |client, _| async move {
        for chunked in [false, true] {
            for (length, expected) in
                [(0, 200), (1, 200), (4096, 200), (10_000, 200), (10_001, 413)]
            {
                let mut stream = connected(&client).await;
                stream.write_all(post("/", length, chunked).as_bytes()).await.unwrap();
                assert_eq!(status(&mut stream).await, expected, "{length} {chunked}");
            }
        }
    });
}

#[test]
fn what_is_collected_is_counted_for_all_connections_t8() {
    // Two connections at work, and 20,000 bytes.
    let limits = Limits { memory: 2 * 5632 + 20_000, ..few() };
    beside(limits, collector, |client, _| async move {
        let mut first = connected(&client).await;
        first.write_all(post("/wait", 10_000, true).as_bytes()).await.unwrap();
        let mut second = connected(&client).await;
        second.write_all(post("/wait", 9_000, true).as_bytes()).await.unwrap();
        sleep(SECOND).await;
        for chunked in [false, true] {
            let mut third = connected(&client).await;
            third.write_all(post("/", 5_000, chunked).as_bytes()).await.unwrap();
            assert_eq!(status(&mut third).await, 503);
        }
        sleep(SECOND * 60).await;
        assert_eq!((status(&mut first).await, status(&mut second).await), (200, 200));
        let mut third = connected(&client).await;
        third.write_all(post("/", 5_000, true).as_bytes()).await.unwrap();
        assert_eq!(status(&mut third).await, 200, "what was held was given back");
    });
}

#[test]
fn who_takes_nothing_is_not_waited_for_however_little_it_is_told_t7() {
    let ask = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    for takes in [0, 10, 25, 100] {
        kernel::testing::simulate_time();
        let script = Script {
            steps: [sends(ask), Step::Waits(SECOND), sends("hi"), Step::Waits(SECOND * 9999)]
                .into(),
            takes: Some(takes),
            ..Script::default()
        };
        let (limits, aborted) = (Limits::default(), script.aborted.clone());
        let pool = Rc::new(pool::Pool::new(&limits, Rc::default()));
        let slot = pool.sit().unwrap();
        let served = server::pooled(script, &limits, &slot, &echo, None);
        let served = block_on(timeout(SECOND * 120, served));
        assert!(served.is_ok() && aborted.get(), "{takes}");
    }
}

#[test]
fn who_takes_a_record_bit_by_bit_is_waited_for_as_long_as_it_keeps_up_the_rate() {
    const LENGTH: usize = 200_000;
    let all = async |exchange: &mut Exchange<'_>| {
        let mut sink = exchange.stream(Status::OK, &[], Some(LENGTH as u64)).await?;
        for _ in 0..LENGTH / 1000 {
            sink.write_all(&[b'x'; 1000]).await?;
        }
        sink.finish().await
    };
    let once = async |exchange: &mut Exchange<'_>| {
        exchange.respond(Status::OK, &[], &[b'x'; LENGTH]).await
    };
    for (rate, pause, whole) in [(700, 10, true), (700, 31, false), (400, 0, false)] {
        for pieces in [true, false] {
            kernel::testing::simulate_time();
            let script = Script {
                steps: [sends(GET), Step::Waits(SECOND * 9999)].into(),
                slow: Some(Slow::new(rate, SECOND * pause)),
                ..Script::default()
            };
            let (limits, answer) = (Limits::default(), script.answer.clone());
            let pool = Rc::new(pool::Pool::new(&limits, Rc::default()));
            let slot = pool.sit().unwrap();
            let wait = SECOND * 1000;
            let done = block_on(async {
                match pieces {
                    true => {
                        let served = server::pooled(script, &limits, &slot, &all, None);
                        timeout(wait, served).await.is_ok()
                    }
                    false => {
                        let served = server::pooled(script, &limits, &slot, &once, None);
                        timeout(wait, served).await.is_ok()
                    }
                }
            });
            let got = answer.borrow().len();
            assert!(done && (got > LENGTH) == whole, "{rate} {pause} {pieces}: {got}");
        }
    }
}

const LARGE: usize = 120_000;

/// Answers with more than a client takes that does not read, and with what is asked for otherwise.
async fn large(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    match exchange.request().path() {
        "/large" => exchange.respond(Status::OK, &[], &[b'x'; LARGE]).await,
        _ => echo(exchange).await,
    }
}

/// How many bytes of content come of the large answer.
async fn content<S: Stream>(stream: &mut S) -> usize {
    let (mut come, mut piece) = (Vec::new(), [0; 1000]);
    let head = |come: &[u8]| come.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4);
    while head(&come).is_none_or(|head| come.len() < head + LARGE) {
        match timeout(SECOND, stream.read(&mut piece)).await {
            Ok(Ok(count @ 1..)) => come.extend_from_slice(&piece[..count]),
            _ => break,
        }
    }
    come.len() - head(&come).unwrap_or(0)
}

#[test]
fn who_makes_room_has_time_to_take_its_answer() {
    for fields in ["", "Connection: close\r\n"] {
        for (late, all) in [(SECOND / 2, true), (SECOND * 5, false)] {
            let limits = Limits { connections: 1, ..few() };
            beside(limits, large, |client, stats| async move {
                let mut slow = connected(&client).await;
                let request = format!("GET /large HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
                slow.write_all(request.as_bytes()).await.unwrap();
                sleep(SECOND * 2).await;
                assert_eq!(asked(&client).await, 200, "{fields}");
                sleep(late).await;
                assert_eq!(stats.get().open, usize::from(all), "{fields} {late:?}");
                assert_eq!(content(&mut slow).await == LARGE, all, "{fields} {late:?}");
            });
        }
    }
}
