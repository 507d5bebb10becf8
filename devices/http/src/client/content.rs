//! The content of an answer: its body, decoded.

use super::error::of_body;
use super::inflate::{self, Inflate};
use super::response::Coding;
use super::{Error, Stage};
use crate::Body;
use core::time::Duration;
use embedded_io_async::{ErrorType, Read};

/// Bytes of coded content that are read at once.
const PIECE: usize = 1024;

/// Reads the content of a response, decoded from gzip or deflate where it is coded; 0 bytes are
/// its end.
pub struct Content<'a> {
    pub(super) body: Body<'a>,
    decoder: Option<Decoder>,
    /// How many bytes there may be, and how many more.
    most: u64,
    left: u64,
    patience: Duration,
}

/// A decoder and what it has not read yet.
struct Decoder {
    inflate: Inflate,
    input: [u8; PIECE],
    start: usize,
    end: usize,
    /// Any input came at all.
    begun: bool,
}

impl core::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Content").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<'a> Content<'a> {
    /// The content in `body`, of at most `most` bytes.
    pub(super) fn new(
        body: Body<'a>,
        coding: Coding,
        (most, patience): (u64, Duration),
    ) -> Result<Self, Error> {
        let decoder = match coding {
            Coding::Identity => None,
            Coding::Other => return Err(Error::Coding(inflate::Flaw::Unknown)),
            Coding::Gzip | Coding::Deflate => {
                let inflate = Inflate::new(coding == Coding::Gzip).ok_or(Error::Memory)?;
                Some(Decoder { inflate, input: [0; PIECE], start: 0, end: 0, begun: false })
            }
        };
        Ok(Self { body, decoder, most, left: most, patience })
    }

    /// Whether all of it was read.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_over()
    }

    async fn decoded(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        let Some(decoder) = &mut self.decoder else {
            return self.body.read(to).await.map_err(|it| of_body(it, self.most, self.patience));
        };
        loop {
            if decoder.inflate.is_ready() {
                return Ok(decoder.inflate.take(to));
            }
            if decoder.start == decoder.end && !decoder.inflate.has_more() {
                let read = self.body.read(&mut decoder.input).await;
                let count = read.map_err(|it| of_body(it, self.most, self.patience))?;
                if count == 0 {
                    // Nothing at all is nothing, however it is coded.
                    if decoder.begun {
                        decoder.inflate.finish().map_err(Error::Coding)?;
                    }
                    return Ok(0);
                }
                (decoder.start, decoder.end, decoder.begun) = (0, count, true);
            }
            let input = decoder.input.get(decoder.start..decoder.end).unwrap_or_default();
            decoder.start += decoder.inflate.feed(input).map_err(Error::Coding)?;
        }
    }
}

impl ErrorType for Content<'_> {
    type Error = Error;
}

impl Read for Content<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        let count = self.decoded(to).await?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or(Error::TooLong(Stage::Body, self.most))?;
        Ok(count)
    }
}
