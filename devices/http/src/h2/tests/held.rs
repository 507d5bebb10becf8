//! What a connection holds and takes of the machine, whatever its client does.

use super::super::super::budget::{Budget, Charge};
use super::super::state::State;
use super::*;
use core::pin::pin;
use kernel::task::{Either, block_on, select, yield_now};
use kernel::testing::{simulate_memory, simulate_memory_use};
use std::boxed::Box;

const MEMORY: usize = 1 << 20;

/// A connection on which many requests were begun whose content is to come.
fn begun(budget: &Budget) -> State {
    let mut state = State::new();
    for id in 0..STREAMS as u32 {
        state.begin(2 * id + 1, false, None).unwrap();
    }
    state.credit(budget);
    state
}

/// Sends a window of content on each stream as far as the connection's window goes, of which all
/// but `left` bytes are read; what is held at most.
fn filled(left: usize) -> usize {
    let budget = Budget::new(MEMORY);
    let mut state = begun(&budget);
    let mut most = 0;
    let mut buffer = vec![0; WINDOW as usize - left];
    for id in 0..STREAMS as u32 {
        let (id, content) = (2 * id + 1, [7; WINDOW as usize]);
        if state.came(content.len()).is_err() {
            break;
        }
        state.take(id, (&content, content.len()), false, &budget).unwrap();
        most = most.max(MEMORY - budget.left());
        assert_eq!(state.read(id, &mut buffer, &budget), Some(buffer.len()));
        state.credit(&budget);
        let _ = state.output.len();
    }
    most
}

#[test]
fn a_connection_whose_task_is_dropped_gives_all_its_memory_back() {
    kernel::testing::simulate_time();
    // What is to be sent, what came and was not read, and half a frame.
    let never = frame(kind::HEADERS, HEAD, 1, &request("POST", "/never", &[]));
    let bytes = [
        &[&PREFACE[..], &settings(&[]), &never, &data(1, 0, &[7; 9000]), &get(3, "/long")].concat(),
        &data(1, 0, &[7; 9000])[..5000],
    ]
    .concat();
    let steps = [Step::Sends(bytes), Step::Waits(Duration::from_secs(60))].into();
    let script = Script { steps, takes: Some(100), ..Script::default() };
    let limits = Limits::default();
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    let left = pool.budget.left();
    let slot = pool.sit().unwrap();
    let mut serving = Box::pin(server::pooled(script, &limits, &slot, &app, Some(serve)));
    let waiting = pin!(kernel::time::sleep(Duration::from_secs(1)));
    assert!(matches!(block_on(select(serving.as_mut(), waiting)), Either::Second(())));
    assert!(left - pool.budget.left() > 40_000, "{}", left - pool.budget.left());
    drop(serving);
    drop(slot);
    pool.forget();
    assert_eq!(pool.budget.left(), left);
}

#[test]
fn content_is_held_for_two_windows_however_many_streams_have_had_a_window_of_it() {
    // The buffer of what is to be sent is no content.
    let most = ALL as usize + 20_000;
    for left in [0, 1] {
        let held = filled(left);
        assert!(held <= most, "{held} bytes, with {left} unread of each stream");
    }
}

#[test]
fn windows_that_let_nothing_out_are_of_no_use() {
    // After as much as the connection takes of it, neither window is of use without the other.
    for id in [0, 1] {
        let outcome = play(&[get(1, "/long"), more(id, 1).repeat(900 * 16)]);
        assert_eq!(outcome.away, None, "{id}");
        let outcome = play(&[get(1, "/long"), more(id, 1).repeat(1100 * 16)]);
        assert_eq!(outcome.away.map(|it| it.0), Some(Code::CALM.0), "{id}");
    }
    // What is sent in small windows is of use, however many these are.
    let small = [settings(&[(4, 0)]), get(1, "/long")].concat();
    let outcome = play(&[&[small][..], &vec![more(1, 20); 3000]].concat());
    assert_eq!((outcome.streams[&1].content.len(), outcome.away), (60_000, None));
}

#[test]
fn of_several_settings_of_a_window_the_last_remains() {
    let many: Vec<_> = (0..2000).map(|it| (4, it)).collect();
    let outcome = play(&[get(1, "/long"), settings(&many), more(0, 1 << 20)]);
    assert_eq!(outcome.streams[&1].content.len(), WINDOW as usize);
    let outcome = play(&[settings(&many), get(1, "/long"), more(0, 1 << 20)]);
    assert_eq!(outcome.streams[&1].content.len(), 1999);
}

#[test]
fn others_run_while_a_client_sends_without_a_pause() {
    kernel::testing::simulate_time();
    let requests: Vec<u8> = (0..3000).flat_map(|it| get(2 * it + 1, "/")).collect();
    let first = [&PREFACE[..], &settings(&[]), &requests, &more(0, 1 << 20)].concat();
    let steps = VecDeque::from([Step::Sends(first), Step::Closes]);
    let answer = Rc::default();
    let script = Script { steps, answer: Rc::clone(&answer), ..Script::default() };
    let limits = Limits::default();
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    let slot = pool.sit().unwrap();
    let turns = Cell::new(0);
    block_on(async {
        let others = async {
            loop {
                turns.set(turns.get() + 1);
                yield_now().await;
            }
        };
        let serving = server::pooled(script, &limits, &slot, &app, Some(serve));
        assert!(matches!(select(pin!(serving), pin!(others)).await, Either::First(())));
    });
    assert_eq!(pool.stats.get().requests, 3000);
    assert!(turns.get() >= 5, "{}", turns.get());
}

#[test]
fn requests_under_way_go_on_while_memory_is_low_and_others_are_refused_s8() {
    simulate_memory(64 << 20);
    let low = (64 << 20) - (3 << 20);
    let low_app = async |exchange: &mut Exchange<'_>| {
        simulate_memory_use(low);
        app(exchange).await
    };
    kernel::testing::simulate_time();
    let content = [7; 16_000];
    let steps = [
        [&PREFACE[..], &settings(&[]), &post(1, &[])].concat(),
        [more(1, 1 << 20), more(0, 1 << 20), data(1, 0, &content)].concat(),
        [data(1, flag::END_STREAM, &content), get(3, "/")].concat(),
    ];
    let steps =
        steps.into_iter().flat_map(|it| [Step::Sends(it), Step::Waits(Duration::from_millis(9))]);
    let answer = Rc::<RefCell<Vec<u8>>>::default();
    let steps = steps.chain([Step::Closes]).collect();
    let script = Script { steps, answer: Rc::clone(&answer), ..Script::default() };
    let limits = Limits { memory: MEMORY, ..Limits::default() };
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    let slot = pool.sit().unwrap();
    block_on(server::pooled(script, &limits, &slot, &low_app, Some(serve)));
    simulate_memory(0);
    let outcome = read(&answer.take(), pool.stats.get());
    assert_eq!(outcome.streams[&1].content.len(), 2 * content.len());
    assert_eq!(outcome.streams[&3].reset, Some(Code::REFUSED_STREAM.0));
    assert_eq!(outcome.away, None);
}

#[test]
fn what_a_client_had_remembered_counts_as_memory_and_what_it_said_once_is_not_kept() {
    let mut decoder = Decoder::new();
    let coded =
        [&[0x40, 0x7f, 0xb1, 0x5d][..], &[b'a'; 12_080], &[0x7f, 0xb1, 0x5d], &[b'b'; 12_080]];
    decoder.decode(&coded.concat(), 1 << 16, &mut |_, _| {}).unwrap();
    assert!(decoder.scratch() > 24_000);
    decoder.shrink();
    assert_eq!(decoder.scratch(), 0);
}

/// What the budget of a connection has given by the time that it has been idle for a second after
/// `requests`, one of how many.
fn idle(memory: usize, open: usize, requests: &[u8]) -> (usize, Outcome) {
    kernel::testing::simulate_time();
    let first = [&PREFACE[..], &settings(&[]), requests].concat();
    let wait = Duration::from_secs(1);
    let steps = VecDeque::from([Step::Sends(first), Step::Waits(wait * 2), Step::Closes]);
    let limits = Limits { memory, ..Limits::default() };
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    let others: Vec<_> = (1..open).map(|_| pool.sit().unwrap()).collect();
    let slot = pool.sit().unwrap();
    let answer = Rc::<RefCell<Vec<u8>>>::default();
    let script = Script { steps, answer: Rc::clone(&answer), ..Script::default() };
    let held = {
        let mut serving = pin!(server::pooled(script, &limits, &slot, &app, Some(serve)));
        let waiting = pin!(kernel::time::sleep(wait));
        let first = block_on(select(serving.as_mut(), waiting));
        pool.forget();
        let held = limits.memory - pool.budget.left();
        if matches!(first, Either::Second(())) {
            block_on(serving);
        }
        held
    };
    pool.forget();
    assert_eq!(pool.budget.left(), limits.memory);
    drop(others);
    (held, read(&answer.take(), pool.stats.get()))
}

/// A request with `count` fields to be remembered, each of which counts for 64 bytes.
fn remembered(id: u32, count: u8) -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x84, 0x41, 0x01, b'h'];
    for number in 0..count {
        block.extend([0x40, 0x02, b'x', b'a' + number % 26, 0x1e]);
        block.extend([number; 30].map(|it| b'0' + it % 10));
    }
    frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, id, &block)
}

#[test]
fn an_idle_connection_counts_for_what_its_client_had_remembered_and_no_more() {
    let (little, _) = idle(MEMORY, 1, &get(1, "/"));
    assert!((1024..1024 + 200).contains(&little), "{little}");
    let (more, _) = idle(MEMORY, 1, &remembered(1, 30));
    assert!((little + 30 * 64..little + 30 * 64 + 2048).contains(&more), "{more}");
    let (most, outcome) = idle(MEMORY, 1, &[remembered(1, 100), remembered(3, 100)].concat());
    assert!((1024 + 6000..=1024 + Decoder::MOST).contains(&most), "{most}");
    assert_eq!(outcome.away, None);
}

#[test]
fn one_of_many_idle_connections_counts_for_what_its_client_had_remembered_alone() {
    let (none, outcome) = idle(MEMORY, 65, &[get(1, "/"), get(3, "/")].concat());
    assert!(none < 200, "{none}");
    assert_eq!(outcome.away, None);
}

#[test]
fn a_client_that_has_more_remembered_than_there_is_memory_for_is_told_so_and_nothing_is_kept() {
    let requests: Vec<u8> = (0..4).flat_map(|it| remembered(2 * it + 1, 25)).collect();
    // What is enough for the rest.
    let (held, outcome) = idle(13_500, 1, &requests);
    assert_eq!(outcome.away.map(|it| it.0), Some(Code::INTERNAL.0));
    assert_eq!(held, 0);
}

#[test]
fn what_does_not_grow_needs_no_memory() {
    let budget = Budget::new(100);
    let mut charge = Charge::new(&budget);
    simulate_memory(64 << 20);
    assert_eq!(charge.follow(60), Some(()));
    simulate_memory_use((64 << 20) - (1 << 20));
    let held = (charge.follow(60), charge.follow(61), charge.follow(59));
    simulate_memory(0);
    assert_eq!((held, budget.left()), ((Some(()), None, Some(())), 41));
}

/// What comes of a client that does `steps`, on one of so many connections, where others have all
/// but `left` bytes of the budget after a second, for so many milliseconds. It takes `takes` bytes
/// until then.
fn short(
    steps: impl IntoIterator<Item = Step>,
    open: usize,
    takes: Option<usize>,
    (left, milliseconds): (usize, u64),
) -> Outcome {
    kernel::testing::simulate_time();
    let limits = Limits { memory: MEMORY, ..Limits::default() };
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    let others: Vec<_> = (1..open).map(|_| pool.sit().unwrap()).collect();
    let slot = pool.sit().unwrap();
    let taken = Cell::new(0);
    let (answer, more, aborted) = (Rc::<RefCell<Vec<u8>>>::default(), Rc::default(), Rc::default());
    let first = [&PREFACE[..], &settings(&[])].concat();
    let steps = [Step::Sends(first)].into_iter().chain(steps).chain([Step::Closes]).collect();
    let script = Script {
        steps,
        takes,
        answer: Rc::clone(&answer),
        more: Rc::clone(&more),
        aborted: Rc::clone(&aborted),
        ..Script::default()
    };
    block_on(async {
        let others = async {
            kernel::time::sleep(Duration::from_secs(1)).await;
            taken.set(pool.budget.left() - left);
            pool.budget.take(taken.get()).unwrap();
            kernel::time::sleep(Duration::from_millis(milliseconds)).await;
            pool.budget.put(taken.take());
            more.set(true);
            core::future::pending::<()>().await;
        };
        let serving = server::pooled(script, &limits, &slot, &app, Some(serve));
        let _ = select(pin!(serving), pin!(others)).await;
    });
    assert!(!aborted.get());
    pool.forget();
    assert_eq!(pool.budget.left() + taken.get(), MEMORY);
    drop(others);
    read(&answer.take(), pool.stats.get())
}

#[test]
fn requests_that_find_no_memory_are_refused_and_those_before_them_go_on() {
    let wait = |milliseconds| Step::Waits(Duration::from_millis(milliseconds));
    let long = [get(1, "/long"), more(1, 1 << 20), more(0, 1 << 20)].concat();
    let longer = frame(kind::HEADERS, WHOLE, 3, &request("GET", "/", &[("x-longer", "value")]));
    for (second, leaves) in [(longer, false), (remembered(3, 25), true)] {
        let steps = [Step::Sends(long.clone()), wait(1500), Step::Sends(second), wait(1000)];
        let steps = steps.into_iter().chain([Step::Sends(get(5, "/")), wait(9000)]);
        let outcome = short(steps, 1, Some(100), (0, 1000));
        let long = &outcome.streams[&1];
        assert_eq!((long.content.len(), long.whole, long.reset), (100_000, true, None));
        assert_eq!(outcome.streams[&3].reset, Some(Code::REFUSED_STREAM.0));
        // A table that there is no memory for is kept for what was begun before.
        assert_eq!(outcome.away, leaves.then_some((Code::NO_ERROR.0, 1)));
        let status = outcome.streams.get(&5).map_or("", Answer::status);
        assert_eq!(status, if leaves { "" } else { "200" });
    }
}

#[test]
fn an_idle_connection_waits_for_memory_for_what_comes_and_then_for_no_more_than_a_request() {
    let ping = frame(kind::PING, 0, 0, &[7; 8]);
    let longer = "v".repeat(3000);
    let long = frame(kind::HEADERS, WHOLE, 3, &request("GET", "/", &[("x-longer", &longer)]));
    // Of few, one needs memory only for what is longer than usual.
    for (open, left) in [(65, 500), (65, 2000), (1, 500)] {
        for milliseconds in [600, 60_000] {
            let [begin, end] = [1500, 20_000].map(|it| Step::Waits(Duration::from_millis(it)));
            let second = if open == 1 { &long } else { &ping };
            let steps = [Step::Sends(get(1, "/")), begin, Step::Sends(second.clone()), end];
            let outcome = short(steps, open, None, (left, milliseconds));
            assert_eq!(outcome.streams[&1].status(), "200");
            let answered = outcome.pings.len() + outcome.streams.len() - 1;
            assert_eq!((answered, outcome.away), (usize::from(milliseconds == 600), None));
        }
    }
}

#[test]
fn a_connection_that_waits_holds_no_room_for_the_streams_that_it_once_had() {
    let budget = Budget::new(MEMORY);
    let mut state = begun(&budget);
    for id in 0..STREAMS as u32 {
        state.end(2 * id + 1, &budget);
    }
    assert!(state.spare() >= STREAMS);
    state.rest(&budget);
    assert_eq!(state.spare(), 0);
}
