//! `cargo mk bench http`: how many of the cases in `tests/http` a server of HTTP does as the
//! RFCs say. By default that are `httpd`, and `site` for those of static files, as processes
//! of this machine; it may be any other.

#[path = "../../../embed/http/cases.rs"]
mod cases;
mod client;
#[path = "../../../embed/http/files.rs"]
mod files;
mod program;

use crate::project::Project;
use crate::ui::{Ui, out, table};
use anyhow::{Context, Result, bail, ensure};
use cases::{Case, Outcome};
use client::Client;
use program::{PATIENCE, built};
use serde::Serialize;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Counts what a server of HTTP does as the RFCs say
#[derive(clap::Args, Default)]
#[command(after_help = "Examples:\n  cargo mk bench http --failures\n  cargo mk bench http \
--address 127.0.0.1:8080 --json\n  cargo mk bench http --client curl --failures\n\nThe cases stand \
in tests/http. For those of server.txt, a server has a page at / and sends back\nwhat is posted \
there; quarrels.txt needs the page alone; for those of static.txt it serves the files\nof \
files.rs; a client is given the answers of client.txt, and judged by what it gives out and by its\n\
status. Without --address, httpd, site and fetch are started as processes of this machine.")]
pub(super) struct Args {
    /// Prints JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Lists the cases that are not done as expected, and why
    #[arg(long)]
    failures: bool,
    /// The server that is asked, as HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// The table of cases; by default all, and server and quarrels with --address
    #[arg(long)]
    table: Option<Table>,
    /// Who is given the answers of the table client
    #[arg(long, value_enum, conflicts_with = "address")]
    client: Option<Client>,
    /// Only cases whose group or name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// A table of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Table {
    /// How HTTP is read and written
    Server,
    /// What parsers are known to quarrel about
    Quarrels,
    /// How files are served
    Static,
    /// How answers are read
    Client,
}

impl Table {
    /// Where it stands, from the repository's root.
    const fn path(self) -> &'static str {
        match self {
            Self::Server => "tests/http/server.txt",
            Self::Quarrels => "tests/http/quarrels.txt",
            Self::Static => "tests/http/static.txt",
            Self::Client => "tests/http/client.txt",
        }
    }

    /// The app that it is for.
    const fn app(self) -> &'static str {
        match self {
            Self::Server | Self::Quarrels => "httpd",
            Self::Static => "site",
            Self::Client => "fetch",
        }
    }
}

/// Cases at a time.
const THREADS: usize = 8;
/// For how long a connection has to say nothing to be taken as open.
const QUIET: Duration = Duration::from_millis(400);
/// How long the app may take to say its port.
const START: Duration = Duration::from_secs(10);

/// The score of a group of cases.
#[derive(Clone, Debug, Serialize)]
struct Score {
    group: String,
    passed: usize,
    cases: usize,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
struct Report {
    server: String,
    passed: usize,
    cases: usize,
    groups: Vec<Score>,
    failures: Vec<Failure>,
}

/// A case that is not done as expected.
#[derive(Clone, Debug, Serialize)]
struct Failure {
    name: String,
    section: String,
    why: String,
}

/// Runs the command: status 1 if a case fails with an app of ours.
///
/// # Errors
/// When there is no server, or no table.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let reports = reports(&Project::find()?, args, ui)?;
    if args.json {
        out(&format!("{}\n", serde_json::to_string_pretty(&reports)?));
    } else {
        let shown: Vec<_> = reports.iter().map(|report| shown(report, args.failures)).collect();
        out(&shown.join("\n"));
    }
    let fails = reports.iter().any(|report| report.passed < report.cases);
    let ours = args.address.is_none() && args.client != Some(Client::Curl);
    Ok(u8::from(ours && fails))
}

/// Judges all of ours: one that is not what it should be is an error.
///
/// # Errors
/// When a case fails, and those of [`run`].
pub(super) fn brief(project: &Project, ui: &Ui) -> Result<()> {
    for report in reports(project, &Args::default(), ui)? {
        ensure!(report.passed == report.cases, "{}", shown(&report, true));
    }
    Ok(())
}

/// Judges by each table that is wanted.
fn reports(project: &Project, args: &Args, ui: &Ui) -> Result<Vec<Report>> {
    let tables = match (args.table, args.client, &args.address) {
        (None | Some(Table::Client), Some(_), _) => vec![Table::Client],
        (Some(_), Some(_), _) => bail!("a client is judged by the table client alone"),
        (Some(Table::Client), None, Some(_)) => bail!("a server is not judged by the table client"),
        (Some(table), ..) => vec![table],
        (None, None, Some(_)) => vec![Table::Server, Table::Quarrels],
        (None, None, None) => {
            vec![Table::Server, Table::Quarrels, Table::Static, Table::Client]
        }
    };
    let mut reports = Vec::new();
    for table in tables {
        reports.extend(ask_table(table, args, project, ui)?);
    }
    ensure!(!reports.is_empty(), "no case has such a name");
    Ok(reports)
}

/// Asks what stands in a table; nothing if no case of it is wanted.
fn ask_table(table: Table, args: &Args, project: &Project, ui: &Ui) -> Result<Option<Report>> {
    let path = project.xenith.join(table.path());
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let mut cases = cases::read(&text).map_err(anyhow::Error::msg)?;
    if let Some(only) = &args.only {
        cases.retain(|case| case.group.contains(only) || case.name.contains(only));
    }
    if cases.is_empty() {
        return Ok(None);
    }
    if table == Table::Client {
        let client = args.client.unwrap_or(Client::Fetch);
        let program = client.program(project, ui)?;
        let results = all(&cases, |case| client.judge(&program, case), ui);
        return Ok(Some(report(client.name().to_owned(), &cases, &results)));
    }
    let (server, address) = match &args.address {
        Some(address) => (None, address.clone()),
        None => {
            let (server, port) = start(project, table, ui)?;
            (Some(server), format!("127.0.0.1:{port}"))
        }
    };
    let to = address.to_socket_addrs().ok().and_then(|mut found| found.next());
    let to = to.with_context(|| format!("{address} is not of the form HOST:PORT"))?;
    TcpStream::connect_timeout(&to, PATIENCE)
        .with_context(|| format!("nothing listens at {address}"))?;
    let judge = |case: &Case| match ask(case, to) {
        Ok(outcome) => cases::judge(case, &outcome),
        Err(error) => Err(error.to_string()),
    };
    let results = all(&cases, judge, ui);
    let name = if server.is_some() { table.app().to_owned() } else { address };
    Ok(Some(report(name, &cases, &results)))
}

/// A process that is ended with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the app of a table on a port that is free.
fn start(project: &Project, table: Table, ui: &Ui) -> Result<(Server, u16)> {
    let mut command = Command::new(built(project, table.app(), ui)?);
    let target = &project.metadata.target_directory;
    if table == Table::Static {
        let archive = target.join("static.tar");
        fs::write(&archive, files::archive(files::entries()))
            .with_context(|| format!("cannot write {archive}"))?;
        command.env("XENITH_DISK_xvda", archive).env("XENITH_DISK_xvda_READ_ONLY", "1");
    }
    launch(command)
}

fn launch(mut command: Command) -> Result<(Server, u16)> {
    command.arg("port=0").env("XENITH_NET", "").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    let said = child.stdout.take().context("no output")?;
    let server = Server(child);
    let (sender, receiver) = std::sync::mpsc::channel();
    // It ends with the process's output, which is read so that it never blocks.
    thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            let port =
                line.rsplit_once("listening on port ").and_then(|(_, port)| port.parse().ok());
            if let Some(port) = port {
                // Nobody listens any more after the first.
                let _ = sender.send(port);
            }
        }
    });
    let port: u16 = receiver.recv_timeout(START).context("the app does not say its port")?;
    Ok((server, port))
}

/// Judges all cases, some at a time: what each comes to.
fn all(
    cases: &[Case],
    judge: impl Fn(&Case) -> Result<(), String> + Sync,
    ui: &Ui,
) -> Vec<Result<(), String>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![Err("not asked".to_owned()); cases.len()]);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((index, case)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(index).map(|case| (index, case))
                } {
                    ui.bytes(index as u64, cases.len() as u64);
                    let result = judge(case);
                    if let Ok(mut results) = results.lock() {
                        results[index] = result;
                    }
                }
            });
        }
    });
    ui.done();
    results.into_inner().unwrap_or_default()
}

/// Sends a case: what comes back.
fn ask(case: &Case, to: SocketAddr) -> Result<Outcome> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut outcome = Outcome::default();
    for (index, part) in case.parts.iter().enumerate() {
        // Who refuses a request may close the connection before it has all of it.
        if stream.write_all(part).is_err() {
            hear(&mut stream, &mut outcome, PATIENCE)?;
            break;
        }
        let last = index + 1 == case.parts.len();
        let closes = case.expected.iter().any(|word| word == "closed" || word == "refused");
        hear(&mut stream, &mut outcome, if last && closes { PATIENCE } else { QUIET })?;
    }
    // The server is done with this connection, whatever it waits for.
    let _ = stream.shutdown(Shutdown::Both);
    Ok(outcome)
}

/// Reads until the connection is closed, or has been quiet for so long.
fn hear(stream: &mut TcpStream, outcome: &mut Outcome, quiet: Duration) -> Result<()> {
    let (begun, mut buffer) = (Instant::now(), [0; 16384]);
    stream.set_read_timeout(Some(quiet))?;
    while !outcome.closed {
        match stream.read(&mut buffer) {
            Ok(0) => outcome.closed = true,
            Ok(count) => outcome.bytes.extend_from_slice(&buffer[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => break,
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => outcome.closed = true,
                ErrorKind::Interrupted => {}
                _ => bail!(error),
            },
        }
        ensure!(begun.elapsed() < PATIENCE * 10, "the answer does not end");
    }
    Ok(())
}

fn report(server: String, cases: &[Case], results: &[Result<(), String>]) -> Report {
    let mut groups = Vec::<Score>::new();
    let mut failures = Vec::new();
    for (case, result) in cases.iter().zip(results) {
        let at = groups.iter().position(|score| score.group == case.group);
        let at = at.unwrap_or_else(|| {
            groups.push(Score { group: case.group.clone(), passed: 0, cases: 0 });
            groups.len() - 1
        });
        groups[at].cases += 1;
        match result {
            Ok(()) => groups[at].passed += 1,
            Err(why) => failures.push(Failure {
                name: case.name.clone(),
                section: case.section.clone(),
                why: why.clone(),
            }),
        }
    }
    let passed = groups.iter().map(|score| score.passed).sum();
    Report { server, passed, cases: cases.len(), groups, failures }
}

fn shown(report: &Report, failures: bool) -> String {
    let mut rows = vec![[report.server.clone(), "as expected".to_owned(), "of".to_owned()]];
    for Score { group, passed, cases } in &report.groups {
        rows.push([group.clone(), passed.to_string(), cases.to_string()]);
    }
    rows.push(["all".to_owned(), report.passed.to_string(), report.cases.to_string()]);
    let mut text = table(&rows, &[1, 2]);
    if failures {
        for Failure { name, section, why } in &report.failures {
            text += &format!("{name} (RFC {section}): {why}\n");
        }
    }
    text
}
