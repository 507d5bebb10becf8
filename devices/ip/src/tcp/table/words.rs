//! What the words of a table mean.

use super::super::segment::{ACK, CWR, ECE, FIN, PSH, RST, SYN};
use super::Outcome;
use std::format;
use std::string::ToString;
use std::vec::Vec;

pub(super) fn number<T: core::str::FromStr>(word: &str) -> Outcome<T> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}

/// Relative numbers, which may be below 0.
pub(super) fn relative(word: &str) -> Outcome<u32> {
    number::<i64>(word).map(|it| it as u32)
}

pub(super) fn flags(word: &str) -> Outcome<u8> {
    word.chars().try_fold(0, |all, flag| {
        Ok(all
            | match flag {
                '-' => 0,
                '.' => ACK,
                'S' => SYN,
                'F' => FIN,
                'R' => RST,
                'P' => PSH,
                'E' => ECE,
                'W' => CWR,
                _ => return Err(format!("{flag:?} is no flag")),
            })
    })
}

/// What an event says of a segment.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) flags: u8,
    pub(super) seq: u32,
    pub(super) length: u32,
    pub(super) ack: Option<u32>,
    pub(super) win: Option<u16>,
    pub(super) stamps: Option<(u32, Option<u32>)>,
    pub(super) no_stamps: bool,
    pub(super) sack: Vec<(u32, u32)>,
    pub(super) mss: Option<u16>,
    pub(super) scale: Option<u8>,
    pub(super) sack_permitted: bool,
    pub(super) marked: bool,
    pub(super) ect: Option<bool>,
}

impl Said {
    pub(super) fn read(words: &[&str]) -> Outcome<Self> {
        let [first, place, rest @ ..] = words else { return Err("no segment".to_string()) };
        let (start, end) = place.split_once(':').unwrap_or((place, place));
        let seq = relative(start)?;
        let length = relative(end)?.wrapping_sub(seq);
        let mut said = Self { flags: flags(first)?, seq, length, ..Self::default() };
        let mut rest = rest.iter();
        while let Some(&word) = rest.next() {
            let mut value = || rest.next().copied().ok_or(format!("nothing behind {word}"));
            match word {
                "ack" => said.ack = Some(relative(value()?)?),
                "win" => said.win = Some(number(value()?)?),
                "mss" => said.mss = Some(number(value()?)?),
                "ws" => said.scale = Some(number(value()?)?),
                "sackok" => said.sack_permitted = true,
                "ce" => said.marked = true,
                "ect" => said.ect = Some(true),
                "noect" => said.ect = Some(false),
                "nots" => said.no_stamps = true,
                "ts" => {
                    let value = value()?;
                    let both = value.split_once('/');
                    let (sent, echo) = both.map_or((value, None), |it| (it.0, Some(it.1)));
                    said.stamps = Some((relative(sent)?, echo.map(relative).transpose()?));
                }
                "sack" => {
                    for block in value()?.split(',') {
                        let (start, end) = block.split_once(':').ok_or("no block")?;
                        said.sack.push((relative(start)?, relative(end)?));
                    }
                }
                _ => return Err(format!("{word:?} is not known")),
            }
        }
        Ok(said)
    }
}

/// How a case begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) active: bool,
    pub(super) mss: u16,
    pub(super) own: u16,
    pub(super) ws: Option<u8>,
    pub(super) scale: u8,
    pub(super) win: u16,
    pub(super) share: usize,
    pub(super) sack: bool,
    pub(super) ts: bool,
    pub(super) ecn: bool,
    pub(super) rtt: u64,
    pub(super) large: u32,
    pub(super) v6: bool,
    pub(super) pool: usize,
}

impl Setup {
    pub(super) fn read(words: &[&str]) -> Outcome<Self> {
        let mut setup = Self {
            active: false,
            mss: 1000,
            own: 1000,
            ws: None,
            scale: 0,
            win: 65_535,
            share: 1 << 20,
            sack: true,
            ts: false,
            ecn: false,
            rtt: 10,
            large: 0,
            v6: false,
            pool: 4 << 20,
        };
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "active" => setup.active = true,
                "mss" => setup.mss = number(value)?,
                "own" => setup.own = number(value)?,
                "ws" => setup.ws = Some(number(value)?),
                "scale" => setup.scale = number(value)?,
                "win" => setup.win = number(value)?,
                "share" => setup.share = number(value)?,
                "nosack" => setup.sack = false,
                "ts" => setup.ts = true,
                "ecn" => setup.ecn = true,
                "rtt" => setup.rtt = number(value)?,
                "large" => setup.large = number(value)?,
                "v6" => setup.v6 = true,
                "pool" => setup.pool = number(value)?,
                _ => return Err(format!("{word:?} is not known")),
            }
        }
        Ok(setup)
    }
}
