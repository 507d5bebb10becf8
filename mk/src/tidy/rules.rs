//! What every driver holds against its peer, and a check that each rule has a
//! test that is named after it: `..._n7`, `..._r3_r4`.
//!
//! The peer is another domain, and nothing that it writes is trusted: not
//! shared memory, not xenstore, not an event. A class of devices gets its rules
//! here together with its driver.

use super::Finding;
use super::source::tests;

/// The rules, by letter: R for all rings, G grants, E event channels, X xenstore
/// and xenbus, K the console, N network interfaces, B block devices.
const RULES: &[(&str, &str)] = &[
    ("R1", "A slot is copied once, whole; then the copy is judged."),
    (
        "R2",
        "The producer's index is loaded once (acquire), published with release, and a full \
            barrier stands before the look at the event index.",
    ),
    ("R3", "The indices are at most a ring apart, in wrapping arithmetic."),
    ("R4", "A producer never goes back."),
    ("R5", "Own indices, ids and free lists are private, and never read back."),
    ("R6", "An id is in range, in flight, and answered once."),
    (
        "R7",
        "A violation breaks the device: its ports are masked, who waits gets an error within \
            100 ms, one line is logged, and it is counted.",
    ),
    ("R8", "Nothing that a peer says leads to a panic, a bad index or an overflow."),
    ("R9", "A poll does a bounded amount of work, and then yields."),
    ("R10", "Nothing of what was in a slot before is left in it."),
    ("R11", "It works when indices wrap around."),
    ("R12", "Pages, references, ports, watches and ids are all given back."),
    ("R13", "After asking for an event, one looks once more."),
    ("R14", "The end may come twice and at any time, and what comes late does nothing."),
    ("G1", "Only pages that a driver has for this are lent."),
    ("G2", "A page is zeroed before it is lent, and scrubbed afterwards."),
    ("G3", "What a peer only reads, it cannot write."),
    ("G4", "Lending ends by compare-and-exchange; a page that is in use goes into quarantine."),
    ("G5", "Quarantine is bounded: when it is full the device stops, and the guest lives."),
    ("G6", "A full table is an error."),
    ("G7", "A page is lent to the domain that was read when the device connected."),
    ("G8", "Reserved entries stay untouched."),
    ("G9", "Everything is lent anew after a resume."),
    ("E1", "An unknown port is masked, counted and ignored."),
    ("E2", "An event that comes while one is handled is not lost."),
    ("E3", "A storm of events does not starve the app."),
    ("E4", "All ports with news get their turn."),
    ("E5", "Nothing allocates or logs in the upcall."),
    ("E6", "Events for nothing are harmless at any time."),
    ("E7", "A lost event is found by a look now and then."),
    ("E8", "A port that the peer closed leads to a new connection, not to a hang."),
    ("X1", "A payload of more than 4096 bytes is an error."),
    ("X2", "A reply has the number, type and transaction of a request, or is dropped."),
    ("X3", "The ring's indices are judged."),
    ("X4", "Messages may be split anywhere."),
    ("X5", "The ring's indices may begin anywhere."),
    ("X6", "A watch's event is two strings, about a path below the watch, for a known token."),
    ("X7", "At most one event of a watch is remembered."),
    ("X8", "A number is strict decimal in its range, or the default."),
    ("X9", "Values are bytes."),
    ("X10", "Every wait has a deadline or can be given up."),
    ("X11", "A transaction is tried a bounded number of times."),
    ("X12", "Any state may follow any other, be unknown, flap, or vanish."),
    ("X13", "What stands in our own folder is not believed later."),
    ("X14", "Requests of the toolstack are known words, or ignored."),
    ("X15", "The ring's words for a lost connection and for an error are obeyed."),
    ("K1", "Indices further apart than the ring is long end its use."),
    ("K2", "A line never waits: without room it is dropped and counted."),
    ("K3", "Lines that a peer causes are limited in number."),
    ("K4", "Own indices are private."),
    ("K5", "Control characters in what others sent are escaped."),
    ("K8", "Input is bounded."),
    ("N1", "A received piece has a size, and lies in its page."),
    ("N2", "A response has the id that was posted in its slot."),
    ("N3", "A chain has at most 18 slots, and one that does not end is dropped."),
    ("N4", "Extra slots are of a known type, few, and only come when agreed on."),
    ("N5", "Segments are not of 0 bytes."),
    ("N6", "A frame has at least 14 bytes."),
    ("N7", "A response that is an error gives the buffer back, both ways."),
    ("N8", "A frame is copied before it is looked at."),
    ("N9", "What a frame says about its checksum is a claim of the peer."),
    (
        "N10",
        "A transmitted frame has its header in the first slot, no empty slot, sizes that add \
             up, and ids that only a response frees.",
    ),
    ("N11", "A transmitter that is stuck for 5 s is reset."),
    ("N12", "Pages to receive into stay posted; those that could not be had are tried again."),
    ("N13", "MAC, MTU and numbers of queues are parsed, with ranges."),
    ("N16", "It comes and goes, again and again, and leaks nothing."),
    ("N17", "A flood is dropped at the ring, and the app has its turns."),
    ("B1", "A response names the operation that was asked for."),
    ("B2", "A status that there is not is an error."),
    ("B3", "A disk's size makes sense, and what it has lost at its end is out of range."),
    ("B4", "What can only be read is not asked to write."),
    ("B5", "Segments lie in their pages, are of whole sectors, and at most 256."),
    ("B6", "What was read is copied once, and then the caller's own."),
    ("B7", "What is not written of a page that is, is zeros."),
    (
        "B8",
        "A flush is well only if the back end said so of one that came after all writes that it \
            is for; without support it is an error.",
    ),
    ("B9", "A write that failed is told by the next flush."),
    ("B10", "A request that takes 30 s breaks the disk, and what is answered later is nobody's."),
    ("B11", "On a new connection what was not answered is asked again, in order and first."),
    ("B13", "Only what is offered and aligned is discarded."),
];

/// Rules about what there is not, and why.
const WITHOUT: &[(&str, &str)] = &[
    (
        "E5",
        "events are taken between tasks; the watchdog's upcall has words of its own (ARCHITECTURE.md)",
    ),
    ("G9", "a domain is not suspended yet: the toolstack is told so by a missing feature"),
];

/// Finds rules without a test, and tests of rules that there are not.
pub(super) fn check<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
    let here = "mk/src/tidy/rules.rs";
    let (mut findings, mut tested) = (Vec::new(), Vec::new());
    for (file, content) in files {
        for (name, line) in tests(content) {
            for rule in named(&name) {
                if RULES.iter().all(|(known, _)| *known != rule) {
                    let what = format!("{name} tests rule {rule}, which {here} does not have");
                    findings.push(Finding::new(file, line, what));
                }
                tested.push(rule);
            }
        }
    }
    for (rule, text) in RULES {
        let is_without = WITHOUT.iter().any(|(without, _)| without == rule);
        let what = match (tested.iter().any(|it| it == rule), is_without) {
            (false, false) => "has no test: name one after it",
            (true, true) => "has a test: it need not stand in WITHOUT any more",
            _ => continue,
        };
        let end = rule.to_lowercase();
        findings.push(Finding::new(here, None, format!("rule {rule} {what} (..._{end}): {text}")));
    }
    findings
}

/// The rules at the end of a test's name, as far as their letter is one of ours.
fn named(test: &str) -> Vec<String> {
    let is_rule = |part: &&str| {
        let digits = part.get(1..).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts = test.rsplit('_').take_while(is_rule).map(str::to_uppercase);
    parts.filter(|rule| RULES.iter().any(|(known, _)| known[..1] == rule[..1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_at_the_end_of_a_name() {
        assert_eq!(named("it_breaks_r3_n10"), ["N10", "R3"]);
        assert_eq!(named("n1_is_not_at_the_end"), [""; 0]);
        assert_eq!(named("a_rule_of_another_list_s5"), [""; 0]);
        assert_eq!(named("ipv6_over_ipv4"), [""; 0]);
    }

    #[test]
    fn a_rule_without_a_test_is_found_and_a_test_without_a_rule() {
        let all: String = RULES
            .iter()
            .filter(|(rule, _)| WITHOUT.iter().all(|(without, _)| without != rule))
            .map(|(rule, _)| format!("#[test]\nfn it_holds_{}() {{}}\n", rule.to_lowercase()))
            .collect();
        let said = |content: &str| {
            let findings = check([("a.rs", content)].into_iter());
            findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(&all), [""; 0]);
        let missing = said(&all.replace("holds_n7", "holds"));
        assert!(missing.len() == 1 && missing[0].contains("rule N7 has no test"), "{missing:?}");
        let untested = said(&all.replace("#[test]\nfn it_holds_n7", "fn it_holds_n7"));
        assert_eq!(untested.len(), 1, "only a test counts");
        let more = said(&format!("{all}#[test]\n#[should_panic]\nfn more_n99_e5() {{}}\n"));
        assert!(more.len() == 2 && more[0].starts_with("a.rs:"), "{more:?}");
    }
}
