//! What is expected of a guest: lines in the doc comment at the top of the
//! file that its `main` is in.
//!
//! ```text
//! test: expect poweroff                  the default
//! test: expect exit 3
//! test: expect crash "vec 6"             text of the console, of the hypervisor's message, or of
//!                                       what `cargo mk` makes of them, such as "stack overflow"
//! test: expect watchdog                 its watchdog ended it
//! test: expect timeout
//! test: args greeting="a b" port=80      the guest's command line
//! test: args-fill 1022                   so many bytes of it, the letter x at its end
//! test: memory 1                         MiB
//! test: xl cpuid="host,rdrand=0"         a line for `xl create`; any number of times
//! test: input "text\n"                   typed at its console once it runs
//! test: disk data=8M                    as `cargo mk run --disk`, files beside the source; any number
//! test: disk root=debian:redis-server,dash   Debian's packages with what they depend on, fetched
//!                                       once; `NAME-` leaves one out, `./FOLDER` beside the source
//!                                       is laid over them
//! test: disk dom0=debian:rsyslog        the same for dom0 alone: ROOT is the archive of it
//! test: program hello.c                 a program in C beside the source, which cc makes without
//!                                       shared libraries: /programs/hello in dom0; any number
//! test: dom0 "httpd -h /tmp"             a script in dom0, before there is the guest
//! test: with echo-server port=7          a guest beside it, created before; any number of times
//! test: with-when "text"                 the console of those says so before it is created
//! test: client "nc $IP 7"                a script in dom0, while the guest runs
//! test: client client.sh                 the same from a file
//! test: core-contains "text"             what `cargo mk symbolize --core` tells of its memory after
//!                                       the clients, or once it says so; any number of times
//! test: client-when "text"               the guest's console says so before clients run
//! test: client-then destroy              or `wait`: what becomes of it after them; else `shutdown`
//! test: cycles 10                        saved and restored so often while clients run
//! test: cycles 2 save copy migrate full  suspended in these ways one after the other, twice:
//!                                       `scripts/dom0/move` says what each is
//! test: timeout 20                       seconds, for the guest and for each script
//! test: console-contains "text\n"        quoted as in Rust; any number of times
//! test: console-lines 1000               the first lines are those that `tests::line` makes
//! test: no-verdict                       the guest does not judge itself
//! test: not-in-check                     `cargo mk test` runs it, and `cargo mk check` does not
//! test: long                             `cargo mk test --long` runs it, and nothing else does
//! test(big): memory 1024                 for the run `big` alone
//! test(big,small): timeout 20           for these two
//! ```
//!
//! With named runs, `test:` is for all of them; without, there is one run.
//!
//! Scripts run as by `sh -eu`, in the order in which they stand, and have to succeed.
//! Files are looked for beside the source and then beside the package's `Cargo.toml`.
//! What they leave in the background ends with the test. Clients find the guest by
//! the variables GUEST (the domain's number), NAME, IP, MAC, VIF and BRIDGE, with
//! IP1, MAC1, VIF1 and BRIDGE1 for a second interface, and those beside it by
//! WITH_GUEST and so on, then WITH2_GUEST; a script before the guest knows its IP,
//! which is 10.0.0.2, with 10.0.0.3 and on for those beside it. All scripts have the
//! files of the guest's disks as DISK, then DISK1, and what Xen calls them as VDEV.
//!
//! While a guest is taken through cycles, `cycling` is true for scripts: they work on for as long.
//! It is another domain then, so that they find it by NAME and IP, and not by GUEST or VIF.
//!
//! Clients, and the creation of a guest that others stand beside, wait until the
//! console says `listening` or `ready`, unless there is `-when`; `""` waits for
//! nothing. After the clients the guest is asked to shut down, destroyed, or left
//! to end by itself. Then it has to have ended as expected; it need not give a
//! verdict, and one that was destroyed is as good as one that powered off.

use crate::disk::{self, Given};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::time::Duration;

/// How long a guest may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Which command runs a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `cargo mk check`, and `cargo mk test`.
    Check,
    /// `cargo mk test`.
    Test,
    /// `cargo mk test --long`.
    Long,
}

/// One run of a guest, and what to expect of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// What it is called, if there are several.
    pub(crate) name: Option<String>,
    /// The command line.
    pub(crate) args: Option<String>,
    /// The domain's memory in MiB.
    pub(crate) memory: Option<u64>,
    /// More lines of the configuration.
    pub(crate) config: Vec<String>,
    /// What is typed at the console.
    pub(crate) input: Option<String>,
    /// Its disks.
    pub(crate) disks: Vec<Given>,
    /// Programs in C that dom0 has.
    pub(crate) programs: Vec<String>,
    /// What is run in dom0 before there is the guest.
    pub(crate) before: Vec<Script>,
    /// What is run in dom0 once the guest is ready.
    pub(crate) clients: Vec<Script>,
    /// Texts in what its memory then tells.
    pub(crate) core: Vec<String>,
    /// What the console says before that; something usual if nothing.
    pub(crate) client_when: Option<String>,
    pub(crate) then: Then,
    /// The suspensions that it is taken through meanwhile.
    pub(crate) cycles: Option<Cycles>,
    /// The guests beside it.
    pub(crate) with: Vec<With>,
    /// What their consoles say before the guest is created.
    pub(crate) with_when: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) expect: Expect,
    /// Texts that the console must hold.
    pub(crate) contains: Vec<String>,
    /// How many lines of the known sequence the console must begin with.
    pub(crate) lines: Option<u32>,
    /// Whether the guest's last line is its own verdict.
    pub(crate) verdict: bool,
    /// Which command runs it.
    pub(crate) part: Part,
}

/// A script for dom0's shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Text(String),
    /// The name of a file beside the package's manifest.
    File(String),
}

/// A guest beside the one that is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct With {
    pub(crate) app: String,
    /// Its command line.
    pub(crate) args: Option<String>,
}

/// Suspensions of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycles {
    pub(crate) count: u64,
    /// The ways, as words of `scripts/dom0/move`, each of which is gone `count` times.
    pub(crate) how: Vec<String>,
}

/// What becomes of a guest after its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is asked to shut down.
    Shutdown,
    Destroy,
    /// It ends by itself.
    Wait,
}

/// How a run should end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Poweroff,
    Exit(u8),
    Crash(String),
    Watchdog,
    Timeout,
}

impl Run {
    /// Whether dom0 needs a network for guests, and its tools.
    pub(crate) fn uses_network(&self) -> bool {
        !self.before.is_empty()
            || !self.disks.is_empty()
            || !self.programs.is_empty()
            || !self.clients.is_empty()
            || self.cycles.is_some()
            || !self.with.is_empty()
            || self.config.iter().any(|line| line.starts_with("vif"))
    }

    const fn new(verdict: bool) -> Self {
        Self {
            name: None,
            args: None,
            memory: None,
            config: Vec::new(),
            input: None,
            disks: Vec::new(),
            programs: Vec::new(),
            before: Vec::new(),
            clients: Vec::new(),
            core: Vec::new(),
            client_when: None,
            then: Then::Shutdown,
            cycles: None,
            with: Vec::new(),
            with_when: None,
            timeout: TIMEOUT,
            expect: Expect::Poweroff,
            contains: Vec::new(),
            lines: None,
            verdict,
            part: Part::Check,
        }
    }
}

/// A directive: its line's number, the run it is for, and the rest.
type Directive<'a> = (usize, Option<&'a str>, &'a str);

/// The runs that `source` asks for; `verdict` says whether guests of its kind
/// judge themselves. Without directives there are none.
///
/// # Errors
/// At the first directive that makes no sense, with its line.
pub(crate) fn parse(source: &str, verdict: bool) -> Result<Vec<Run>> {
    let directives = directives(source)?;
    let mut names: Vec<&str> = Vec::new();
    for &(_, name, _) in &directives {
        names.extend(name.filter(|name| !names.contains(name)));
    }
    let mut runs: Vec<Run> = match (names.is_empty(), directives.is_empty()) {
        (true, true) => return Ok(Vec::new()),
        (true, false) => vec![Run::new(verdict)],
        (false, _) => names
            .iter()
            .map(|&name| Run { name: Some(name.to_owned()), ..Run::new(verdict) })
            .collect(),
    };
    // What is for all comes first, so that a run's own word is the last.
    let (own, for_all): (Vec<&Directive<'_>>, Vec<_>) =
        directives.iter().partition(|(_, name, _)| name.is_some());
    for &&(line, name, text) in for_all.iter().chain(&own) {
        for run in &mut runs {
            if name.is_none() || run.name.as_deref() == name {
                apply(run, text).with_context(|| format!("line {line}: test: {text}"))?;
            }
        }
    }
    Ok(runs)
}

/// The one run of a test guest that says nothing.
pub(crate) const fn default_run() -> Run {
    Run::new(true)
}

fn directives(source: &str) -> Result<Vec<Directive<'_>>> {
    let mut directives = Vec::new();
    let comment = source.lines().zip(1..).take_while(|(line, _)| line.starts_with("//!"));
    for (line, number) in comment {
        let text = line.trim_start_matches("//!").trim();
        let Some(rest) = text.strip_prefix("test") else { continue };
        if let Some(text) = rest.strip_prefix(':') {
            directives.push((number, None, text.trim()));
        } else if let Some((names, text)) =
            rest.strip_prefix('(').and_then(|rest| rest.split_once("):"))
        {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            for name in names.split(',') {
                ensure!(
                    !name.is_empty() && name.chars().all(plain),
                    "line {number}: a run's name is made of letters, digits, - and _"
                );
                directives.push((number, Some(name), text.trim()));
            }
        }
    }
    Ok(directives)
}

fn apply(run: &mut Run, text: &str) -> Result<()> {
    let (key, value) = text.split_once(' ').unwrap_or((text, ""));
    let value = value.trim();
    match key {
        "expect" => run.expect = expect(value)?,
        "args" => run.args = Some(value.to_owned()),
        "args-fill" => {
            let length = number(value)?.try_into()?;
            let args = run.args.get_or_insert_default();
            *args += &"x".repeat(length).split_off(args.len().min(length));
        }
        "memory" => run.memory = Some(number(value)?),
        "xl" => run.config.push(value.to_owned()),
        "input" => run.input = Some(string(value)?),
        "disk" => run.disks.push(disk::parse(value).map_err(|why| anyhow!(why))?),
        "program" => {
            let name = value.strip_suffix(".c").is_some_and(|name| !name.is_empty());
            ensure!(name && !value.contains('/'), "a program is a file beside the source: NAME.c");
            run.programs.push(value.to_owned());
        }
        "dom0" => run.before.push(script(value)?),
        "client" => run.clients.push(script(value)?),
        "core-contains" => run.core.push(string(value)?),
        "client-when" => run.client_when = Some(string(value)?),
        "client-then" => {
            run.then = match value {
                "shutdown" => Then::Shutdown,
                "destroy" => Then::Destroy,
                "wait" => Then::Wait,
                _ => bail!("client-then shutdown, destroy or wait"),
            }
        }
        "cycles" => run.cycles = Some(cycles(value)?),
        "with" => run.with.push(with(value)?),
        "with-when" => run.with_when = Some(string(value)?),
        "timeout" => run.timeout = Duration::from_secs(number(value)?),
        "console-contains" => run.contains.push(string(value)?),
        "console-lines" => run.lines = Some(number(value)?.try_into()?),
        "no-verdict" => run.verdict = false,
        "not-in-check" => run.part = Part::Test,
        "long" => run.part = Part::Long,
        _ => bail!("there is no directive {key}; there are {}", KNOWN.join(", ")),
    }
    Ok(())
}

/// The directives that [`apply`] takes.
const KNOWN: [&str; 22] = [
    "args",
    "args-fill",
    "client",
    "client-then",
    "client-when",
    "console-contains",
    "console-lines",
    "core-contains",
    "cycles",
    "disk",
    "dom0",
    "expect",
    "input",
    "long",
    "memory",
    "no-verdict",
    "not-in-check",
    "program",
    "timeout",
    "with",
    "with-when",
    "xl",
];

fn expect(value: &str) -> Result<Expect> {
    Ok(match value.split_once(' ').unwrap_or((value, "")) {
        ("poweroff", "") => Expect::Poweroff,
        ("timeout", "") => Expect::Timeout,
        ("watchdog", "") => Expect::Watchdog,
        ("exit", status) => {
            Expect::Exit(status.parse().context("an exit status is a number from 1 to 255")?)
        }
        ("crash", "") => Expect::Crash(String::new()),
        ("crash", text) => Expect::Crash(string(text)?),
        _ => bail!("expect poweroff, exit N, crash \"text\", watchdog or timeout"),
    })
}

fn cycles(value: &str) -> Result<Cycles> {
    let mut words = value.split_whitespace();
    let count = number(words.next().unwrap_or_default())?;
    let mut how: Vec<_> = words.map(str::to_owned).collect();
    for way in &how {
        ensure!(WAYS.contains(&&**way), "a guest is suspended by {}", WAYS.join(", "));
    }
    if how.is_empty() {
        how.push(WAYS[0].to_owned());
    }
    Ok(Cycles { count, how })
}

/// The ways of a suspension after which the guest is there, the usual one first.
const WAYS: [&str; 4] = ["save", "copy", "migrate", "full"];

fn with(value: &str) -> Result<With> {
    let (app, args) = value.split_once(' ').unwrap_or((value, ""));
    ensure!(!app.is_empty(), "with an app, and its arguments");
    let args = args.trim();
    Ok(With { app: app.to_owned(), args: (!args.is_empty()).then(|| args.to_owned()) })
}

fn script(value: &str) -> Result<Script> {
    let file = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if value.starts_with('"') {
        return string(value).map(Script::Text);
    }
    ensure!(
        !value.is_empty() && value.chars().all(file),
        "a script stands in double quotes, or is the name of a file in the package's folder"
    );
    Ok(Script::File(value.to_owned()))
}

fn number(text: &str) -> Result<u64> {
    text.parse().with_context(|| format!("{text:?} is not a number"))
}

/// A string in Rust's quotes, with its most common escapes.
fn string(text: &str) -> Result<String> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let mut chars = inner.context("a text stands in double quotes")?.chars();
    let mut string = String::new();
    while let Some(c) = chars.next() {
        string.push(match c {
            '"' => bail!("a quote inside a text is \\\""),
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(c @ ('"' | '\\')) => c,
                _ => bail!("there is no such escape; there are \\n \\r \\t \\\" \\\\"),
            },
            c => c,
        });
    }
    Ok(string)
}

#[cfg(test)]
mod tests;
