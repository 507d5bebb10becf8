//! The rules of distrust: what drivers hold against their peers, one table, and the checks
//! that keep it true. Each rule has a test named after it (`..._n7`, `..._r3_r4`), a comment
//! cites no rule that is not here, and the book's page shows what is here.
//!
//! The peer is another domain, a machine on the network, or the toolstack. Nothing that it
//! writes is trusted: not shared memory, not xenstore, not an event, not a frame. A device
//! class gets its rules here together with its driver.

use super::Finding;
use super::source::tests;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The book's page of these rules, which [`page`] writes.
pub(crate) const PAGE: &str = "docs/src/rules.md";

/// This file, as findings name it.
const HERE: &str = "mk/src/tidy/rules.rs";

/// What each letter stands for.
const LETTERS: &[(char, &str)] = &[
    ('R', "All rings"),
    ('G', "Grants"),
    ('E', "Event channels"),
    ('X', "Xenstore and xenbus"),
    ('K', "The console"),
    ('N', "Network interfaces (netfront)"),
    ('B', "Block devices (blkfront)"),
    ('S', "Boot, time, memory and randomness"),
    ('T', "The network: whoever can send a frame or open a connection"),
];

/// The rules, in the order of [`LETTERS`].
const RULES: &[(&str, &str)] = &[
    ("R1", "A slot is copied once, as a whole, and only the copy is validated and used."),
    (
        "R2",
        "The producer index is loaded once with acquire ordering and published with release \
         ordering; a full barrier separates publishing from reading the peer's event index.",
    ),
    (
        "R3",
        "Producer minus consumer, in wrapping arithmetic, never exceeds the ring size; if it \
         does, the ring is broken.",
    ),
    ("R4", "A producer index never moves backwards."),
    (
        "R5",
        "Our own indices, ids and free lists live in private memory and are never read back \
         from a shared page.",
    ),
    ("R6", "A response's id must be in range and in flight, and each id is answered once."),
    (
        "R7",
        "A protocol violation breaks the device: its ports are masked, every waiter gets an \
         error within 100 ms, one line is logged, and a counter is incremented.",
    ),
    (
        "R8",
        "No value supplied by a peer causes a panic, an out-of-bounds index or an arithmetic \
         overflow.",
    ),
    ("R9", "Each poll has a work budget and yields when it is used up."),
    ("R10", "A slot is cleared before it is filled, so no old bytes reach the peer."),
    ("R11", "Rings keep working when their 32-bit indices wrap."),
    ("R12", "Closing a device returns every page, grant reference, port, watch and id."),
    ("R13", "After requesting an event, the ring is checked once more before waiting."),
    ("R14", "Teardown may run twice and at any time; a callback that arrives later does nothing."),
    ("G1", "Only pages that a driver allocated for I/O are granted."),
    ("G2", "A page is zeroed before it is granted and scrubbed after the grant ends."),
    ("G3", "Data that the peer only reads is granted read-only."),
    (
        "G4",
        "A grant is revoked by compare-and-exchange; a page still in use goes into quarantine \
         with its reference and is not reused.",
    ),
    (
        "G5",
        "The quarantine is bounded, for each domain by memory. When it is full that domain's devices stop; the guest \
         keeps running.",
    ),
    ("G6", "A full grant table is an error, not a panic."),
    (
        "G7",
        "Pages are granted to the domain id that was read when the device connected, to no \
         other.",
    ),
    ("G8", "The reserved entries of the grant table are never touched."),
    ("G9", "After a resume every page is granted again."),
    ("E1", "An unknown port is masked, counted and ignored."),
    ("E2", "An event that arrives while an earlier one is being handled is not lost."),
    ("E3", "An event storm does not starve the app."),
    ("E4", "The scan is fair: every pending port gets its turn."),
    ("E5", "The event upcall neither allocates nor logs."),
    ("E6", "Spurious events are harmless at any time."),
    ("E7", "A lost event is found by a slow periodic poll while requests are in flight."),
    ("E8", "A port closed by the peer leads to a reconnect, not to a hang."),
    ("X1", "A xenstore payload of more than 4096 bytes is an error."),
    (
        "X2",
        "A reply must match the id, type and transaction of a pending request; otherwise it \
         is dropped and counted.",
    ),
    ("X3", "The indices of the xenstore ring are validated."),
    ("X4", "A message may be split at any byte, including where the ring wraps."),
    ("X5", "The indices of the xenstore ring may start at any value."),
    (
        "X6",
        "A watch event is two strings: a path below the watch and a known token. Any other is \
         dropped.",
    ),
    ("X7", "At most one event is kept pending for each watch."),
    (
        "X8",
        "A number is parsed as strict decimal within the range of its key; a missing node \
         yields the default.",
    ),
    ("X9", "Values are bytes, not text."),
    ("X10", "Every wait has a deadline or can be cancelled."),
    ("X11", "A transaction is retried a bounded number of times."),
    ("X12", "Back end states may come in any order, be unknown, flap or vanish."),
    ("X13", "What was written to our own xenstore directory is not trusted when read back."),
    ("X14", "Toolstack requests other than the known words are ignored."),
    ("X15", "The ring's reconnect and error words are obeyed."),
    ("K1", "Console indices further apart than the ring size end the use of the console."),
    ("K2", "Printing never blocks: output that does not fit is dropped and counted."),
    ("K3", "Log lines that a peer can cause are rate limited."),
    ("K4", "The console's own indices are private."),
    ("K5", "Control characters in untrusted strings are escaped before they are printed."),
    ("K8", "Input is bounded."),
    ("N1", "A receive response has a positive size, and offset plus size stay within the page."),
    ("N2", "A response carries the id that was posted in its slot."),
    ("N3", "A frame spans at most 18 slots; a chain without an end is dropped."),
    ("N4", "Extra info slots are of a known type, few, and accepted only if negotiated."),
    ("N5", "A GSO segment size is never 0."),
    ("N6", "A frame has at least 14 bytes, an Ethernet header."),
    ("N7", "An error response returns its buffer, on receive and on transmit."),
    (
        "N8",
        "What is parsed of a frame is copied out of the shared page first, and no byte is read twice.",
    ),
    ("N9", "Checksum flags are claims by the peer, not facts."),
    (
        "N10",
        "A transmitted frame has its headers in the first slot, no empty slot, and sizes that \
         add up; an id is freed only by its response.",
    ),
    (
        "N11",
        "A transmitter without progress for 5 s is reset; the time doubles while resets bring no response.",
    ),
    ("N12", "Receive requests stay posted; if pages run out, the refill is retried later."),
    ("N13", "MAC, MTU and queue counts are parsed within ranges."),
    ("N16", "An interface may be detached and attached any number of times without a leak."),
    ("N17", "A flood is dropped at the ring, and the app keeps being scheduled."),
    ("B1", "A response echoes the operation that was requested."),
    ("B2", "An unknown status is an error."),
    (
        "B3",
        "Sector size and capacity are plausible; after a shrink, access beyond the new end \
         fails.",
    ),
    ("B4", "A write to a read-only disk is refused locally."),
    (
        "B5",
        "Segments lie within their pages, cover whole sectors, and number at most 256 per \
         request.",
    ),
    ("B6", "Read data is copied out once; the caller gets a private copy."),
    ("B7", "The part of a page that a write does not fill is zeroed."),
    (
        "B8",
        "`flush` succeeds only if the back end acknowledged a flush that was issued after \
         every write it covers had been answered. If the back end cannot flush, it fails.",
    ),
    ("B9", "A failed write is reported by the next flush."),
    (
        "B10",
        "A request unanswered for 30 s, or 120 s beside a flush or a discard, fails, and the disk is connected again; \
         a later answer to it is ignored.",
    ),
    (
        "B11",
        "After a reconnect, unanswered requests are issued again, in order and before new \
         ones.",
    ),
    ("B13", "Discard is issued only if the back end offers it, and only for aligned ranges."),
    ("S1", "Start info, command line and ELF notes are validated before use."),
    (
        "S2",
        "Every initial mapping is re-protected: code is executable and read-only, data is \
         never executable, page 0 is unmapped.",
    ),
    ("S3", "The monotonic clock never goes back."),
    ("S4", "Reading a versioned time record retries a bounded number of times."),
    (
        "S5",
        "Without a seed every request for randomness fails. TCP sequence numbers, ports and \
         DNS ids come from the seeded generator alone.",
    ),
    (
        "S7",
        "A stack overflow, a null access or exhausted memory ends in one clear line and a \
         crash code.",
    ),
    (
        "S8",
        "Part of the memory is held back for work in progress: new work is refused before it \
         runs out.",
    ),
    (
        "T1",
        "No frame of any content causes a panic, and none is answered to an address that must \
         not be answered (broadcast, multicast, our own).",
    ),
    ("T2", "No destination, neighbor or connection delays another."),
    (
        "T3",
        "What a peer can make us remember is bounded in number and time; beyond the bound the \
         idlest entry is evicted.",
    ),
    ("T4", "Data outside the announced receive window is discarded."),
    ("T5", "Retries have a minimum interval that grows, and what they log is rate limited."),
    ("T6", "Numbers that a peer should not guess come from a cryptographic generator."),
    (
        "T7",
        "A server closes idle connections to make room for new ones, and gives each phase of \
         a request a deadline and each body a minimum rate.",
    ),
    (
        "T8",
        "What one request can make a server hold is charged against a budget before it is \
         allocated.",
    ),
];

/// Rules that test guests hold on real Xen (`tests/src/bin/NAME.rs`), besides or instead of
/// tests named after them.
const GUESTS: &[(&str, &[&str])] = &[
    ("S2", &["protection", "memory"]),
    ("S3", &["monotonic"]),
    ("S7", &["trap", "fault", "out_of_memory"]),
];

/// Rules without a test, and why they need none.
const WITHOUT: &[(&str, &str)] = &[(
    "E5",
    "events are taken between tasks; the watchdog's upcall has a code path of its own, see \
         ARCHITECTURE.md",
)];

/// Tests by the rule that they are named after.
type Tested<'a> = BTreeMap<&'a str, BTreeSet<String>>;

/// Finds rules without a test, tests and comments of rules that do not exist, and a page of
/// the book that differs from what [`page`] writes; `files` are all `.rs` and `.md` files.
pub(super) fn check<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    shown: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, content) in files.clone() {
        for (rule, line) in cited(content).into_iter().filter(|(rule, _)| text(rule).is_none()) {
            let what = format!("it cites rule {rule}, which {HERE} does not define");
            findings.push(Finding::new(file, line, what));
        }
        for (name, line) in rust_tests(file, content) {
            for rule in named(&name).into_iter().filter(|rule| text(rule).is_none()) {
                let what = format!("{name} tests rule {rule}, which {HERE} does not define");
                findings.push(Finding::new(file, line, what));
            }
        }
    }
    let tested = tested(files.clone());
    for (rule, text) in RULES {
        let is_excused = excuse(rule).is_some();
        let what = match (tested.contains_key(rule), is_excused || guests(rule).is_some()) {
            (false, false) => "has no test: name one after it",
            (true, _) if is_excused => "has a test: remove it from WITHOUT",
            _ => continue,
        };
        let end = rule.to_lowercase();
        findings.push(Finding::new(HERE, None, format!("rule {rule} {what} (..._{end}): {text}")));
    }
    for guest in GUESTS.iter().flat_map(|(_, guests)| *guests) {
        let path = format!("tests/src/bin/{guest}.rs");
        if files.clone().all(|(file, _)| file != path) {
            findings.push(Finding::new(HERE, None, format!("GUESTS names {path}, which is gone")));
        }
    }
    if page(files) != shown {
        let what = "it differs from the rules and their tests: run `cargo mk tidy --write`";
        findings.push(Finding::new(PAGE, None, what));
    }
    findings
}

/// Writes the book's page: each rule, and the tests that are named after it.
pub(crate) fn page<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let tested = tested(files);
    let mut page = format!(
        "<!-- Written by `cargo mk tidy --write` from {HERE}: change it there. -->\n\n\
         # Rules of distrust\n\n\
         What drivers and protocols hold against their peers. Tests that prove a rule end in its\n\
         number, such as `..._n7`; comments cite it as \u{201c}rule N7\u{201d}. `cargo mk tidy` refuses a rule\n\
         without a test and a citation of a rule that is not here.\n"
    );
    for (letter, title) in LETTERS {
        let _ = write!(
            page,
            "\n## {letter}: {title}\n\n| Rule | What holds | Shown by |\n|---|---|---|\n"
        );
        for (rule, text) in RULES.iter().filter(|(rule, _)| rule.starts_with(*letter)) {
            let tests = tested.get(rule).into_iter().flatten().map(|test| format!("`{test}`"));
            let guests = guests(rule).into_iter().flatten();
            let guests = guests.map(|guest| format!("guest `{guest}` on Xen"));
            let mut proofs: Vec<_> = tests.chain(guests).collect();
            proofs.extend(excuse(rule).map(|why| format!("no test: {why}")));
            let _ = writeln!(page, "| {rule} | {text} | {} |", proofs.join("<br>"));
        }
    }
    page
}

/// What rule `rule` says.
fn text(rule: &str) -> Option<&'static str> {
    RULES.iter().find(|(known, _)| *known == rule).map(|(_, text)| *text)
}

/// The guests that hold `rule` on Xen.
fn guests(rule: &str) -> Option<&'static [&'static str]> {
    GUESTS.iter().find(|(known, _)| *known == rule).map(|(_, guests)| *guests)
}

/// Why `rule` needs no test.
fn excuse(rule: &str) -> Option<&'static str> {
    WITHOUT.iter().find(|(known, _)| *known == rule).map(|(_, why)| *why)
}

/// The tests of a Rust file, with their lines.
fn rust_tests(file: &str, content: &str) -> Vec<(String, usize)> {
    if file.ends_with(".rs") { tests(content) } else { Vec::new() }
}

/// The tests of each rule.
fn tested<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Tested<'static> {
    let mut tested = Tested::new();
    for (name, _) in files.flat_map(|(file, content)| rust_tests(file, content)) {
        for rule in named(&name) {
            if let Some((rule, _)) = RULES.iter().find(|(known, _)| *known == rule) {
                tested.entry(rule).or_default().insert(name.clone());
            }
        }
    }
    tested
}

/// Whether `word` looks like a rule's number, such as `N7`.
fn is_number(word: &str) -> bool {
    let (letter, digits) = word.split_at_checked(1).unwrap_or_default();
    letter.bytes().all(|byte| byte.is_ascii_uppercase())
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The rules that a text cites, as in "(rule N7)" and "rules T5 and K3", with their lines.
fn cited(content: &str) -> Vec<(&str, usize)> {
    let mut cited = Vec::new();
    // A citation may go on in the next line, behind the signs of a comment.
    let mut citing = false;
    for (line, number) in content.lines().zip(1..) {
        for word in line.split_whitespace() {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            match bare {
                "rule" | "rules" => citing = true,
                rule if citing && is_number(rule) => {
                    cited.push((rule, number));
                    citing = !word.ends_with([')', '.', ';', ':']);
                }
                "and" | "or" | "" => {}
                _ => citing = false,
            }
        }
    }
    cited
}

/// The rules at the end of a test's name, as far as their letter is one of ours.
fn named(test: &str) -> Vec<String> {
    let parts = test.rsplit('_').map(str::to_uppercase).take_while(|part| is_number(part));
    parts.filter(|rule| LETTERS.iter().any(|(letter, _)| rule.starts_with(*letter))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_at_the_end_of_a_name() {
        assert_eq!(named("it_breaks_r3_n10"), ["N10", "R3"]);
        assert_eq!(named("n1_is_not_at_the_end"), [""; 0]);
        assert_eq!(named("no_letter_of_ours_z5"), [""; 0]);
        assert_eq!(named("ipv6_over_ipv4"), [""; 0]);
    }

    #[test]
    fn citations_are_found_across_lines() {
        let text =
            concat!("/// a (ru", "le N7).\n/// ru", "les T5\n/// and K3. K9\n// a rule of thumb");
        assert_eq!(cited(text), [("N7", 1), ("T5", 2), ("K3", 3)]);
        let unknown = concat!("//! It never goes back (ru", "le Z3).");
        let findings = check([("a.rs", unknown)].into_iter(), "");
        let cites =
            |it: &&Finding| it.file == "a.rs" && it.what.contains(concat!("cites ru", "le Z3"));
        assert_eq!(findings.iter().filter(cites).count(), 1, "{findings:?}");
    }

    #[test]
    fn each_rule_has_a_known_letter_once() {
        let mut seen = BTreeSet::new();
        for (rule, text) in RULES {
            assert!(is_number(rule) && seen.insert(rule), "{rule}");
            assert!(LETTERS.iter().any(|(letter, _)| rule.starts_with(*letter)), "{rule}");
            assert!(text.ends_with('.') && !text.contains('|'), "{text}");
        }
        let others =
            GUESTS.iter().map(|(rule, _)| rule).chain(WITHOUT.iter().map(|(rule, _)| rule));
        assert!(others.into_iter().all(|rule| text(rule).is_some()));
    }

    #[test]
    fn a_rule_without_a_test_is_found_and_a_test_without_a_rule() {
        let all: String = RULES
            .iter()
            .filter(|(rule, _)| excuse(rule).is_none())
            .map(|(rule, _)| format!("#[test]\nfn it_holds_{}() {{}}\n", rule.to_lowercase()))
            .collect();
        let said = |content: &str| {
            let guests = GUESTS.iter().flat_map(|(_, guests)| *guests);
            let guests: Vec<_> = guests.map(|it| format!("tests/src/bin/{it}.rs")).collect();
            let files = guests.iter().map(|it| (it.as_str(), "")).chain([("a.rs", content)]);
            let findings = check(files.clone(), &page(files));
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

    #[test]
    fn a_page_that_is_stale_is_found() {
        let files = [("a.rs", "#[test]\nfn it_holds_n7() {}")];
        let page = page(files.into_iter());
        assert!(page.contains("| `it_holds_n7` |"), "{page}");
        let stale = |shown: &str| check(files.into_iter(), shown).iter().any(|it| it.file == PAGE);
        assert!(!stale(&page) && stale(&page.replace("it_holds", "it_held")));
    }
}
