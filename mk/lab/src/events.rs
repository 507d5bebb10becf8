//! What a guest's script (`scripts/dom0/guest`) tells of it, as events.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use super::channel::Piece;

/// What the thread that reads a guest's connection tells.
pub(crate) enum Event {
    Created(u32),
    Moved(u32),
    Console(Vec<u8>),
    Ended {
        flags: String,
        nanoseconds: Option<u64>,
    },
    Hypervisor(Vec<u8>),
    /// The script's end, and its errors.
    Over(String),
    Lost(io::Error),
}

/// How much of a guest's console may wait for who reads it: what comes while that one is stopped, as a
/// terminal can be, takes no more memory than that. The guest is not made to wait, because all consoles of a
/// host would.
const MOST: usize = 16 << 20;

/// How much is kept of the end of what is left out: with it come an app's exit status and the report of a panic.
const LAST: usize = 64 << 10;

/// What a piece of a console takes besides its bytes.
const EACH: usize = 128;

/// How much of a guest's console waits.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// Takes note that a piece was read.
    pub(crate) fn read(&self, bytes: &[u8]) {
        self.0.fetch_sub(bytes.len() + EACH, Ordering::Relaxed);
    }
}

/// What a guest's script has said so far, which decides what its bytes mean.
enum After {
    Start,
    Ended,
    Over(Vec<u8>),
}

/// Turns what a guest's script sends into events.
pub(crate) struct Reader {
    sender: Sender<Event>,
    after: After,
    waiting: Waiting,
    /// Bytes of the console that do not wait, since the last that do.
    left_out: usize,
    /// The last of them.
    last: VecDeque<u8>,
}

impl Reader {
    pub(crate) const fn new(sender: Sender<Event>, waiting: Waiting) -> Reader {
        Reader { sender, after: After::Start, waiting, left_out: 0, last: VecDeque::new() }
    }

    /// Passes on a piece of the console, or leaves it out.
    fn console(&mut self, bytes: &[u8]) {
        let waiting = self.waiting.0.load(Ordering::Relaxed);
        // In few gaps, and not in one at each piece that is read.
        let most = if self.left_out == 0 { MOST } else { MOST / 2 };
        if waiting + bytes.len() + EACH > most {
            self.left_out += bytes.len();
            let end = &bytes[bytes.len().saturating_sub(LAST)..];
            let over = (self.last.len() + end.len()).saturating_sub(LAST);
            self.last.drain(..over);
            self.last.extend(end);
            return;
        }
        self.tell_left_out();
        self.pass(bytes.into());
    }

    fn pass(&self, bytes: Vec<u8>) {
        self.waiting.0.fetch_add(bytes.len() + EACH, Ordering::Relaxed);
        // Nobody listens any more when the guest was dropped.
        drop(self.sender.send(Event::Console(bytes)));
    }

    /// Says in the console's place that some of it was left out, and passes on the end of that.
    fn tell_left_out(&mut self) {
        let last = mem::take(&mut self.last);
        let missing = mem::take(&mut self.left_out) - last.len();
        if missing > 0 {
            let text = format!(
                "\n[{missing} bytes of the console are left out here: they came faster than they were read]\n"
            );
            self.pass(text.into_bytes());
        }
        if !last.is_empty() {
            self.pass(last.into());
        }
    }

    /// Tells that the connection broke.
    pub(crate) fn lose(self, error: io::Error) {
        drop(self.sender.send(Event::Lost(error)));
    }

    pub(crate) fn take(&mut self, piece: Piece<'_>) {
        let event = match (piece, &mut self.after) {
            (Piece::Data(data), After::Start) => return self.console(data),
            (Piece::Data(data), After::Ended) => Event::Hypervisor(data.into()),
            (Piece::Data(data), After::Over(errors)) => return errors.extend(data),
            (Piece::Line(line), _) => {
                let words: Vec<_> = line.split(' ').collect();
                match words[..] {
                    ["created", id] => Event::Created(id.parse().unwrap_or(0)),
                    ["moved", id] => Event::Moved(id.parse().unwrap_or(0)),
                    ["ended", flags, nanoseconds] => {
                        self.tell_left_out();
                        self.after = After::Ended;
                        let (flags, nanoseconds) = (flags.into(), nanoseconds.parse().ok());
                        Event::Ended { flags, nanoseconds }
                    }
                    // Its exit status, which says no more than its errors do.
                    _ => {
                        self.after = After::Over(Vec::new());
                        return;
                    }
                }
            }
        };
        // Nobody listens any more when the guest was dropped.
        drop(self.sender.send(event));
    }

    /// Tells that the connection has ended.
    pub(crate) fn end(mut self) {
        self.tell_left_out();
        let event = match self.after {
            After::Over(errors) => Event::Over(String::from_utf8_lossy(&errors).into()),
            _ => Event::Lost(io::ErrorKind::UnexpectedEof.into()),
        };
        drop(self.sender.send(event));
    }
}

/// Leaves of a console the last `kept` bytes, now and then: each time would take long.
pub(crate) fn forget(console: &mut Vec<u8>, kept: usize) {
    if console.len() / 2 > kept {
        console.drain(..console.len() - kept);
        console.shrink_to(kept.saturating_mul(4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// What waits to be read, as one who reads all of it gets it.
    fn read(events: &mpsc::Receiver<Event>, waiting: &Waiting) -> String {
        let mut text = Vec::new();
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Console(bytes) => {
                    waiting.read(&bytes);
                    text.extend(bytes);
                }
                Event::Ended { .. } => text.extend(b"<end>"),
                _ => {}
            }
        }
        assert_eq!(waiting.0.load(Ordering::Relaxed), 0);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn a_console_that_nobody_reads_is_bounded_and_says_what_is_missing() {
        let (sender, events) = mpsc::channel();
        let waiting = Waiting::default();
        let mut reader = Reader::new(sender, waiting.clone());
        for size in [1, 1 << 14] {
            reader.take(Piece::Data(b"begin "));
            let piece = vec![b'x'; size];
            let count = 2 * MOST / (size + EACH);
            for _ in 0..count {
                reader.take(Piece::Data(&piece));
            }
            assert!(waiting.0.load(Ordering::Relaxed) <= MOST);
            let text = read(&events, &waiting);
            // Nothing of it is said before there is room.
            let got = text.strip_prefix("begin ").expect("the beginning").len();
            assert!(text.ends_with('x') && got >= MOST / 2 / (size + EACH) * size);
            reader.take(Piece::Data(b"again"));
            let missing = count * size - got - LAST;
            let expected = format!("\n[{missing} bytes of the console are left out here");
            let text = read(&events, &waiting);
            let end = format!("]\n{}again", "x".repeat(LAST));
            assert!(text.starts_with(&expected) && text.ends_with(&end), "{}", &text[..100]);
        }
    }

    #[test]
    fn of_a_console_its_end_is_kept() {
        let (mut console, mut whole) = (Vec::new(), Vec::new());
        for number in 0..10_000_u32 {
            let line = format!("line {number}\n");
            for to in [&mut console, &mut whole] {
                to.extend_from_slice(line.as_bytes());
            }
            forget(&mut console, 100);
            assert!(console.len() <= 202 && console.len() >= whole.len().min(100));
            assert!(whole.ends_with(&console));
        }
        forget(&mut whole, usize::MAX);
        assert!(whole.starts_with(b"line 0\n"));
    }

    #[test]
    fn of_what_is_left_out_the_end_is_passed_on() {
        for (more, note) in [(0, ""), (LAST - 100, ""), (LAST, "\n["), (3 * MOST, "\n[")] {
            let (sender, events) = mpsc::channel();
            let waiting = Waiting::default();
            let mut reader = Reader::new(sender, waiting.clone());
            reader.take(Piece::Data(&vec![b'x'; MOST - EACH]));
            for part in vec![b'y'; more].chunks(10_000) {
                reader.take(Piece::Data(part));
            }
            assert!(reader.last.len() <= LAST && reader.last.capacity() <= 2 * LAST);
            reader.take(Piece::Data(b"xenith: exit status 3\n"));
            reader.take(Piece::Line("ended ---s-- 7"));
            let text = read(&events, &waiting);
            let text = &text[MOST - EACH..];
            assert!(text.ends_with("xenith: exit status 3\n<end>"), "{more}");
            let kept = text.matches(['y', 'x']).count();
            assert!(text.starts_with(note) && kept >= more.min(LAST - 100), "{more}: {kept}");
            assert_eq!(text.contains("left out"), !note.is_empty(), "{more}");
        }
    }
}
