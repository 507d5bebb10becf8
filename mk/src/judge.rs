//! Whether a test guest did what is expected of it.

use crate::directives::{Expect, Run, Then};
use crate::ending::Ending;
use lab::Reason;

/// What a guest did.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// How it ended; nothing when it still ran at the time limit.
    pub(crate) ending: Option<Ending>,
    /// All of its console, with plain line feeds.
    pub(crate) console: String,
    /// What the hypervisor said of it.
    pub(crate) hypervisor: String,
    /// What it died of, where it could not say that itself.
    pub(crate) explanation: Option<String>,
}

/// What is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Skip(String),
    Fail(String),
    /// It crashed, and should not have.
    Crash(String),
}

/// Judges `outcome` by what `run` expects.
pub(crate) fn judge(run: &Run, outcome: &Outcome) -> Verdict {
    let own = outcome.console.lines().rev().find_map(|line| line.strip_prefix("verdict: "));
    let (own, reason) = own.map_or(("", ""), |own| own.split_once(' ').unwrap_or((own, "")));
    match own {
        "fail" => return Verdict::Fail(reason.to_owned()),
        "skip" => return Verdict::Skip(reason.to_owned()),
        _ => {}
    }
    if let Err(verdict) = ended_well(run, outcome) {
        return verdict;
    }
    for text in &run.contains {
        if !outcome.console.contains(text) {
            return Verdict::Fail(format!("the console does not contain {text:?}"));
        }
    }
    if let Some(count) = run.lines
        && let Err(why) = lines_arrived(&outcome.console, count)
    {
        return Verdict::Fail(why);
    }
    let judges = run.verdict && run.expect == Expect::Poweroff && run.clients.is_empty();
    if judges && own != "pass" {
        return Verdict::Fail("the guest gave no verdict".to_owned());
    }
    Verdict::Pass
}

/// Compares the end with the expected one.
fn ended_well(run: &Run, outcome: &Outcome) -> Result<(), Verdict> {
    let as_expected = match (&run.expect, outcome.ending) {
        (Expect::Poweroff, Some(Ending::Poweroff)) | (Expect::Timeout, None) => true,
        (Expect::Poweroff, Some(Ending::Crash(Reason::Destroyed))) => run.then == Then::Destroy,
        (Expect::Exit(expected), Some(Ending::Exit(status))) => *expected == status,
        (Expect::Watchdog, Some(Ending::Crash(Reason::Watchdog))) => true,
        (Expect::Crash(text), Some(Ending::Crash(_) | Ending::Exit(_))) => {
            let explanation = outcome.explanation.as_deref().unwrap_or_default();
            let said = [&outcome.console, &outcome.hypervisor, explanation];
            if !said.iter().any(|said| said.contains(text)) {
                return Err(Verdict::Fail(format!(
                    "neither the guest nor the hypervisor printed {text:?}"
                )));
            }
            true
        }
        _ => false,
    };
    if as_expected {
        return Ok(());
    }
    let expected = match &run.expect {
        Expect::Poweroff => "it should have powered off".to_owned(),
        Expect::Exit(status) => format!("it should have failed with exit status {status}"),
        Expect::Crash(_) => "it should have crashed".to_owned(),
        Expect::Watchdog => "its watchdog should have ended it".to_owned(),
        Expect::Timeout => "it should still be running".to_owned(),
    };
    Err(match outcome.ending {
        None => {
            let limit = run.timeout.as_secs();
            Verdict::Fail(format!("it was still running after {limit} s; {expected}"))
        }
        Some(ending @ Ending::Crash(_)) => {
            Verdict::Crash(format!("it {}; {expected}", ending.shown()))
        }
        Some(ending) => Verdict::Fail(format!("it {}; {expected}", ending.shown())),
    })
}

/// Compares the console's first lines with those that the guest should send.
fn lines_arrived(console: &str, count: u32) -> Result<(), String> {
    let mut lines = console.split_inclusive('\n');
    for number in 0..count {
        let expected = line(number);
        match lines.next() {
            Some(line) if line == expected => {}
            Some(line) => return Err(format!("line {number} is {line:?}, not {expected:?}")),
            None => return Err(format!("the console ends before line {number} of {count}")),
        }
    }
    Ok(())
}

/// Line `number` of the sequence, as `tests::line` makes it: the number, then
/// characters by the linear congruential generator of `rand48`.
fn line(number: u32) -> String {
    const CHARACTERS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut line = format!("{number:05} ");
    let mut state = u64::from(number) << 16 | 0x330E;
    while line.len() < 63 {
        state = state.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & 0xFFFF_FFFF_FFFF;
        line.push(CHARACTERS[(state >> 42) as usize & 63].into());
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directives::{Script, default_run};

    fn outcome(ending: Option<Ending>, console: &str) -> Outcome {
        let hypervisor = "(XEN) d1v0 Unhandled: vec 6, #UD".to_owned();
        let explanation = Some("stack overflow".to_owned());
        Outcome { ending, console: console.to_owned(), hypervisor, explanation }
    }

    fn judged(change: impl FnOnce(&mut Run), ending: Option<Ending>, console: &str) -> Verdict {
        let mut run = default_run();
        change(&mut run);
        judge(&run, &outcome(ending, console))
    }

    fn fails(verdict: &Verdict, with: &str) {
        let (Verdict::Fail(why) | Verdict::Crash(why)) = verdict else { panic!("{verdict:?}") };
        assert!(why.contains(with), "{why}");
    }

    const OFF: Option<Ending> = Some(Ending::Poweroff);

    #[test]
    fn a_guest_judges_itself() {
        assert_eq!(judged(|_| {}, OFF, "a\nverdict: pass\n"), Verdict::Pass);
        assert_eq!(judged(|_| {}, OFF, "verdict: skip no disk\n"), Verdict::Skip("no disk".into()));
        fails(&judged(|_| {}, Some(Ending::Exit(1)), "verdict: fail 1 is 2\n"), "1 is 2");
        fails(&judged(|_| {}, OFF, "hello\n"), "gave no verdict");
        assert_eq!(judged(|run| run.verdict = false, OFF, "hello\n"), Verdict::Pass);
    }

    #[test]
    fn clients_judge_in_the_guest_s_place() {
        let client = |run: &mut Run| run.clients.push(Script::Text("true".into()));
        assert_eq!(judged(client, OFF, ""), Verdict::Pass);
        fails(&judged(client, OFF, "verdict: fail 1 is 2\n"), "1 is 2");
        let destroyed = Some(Ending::Crash(Reason::Destroyed));
        fails(&judged(client, destroyed, ""), "it should have powered off");
        let destroy = |run: &mut Run| {
            client(run);
            run.then = Then::Destroy;
        };
        assert_eq!(judged(destroy, destroyed, ""), Verdict::Pass);
    }

    #[test]
    fn the_end_must_be_the_expected_one() {
        let crash = Some(Ending::Crash(Reason::Crash));
        let expect = |expect: Expect| move |run: &mut Run| run.expect = expect;
        let verdict = judged(|_| {}, crash, "");
        assert!(matches!(verdict, Verdict::Crash(_)), "{verdict:?}");
        fails(
            &judged(|_| {}, None, ""),
            "was still running after 30 s; it should have powered off",
        );
        assert_eq!(judged(expect(Expect::Exit(3)), Some(Ending::Exit(3)), ""), Verdict::Pass);
        fails(&judged(expect(Expect::Exit(3)), Some(Ending::Exit(4)), ""), "exit status 4; it sh");
        fails(&judged(expect(Expect::Exit(3)), OFF, ""), "it powered off; it should have failed");
        assert_eq!(judged(expect(Expect::Crash("vec 6".into())), crash, ""), Verdict::Pass);
        fails(&judged(expect(Expect::Crash("vec 9".into())), crash, ""), "printed \"vec 9\"");
        assert_eq!(judged(expect(Expect::Crash("stack over".into())), crash, ""), Verdict::Pass);
        assert_eq!(judged(expect(Expect::Timeout), None, ""), Verdict::Pass);
        let watchdog = Some(Ending::Crash(Reason::Watchdog));
        assert_eq!(judged(expect(Expect::Watchdog), watchdog, ""), Verdict::Pass);
        fails(&judged(expect(Expect::Watchdog), crash, ""), "watchdog should have ended it");
        fails(&judged(expect(Expect::Timeout), OFF, ""), "should still be running");
    }

    #[test]
    fn the_console_must_hold_what_it_should() {
        let pass = "a\nb\nverdict: pass\n";
        assert_eq!(judged(|run| run.contains.push("a\nb".into()), OFF, pass), Verdict::Pass);
        fails(&judged(|run| run.contains.push("z".into()), OFF, pass), "does not contain \"z\"");
    }

    #[test]
    fn every_line_must_arrive_unharmed() {
        let all: String = (0..50).map(line).collect::<String>() + "verdict: pass\n";
        let lines = |count| move |run: &mut Run| run.lines = Some(count);
        assert_eq!(judged(lines(50), OFF, &all), Verdict::Pass);
        fails(&judged(lines(51), OFF, &all), "line 50 is \"verdict: pass");
        fails(&judged(lines(50), OFF, &all.replace("00007 ", "00008 ")), "line 7 is");
        assert_eq!(line(0).len(), 64);
    }
}
