//! The table of what servers of HTTP are asked, over a stream in memory: what is sent comes
//! at once, and in pieces.

#[path = "../../../../tests/http/cases.rs"]
mod table;

use super::*;
use table::{Case, Outcome, judge, read};

/// The table of what clients are answered: names, the words that are expected, without their
/// escapes, and the answers.
pub(crate) fn of_clients() -> Vec<(String, Vec<String>, Vec<u8>)> {
    let cases = read(include_str!("../../../../tests/http/client.txt")).unwrap();
    let word = |word: &String| {
        let bytes = table::bytes(word).expect("escapes").concat();
        String::from_utf8(bytes).expect("text")
    };
    let case =
        |case: Case| (case.name, case.expected.iter().map(word).collect(), case.parts.concat());
    cases.into_iter().map(case).collect()
}

/// For how long the client waits for the server to close the connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the table expects of an app: a page at `/`, which also sends back what is posted.
async fn app(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let plain = ("Content-Type", "text/plain");
    let allow = [plain, ("Allow", "GET, HEAD, POST, OPTIONS")];
    let request = exchange.request();
    match (request.method(), request.path()) {
        (_, path) if path != "/" => exchange.respond(Status::NOT_FOUND, &[plain], b"nothing").await,
        (Method::Get | Method::Head, _) => exchange.respond(Status::OK, &[plain], b"a page").await,
        (Method::Post, _) => {
            let all = all(exchange.body(), 1024).await?;
            let mut sink = exchange.stream(Status::OK, &[plain], None).await?;
            sink.write_all(&all).await?;
            sink.finish().await
        }
        (Method::Options, _) => exchange.respond(Status::NO_CONTENT, &allow[1..], b"").await,
        _ => exchange.respond(Status::METHOD_NOT_ALLOWED, &allow, b"no").await,
    }
}

/// What comes back from the app when each part is sent in pieces of so many bytes.
fn outcome(case: &Case, piece: usize) -> Outcome {
    kernel::testing::simulate_time();
    let answer = Rc::<RefCell<Vec<u8>>>::default();
    let mut steps = VecDeque::new();
    for part in &case.parts {
        steps.extend(part.chunks(piece).map(|bytes| Step::Sends(bytes.to_vec())));
        steps.push_back(Step::Waits(Duration::from_millis(1)));
    }
    steps.extend([Step::Waits(PATIENCE), Step::Closes]);
    let script = Script { steps, answer: answer.clone(), ..Script::default() };
    let begun = Instant::now();
    let (limits, stats) = (Limits::default(), Cell::default());
    kernel::task::block_on(connection(script, &limits, &stats, &app));
    Outcome { bytes: answer.take(), closed: begun.elapsed() < PATIENCE }
}

#[test]
fn servers_do_what_the_table_says_however_the_bytes_come() {
    servers_do(include_str!("../../../../tests/http/server.txt"));
}

#[test]
fn where_parsers_quarrel_ours_refuses_or_reads_as_the_table_says() {
    servers_do(include_str!("../../../../tests/http/quarrels.txt"));
}

/// Plays each case of a table.
fn servers_do(text: &str) {
    let cases = read(text).unwrap();
    let mut failures = Vec::new();
    for case in &cases {
        let long = case.parts.concat().len() > 20_000;
        for piece in [usize::MAX, if long { 1000 } else { 1 }, 7] {
            let outcome = outcome(case, piece);
            if let Err(why) = judge(case, &outcome) {
                failures.push(format!("{}, in pieces of {piece}: {why}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn of_alternatives_one_has_to_hold_as_a_whole() {
    let cases = read("a | 9112 2.2 | 200 closed or 400 open | x").unwrap();
    let outcome = |status: u16, closed| {
        let bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes();
        judge(&cases[0], &Outcome { bytes, closed }).is_ok()
    };
    assert!(outcome(200, true) && outcome(400, false));
    assert!(!outcome(200, false) && !outcome(400, true) && !outcome(404, true));
}
