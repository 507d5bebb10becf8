//! What a guest's script (`scripts/dom0/guest`) tells of it, as events.

use std::io;
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
}

impl Reader {
    pub(crate) const fn new(sender: Sender<Event>) -> Reader {
        Reader { sender, after: After::Start }
    }

    /// Tells that the connection broke.
    pub(crate) fn lose(self, error: io::Error) {
        drop(self.sender.send(Event::Lost(error)));
    }

    pub(crate) fn take(&mut self, piece: Piece<'_>) {
        let event = match (piece, &mut self.after) {
            (Piece::Data(data), After::Start) => Event::Console(data.into()),
            (Piece::Data(data), After::Ended) => Event::Hypervisor(data.into()),
            (Piece::Data(data), After::Over(errors)) => return errors.extend(data),
            (Piece::Line(line), _) => {
                let words: Vec<_> = line.split(' ').collect();
                match words[..] {
                    ["created", id] => Event::Created(id.parse().unwrap_or(0)),
                    ["moved", id] => Event::Moved(id.parse().unwrap_or(0)),
                    ["ended", flags, nanoseconds] => {
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
    pub(crate) fn end(self) {
        let event = match self.after {
            After::Over(errors) => Event::Over(String::from_utf8_lossy(&errors).into()),
            _ => Event::Lost(io::ErrorKind::UnexpectedEof.into()),
        };
        drop(self.sender.send(event));
    }
}
