//! Segments that are sent: what a case says of them, and what they are.

use super::*;

impl Bench {
    /// Checks that a segment is as it should be.
    pub(super) fn compare(&mut self, emission: &Emission, said: &Said) -> Outcome {
        let head = &emission.head;
        let told = tell(self, emission);
        let wrong = |what: &str| Err(format!("{what}: {told}"));
        let care = if said.flags & PSH == 0 { !PSH } else { !0 };
        if head.flags & care != said.flags {
            return wrong("flags");
        }
        // A reset that answers an ACK has its number, and no own.
        if self.own(head.seq) != said.seq && !(head.seq == Seq(0) && said.seq == 0) {
            return wrong("number");
        }
        if emission.length as u32 != said.length {
            return wrong("length");
        }
        if head.flags & ACK != 0 && self.peers(head.ack) != said.ack.unwrap_or(self.ack) {
            return wrong("acknowledgement");
        }
        if said.win.is_some_and(|win| win != head.window) {
            return wrong("window");
        }
        let sack: Vec<_> = head
            .options
            .sack
            .iter()
            .map(|block| (self.peers(block.start), self.peers(block.end)))
            .collect();
        if sack != said.sack {
            return wrong("SACK");
        }
        let stamped = self.setup.ts || self.connection.state() == State::SynSent;
        if head.flags & RST == 0
            && head.flags & SYN == 0
            && head.options.stamps.is_some() != stamped
        {
            return wrong("timestamps");
        }
        if let (Some((value, echo)), Some((own, other))) = (said.stamps, head.options.stamps) {
            if value != own.wrapping_sub(self.stamp) {
                return wrong("timestamp");
            }
            if echo.is_some_and(|echo| echo != other.wrapping_sub(self.peer_stamp)) {
                return wrong("echo");
            }
        }
        let of_syn = head.options.mss == said.mss
            && head.options.scale == said.scale
            && head.options.sack_permitted == said.sack_permitted;
        let silent = said.mss.is_none() && head.flags & SYN != 0;
        if !of_syn && !silent {
            return wrong("options");
        }
        if said.ect.is_some_and(|ect| ect != emission.ecn) {
            return wrong("ECT");
        }
        Ok(())
    }
}

/// Says what a segment is, as tables do.
pub(super) fn tell(bench: &Bench, emission: &Emission) -> String {
    let head = &emission.head;
    let names = [(SYN, 'S'), (FIN, 'F'), (RST, 'R'), (PSH, 'P'), (ECE, 'E'), (CWR, 'W')];
    let mut flags: String = names
        .into_iter()
        .filter(|(flag, _)| head.flags & flag != 0)
        .map(|(_, name)| name)
        .collect();
    if head.flags & ACK != 0 {
        flags.push('.');
    }
    let seq = bench.own(head.seq).cast_signed();
    let mut told = format!("> {flags} {seq}:{}", seq.wrapping_add(emission.length as i32));
    if head.flags & ACK != 0 {
        told += &format!(" ack {}", bench.peers(head.ack).cast_signed());
    }
    told += &format!(" win {}", head.window);
    if let Some((value, echo)) = head.options.stamps {
        let value = value.wrapping_sub(bench.stamp).cast_signed();
        told += &format!(" ts {value}/{}", echo.wrapping_sub(bench.peer_stamp).cast_signed());
    }
    for block in &head.options.sack {
        told += &format!(" sack {}:{}", bench.peers(block.start), bench.peers(block.end));
    }
    if let Some(mss) = head.options.mss {
        told += &format!(" mss {mss}");
    }
    told
}
