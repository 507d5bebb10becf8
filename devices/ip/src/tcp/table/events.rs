//! The events of a case, one after the other.

use super::*;

impl Bench {
    /// Takes the next segment that was sent.
    fn take(&mut self) -> Outcome<Emission> {
        let emission = self.sent.pop_front().ok_or("nothing is sent")?;
        Ok(emission)
    }

    /// Checks the payload of a segment, before the connection forgets it.
    fn check_payload(&self, emission: &Emission) -> Outcome {
        let mut payload = std::vec![0; emission.length];
        self.connection.payload(emission, &mut payload);
        if emission.length > 0 && payload != bytes(self.own(emission.head.seq), emission.length) {
            return Err(format!("payload: {}", tell(self, emission)));
        }
        Ok(())
    }

    /// Goes to the next deadline.
    fn advance(&mut self, until: Option<Instant>) -> Outcome<bool> {
        let next = self.connection.deadline();
        let Some(next) = next.filter(|next| until.is_none_or(|until| *next <= until)) else {
            return Ok(false);
        };
        self.now = next;
        self.drain()?;
        Ok(true)
    }

    pub(super) fn event(&mut self, event: &str) -> Outcome {
        let words: Vec<&str> = event.split_whitespace().collect();
        let [verb, rest @ ..] = &words[..] else { return Ok(()) };
        if let Some(at) = verb.strip_prefix(">@") {
            if let Some(emission) = self.sent.front() {
                return Err(format!("sent too early: {}", tell(self, emission)));
            }
            while self.sent.is_empty() {
                if !self.advance(None)? {
                    return Err("nothing is sent, and no timer runs".to_string());
                }
            }
            let passed = self.passed(self.since);
            if passed != number::<u64>(at)? {
                let emission = self.take()?;
                return Err(format!("sent after {passed} ms: {}", tell(self, &emission)));
            }
            self.since = self.now;
        } else if !verb.starts_with('>') {
            if let Some(emission) = self.sent.front() {
                return Err(format!("sent, before {event:?}: {}", tell(self, emission)));
            }
            self.since = self.now;
        }
        let one = || rest.first().copied().ok_or("nothing behind it".to_string());
        match *verb {
            "<" => return self.arrive(&Said::read(rest)?),
            ">>" => {
                let (start, end) = one()?.split_once(':').ok_or("no range")?;
                let (mut at, end) = (relative(start)?, relative(end)?);
                while at != end {
                    let emission = self.take()?;
                    let rest = end.wrapping_sub(at);
                    let length = emission.length as u32;
                    if self.own(emission.head.seq) != at || length == 0 || length > rest {
                        return Err(format!("not in order: {}", tell(self, &emission)));
                    }
                    self.check_payload(&emission)?;
                    self.look(&emission)?;
                    at = at.wrapping_add(length);
                }
            }
            ">" => return self.expect(rest),
            verb if verb.starts_with(">@") => return self.expect(rest),
            "write" => {
                let count: usize = number(one()?)?;
                let wrote = self.connection.write(&bytes(self.written, count));
                self.written = self.written.wrapping_add(wrote as u32);
                let wanted = rest.get(1).map_or(Ok(count), |it| number(it))?;
                if wrote != wanted {
                    return Err(format!("wrote {wrote}"));
                }
            }
            "read" => {
                let count: usize = number(one()?)?;
                let mut to = std::vec![0; count + 1];
                let mut got = self.connection.peek(&mut to);
                if got >= count {
                    to.truncate(count);
                    got = self.connection.read(&mut to, self.now);
                }
                if got != count || to[..got] != bytes(self.read, count) {
                    return Err(format!("read {got}"));
                }
                self.read = self.read.wrapping_add(count as u32);
            }
            "readable" => {
                let count = self.connection.readable();
                if count != number::<usize>(one()?)? {
                    return Err(format!("{count} can be read"));
                }
            }
            "finished" | "unfinished" => {
                if self.connection.is_finished() != (*verb == "finished") {
                    return Err("the end".to_string());
                }
            }
            "arrived" | "lost" => {
                if self.connection.has_arrived() != (*verb == "arrived") {
                    return Err("whether all has arrived".to_string());
                }
            }
            "state" => {
                if self.state() != one()? {
                    return Err(format!("in {}", self.state()));
                }
            }
            "memory" => {
                if self.pool.used() != number::<usize>(one()?)? {
                    return Err(format!("{} bytes of memory", self.pool.used()));
                }
            }
            "close" => self.connection.close(),
            "abort" => self.connection.abort(),
            "nodelay" => self.connection.set_no_delay(true),
            "keepalive" => {
                let idle = Duration::from_secs(number(one()?)?);
                self.connection.set_keep_alive(Some(idle), self.now);
            }
            "usertimeout" => {
                let idle = Duration::from_secs(number(one()?)?);
                self.connection.set_user_timeout(Some(idle));
            }
            "share" => self.connection.set_share(number(one()?)?),
            "pmtu" => {
                let seq = relative(rest.get(1).ok_or("no number")?)?;
                let _ = self.connection.path_mss(number(one()?)?, self.iss + seq);
            }
            "path" => self.connection.know_path(number(one()?)?),
            "gives" => {
                let seq = self.irs + relative(one()?)?;
                let stamp = rest.get(2).copied().map(relative).transpose()?;
                let stamp = stamp.map(|it| it.wrapping_add(self.peer_stamp));
                let gives = self.connection.rest().is_some_and(|it| it.gives_way_to(seq, stamp));
                if rest.get(1) != Some(&if gives { "way" } else { "none" }) {
                    return Err(format!("gives way: {gives}"));
                }
            }
            "wait" => {
                let until = self.now.saturating_add(Duration::from_millis(number(one()?)?));
                while self.sent.is_empty() && self.advance(Some(until))? {}
                if self.sent.is_empty() {
                    self.now = until;
                } else {
                    let passed = self.passed(self.since);
                    let emission = self.take()?;
                    return Err(format!("sent after {passed} ms: {}", tell(self, &emission)));
                }
            }
            _ => return Err(format!("{verb:?} is not known")),
        }
        self.drain()
    }

    fn expect(&mut self, words: &[&str]) -> Outcome {
        let said = Said::read(words)?;
        let emission = self.take()?;
        self.check_payload(&emission)?;
        self.compare(&emission, &said)?;
        self.look(&emission)
    }
}
