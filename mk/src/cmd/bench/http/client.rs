//! What a client of HTTP makes of the answers in `tests/http/client.txt`: `fetch`, as a process
//! of this machine, or curl.

use super::cases::{self, Case};
use super::program::{PATIENCE, built};
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What the kernel says behind a page that the server says that there is not.
const LAST_WORDS: &[u8] = b"xenith: exit status 7\n";

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Client {
    /// The app
    Fetch,
    /// The program of that name
    Curl,
}

impl Client {
    /// How it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Curl => "curl",
        }
    }

    /// Its program, which is built where it is ours.
    pub(super) fn program(self, project: &Project, ui: &Ui) -> Result<PathBuf> {
        match self {
            Self::Fetch => built(project, "fetch", ui),
            Self::Curl => Ok("curl".into()),
        }
    }

    /// Asks for `url`: whether it was content, and what it gave out.
    fn ask(self, program: &PathBuf, url: &str, head: bool) -> Result<(bool, Vec<u8>)> {
        let mut command = Command::new(program);
        let seconds = PATIENCE.as_secs();
        match self {
            Self::Fetch => {
                command.env("XENITH_NET", "").args([&format!("url={url}"), "raw=yes"]);
                command.arg(format!("time={seconds}"));
                command.arg(if head { "method=HEAD" } else { "method=GET" });
            }
            Self::Curl => {
                command.args(["--silent", "--compressed", "--max-time", &seconds.to_string()]);
                if head {
                    command.arg("--head");
                }
                command.arg(url);
            }
        }
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot run {}", program.display()))?;
        let code = output.status.code().unwrap_or(-1);
        // That of a page which the server says that there is not.
        let content = code == 0 || (self == Self::Fetch && code == 7);
        let mut said = output.stdout;
        if self == Self::Fetch && said.ends_with(LAST_WORDS) {
            said.truncate(said.len() - LAST_WORDS.len());
        }
        Ok((content, said))
    }

    /// What becomes of a case.
    pub(super) fn judge(self, program: &PathBuf, case: &Case) -> Result<(), String> {
        let has = |word: &str| case.expected.iter().any(|it| it == word);
        let (content, said) = served(&case.parts.concat(), |url| {
            self.ask(program, url, has("head")).map_err(|error| format!("{error:#}"))
        })?;
        let expected = case.expected.iter().find_map(|word| word.strip_prefix("body="));
        match expected.and_then(cases::bytes) {
            None if content => Err("it takes what is to be refused".into()),
            None => Ok(()),
            Some(_) if !content => Err("it refuses what is to be taken".into()),
            Some(body) if !has("head") && said != body.concat() => {
                Err(format!("it takes it as {:?}", String::from_utf8_lossy(&said)))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Lets `client` ask a server that gives `answer` on each connection and closes it.
fn served<T>(answer: &[u8], client: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    let failed = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // The client may leave at any time.
                let _ = give(stream, answer);
            }
        });
        let result = client(&format!("http://{address}/"));
        over.store(true, Ordering::Relaxed);
        // It waits for somebody.
        let _ = TcpStream::connect(address);
        result
    })
}

/// Hears a request, answers, and waits for the client to close as well.
fn give(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut come, mut buffer) = (Vec::new(), [0; 4096]);
    while !come.windows(4).any(|it| it == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => come.extend_from_slice(&buffer[..count]),
        }
    }
    stream.write_all(answer)?;
    stream.shutdown(Shutdown::Write)?;
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_one_of_two() {
        let table = include_str!("../../../../embed/http/client.txt");
        for case in cases::read(table).unwrap() {
            let one = |start: &str| case.expected.iter().any(|word| word.starts_with(start));
            assert_ne!(one("body="), one("error="), "{}", case.name);
        }
    }

    #[test]
    fn an_answer_is_given_to_everybody() {
        let get = |address: &str| {
            let address = address.trim_start_matches("http://").trim_end_matches('/');
            let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).unwrap();
            Ok::<_, String>(all)
        };
        let twice = served(b"hello", |url| Ok((get(url)?, get(url)?)));
        assert_eq!(twice, Ok(("hello".into(), "hello".into())));
    }
}
