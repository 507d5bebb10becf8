//! A domU from `xl create` to its end.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::capture::Capture;
use super::channel::{Channel, Connection, quote, store};
use super::end::{End, Reason, about_domain};
use super::events::{Event, Reader, Waiting, forget};
use super::input::Input;
use super::network::{Number, Vif, list};

/// How long `xl create` may take: a domain of many gigabytes takes seconds.
const CREATE_LIMIT: Duration = Duration::from_secs(120);

/// How long everything else may take that xl does.
const XL_LIMIT: Duration = Duration::from_secs(30);

/// Describes a guest to be created.
#[derive(Clone, Debug, Default)]
pub struct GuestSpec {
    /// The file that `xl create` reads, handed to it as it is. What its
    /// `kernel=` and `ramdisk=` name goes along, found as xl finds it when it is
    /// started in the file's folder: relative to the folder.
    pub config: PathBuf,
    /// More files for dom0, put beside the configuration.
    pub files: Vec<PathBuf>,
    /// More settings, as `xl create` takes them after the file: `memory=8`,
    /// `extra="port=80"`. They win over the file's.
    pub overrides: Vec<String>,
    /// Whether it is created and not started, see [`Guest::unpause`].
    pub paused: bool,
    /// Its number, where its address had to be known before; see [`Host::number`](super::Host::number).
    pub number: Option<Arc<Number>>,
    /// The file with its memory, from [`Host::save`](super::Host::save) or `xl save`, where it
    /// is not to begin anew but to go on.
    pub saved: Option<PathBuf>,
}

impl GuestSpec {
    /// Describes a guest that is as its configuration file says.
    pub fn new(config: impl Into<PathBuf>) -> GuestSpec {
        GuestSpec { config: config.into(), ..GuestSpec::default() }
    }
}

/// Represents a domU from `xl create` to its end. Dropping it destroys a domain that
/// still runs.
pub struct Guest {
    channel: Arc<Channel>,
    name: String,
    /// Shared with those who write to its console.
    id: Arc<AtomicU32>,
    events: Receiver<Event>,
    waiting: Waiting,
    console: Vec<u8>,
    /// How much of the console stays once it was shown.
    kept: usize,
    /// How much of the console `wait` has shown its caller.
    shown: usize,
    over: bool,
    /// Its flags and processor time at its end, once that is known.
    ended: Option<(String, Option<u64>)>,
    hypervisor_log: Vec<u8>,
    vifs: Vec<Vif>,
    /// Keeps its addresses its own.
    _number: Option<Arc<Number>>,
}

impl Guest {
    pub(crate) fn create(
        channel: &Arc<Channel>,
        spec: &GuestSpec,
        fresh_name: impl FnOnce(&str) -> String,
        fresh_number: impl FnOnce() -> Result<Number>,
        network: bool,
    ) -> Result<Guest> {
        let mut number = spec.number.clone();
        let interfaces = |settings: &str| -> Result<Vec<Vif>> {
            let given = list(settings, "vif").unwrap_or_default();
            if given.is_empty() {
                return Ok(Vec::new());
            }
            ensure!(
                network,
                "{} has a network interface, and this host was booted without a network for guests",
                spec.config.display()
            );
            let number = match &number {
                Some(number) => number,
                None => number.insert(Arc::new(fresh_number()?)),
            };
            Ok(given
                .iter()
                .zip(0..)
                .map(|(vif, index)| Vif::complete(vif, index, number))
                .collect())
        };
        let (script, input, name, vifs) = Guest::script(spec, fresh_name, interfaces)?;
        let Connection { mut stream, mut splitter } = channel.open(&script)?;
        let saved = spec.saved.as_deref().map(open).transpose()?;
        stream.write_all(&input).map_err(|error| channel.lost(error.into()))?;
        if let Some(mut saved) = saved {
            io::copy(&mut saved, &mut stream).map_err(|error| channel.lost(error.into()))?;
        }
        stream.shutdown(Shutdown::Write).map_err(|error| channel.lost(error.into()))?;
        let (sender, events) = mpsc::channel();
        let waiting = Waiting::default();
        let mut reader = Reader::new(sender, waiting.clone());
        // A thread of its own, because whoever does not read blocks xenconsoled,
        // and with it every guest's console.
        thread::Builder::new().name(name.clone()).spawn(move || {
            let mut buffer = [0; 1 << 14];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => splitter.feed(&buffer[..count], &mut |piece| reader.take(piece)),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return reader.lose(error),
                }
            }
            splitter.finish(&mut |piece| reader.take(piece));
            reader.end();
        })?;
        let channel = Arc::clone(channel);
        let mut guest = Guest {
            channel,
            name,
            id: Arc::default(),
            events,
            waiting,
            console: Vec::new(),
            kept: usize::MAX,
            shown: 0,
            over: false,
            ended: None,
            hypervisor_log: Vec::new(),
            vifs,
            _number: number,
        };
        let deadline = Instant::now() + CREATE_LIMIT;
        let what = match &spec.saved {
            Some(saved) => format!("xl restore {}", saved.display()),
            None => format!("xl create {}", spec.config.display()),
        };
        while guest.id() == 0 {
            match guest.next(deadline)? {
                Some(Event::Created(id)) => guest.id.store(id, Ordering::Relaxed),
                Some(Event::Over(errors)) => bail!("{what}: {}", errors.trim()),
                Some(_) => {}
                None => {
                    let what = format!("{what}: did not end within");
                    return Err(guest.channel.stuck(&format!("{what} {CREATE_LIMIT:?}")));
                }
            }
        }
        Ok(guest)
    }

    /// The script that creates the guest, its input, the guest's name and its
    /// interfaces, which `interfaces` makes of all settings.
    fn script(
        spec: &GuestSpec,
        fresh_name: impl FnOnce(&str) -> String,
        interfaces: impl FnOnce(&str) -> Result<Vec<Vif>>,
    ) -> Result<(String, Vec<u8>, String, Vec<Vif>)> {
        let load =
            |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let file_name = |path: &Path| -> Result<String> {
            let name = path.file_name().and_then(|name| name.to_str());
            Ok(name.with_context(|| format!("{} names no file", path.display()))?.into())
        };
        let config = load(&spec.config)?;
        let mut settings = String::from_utf8(config.clone())
            .with_context(|| format!("{} is not text", spec.config.display()))?;
        for setting in &spec.overrides {
            settings += &format!("\n{setting}");
        }
        let folder = spec.config.parent().unwrap_or(Path::new(""));
        let mut files = vec![(file_name(&spec.config)?, config)];
        let mut overrides = spec.overrides.clone();
        for key in ["kernel", "ramdisk"] {
            let Some(value) = setting(&settings, key) else {
                continue;
            };
            let path = folder.join(value);
            let bytes = load(&path)?;
            // An absolute path would mean a place in dom0 that is dom0's own.
            let inside = if Path::new(value).is_absolute() {
                let name = file_name(&path)?;
                overrides.push(format!("{key}=\"{name}\""));
                name
            } else {
                value.into()
            };
            files.push((inside, bytes));
        }
        for path in &spec.files {
            files.push((file_name(path)?, load(path)?));
        }
        let given = match setting(&settings, "name") {
            Some(name) => name.to_owned(),
            None => file_name(&spec.config.with_extension(""))?,
        };
        // The scripts of the lab split xl's lists at spaces.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        ensure!(
            given.chars().all(plain) && given.parse::<u32>().is_err(),
            "{}: the name {given:?} cannot be used: it has to be letters, digits, `.`, `_` and `-`, and not a number",
            spec.config.display()
        );
        let name = fresh_name(&given);
        if name != given {
            overrides.push(format!("name=\"{name}\""));
        }

        let vifs = interfaces(&settings)?;
        if !vifs.is_empty() {
            let list: Vec<_> = vifs.iter().map(|vif| format!("\"{}\"", vif.spec)).collect();
            overrides.push(format!("vif=[{}]", list.join(", ")));
        }

        if spec.saved.is_some() {
            // `xl restore` takes no settings besides the file's.
            files[0].1.extend_from_slice(format!("\n{}\n", overrides.join("\n")).as_bytes());
            overrides.clear();
        }

        let place = quote(&format!("/guests/{name}"));
        let mut script = format!("mkdir {place} && cd {place} || exit\n");
        // The name server reads it within a moment, long before the guest runs.
        if let Some(ip) = vifs.first().and_then(|vif| vif.ip.as_ref()) {
            let names = [&name, &given].map(|name| format!("{name}.lab {name}")).join(" ");
            script += &format!("echo {ip} {names} >/run/lab/hosts/{ip}\n");
        }
        for (path, bytes) in &files {
            if let Some((folder, _)) = path.rsplit_once('/') {
                script += &format!("mkdir -p {}\n", quote(folder));
            }
            script += &store(bytes.len(), path);
        }
        script += &format!("guest \"$MARK\" {}", quote(&name));
        script += if spec.saved.is_some() { " --restore" } else { "" };
        if spec.paused {
            script += " -p";
        }
        script += &format!(" {}", quote(&files[0].0));
        for setting in &overrides {
            script += &format!(" {}", quote(setting));
        }
        script += &format!("\nstatus=$?\nrm -rf {place}\nexit $status");
        let input = files.into_iter().flat_map(|(_, bytes)| bytes).collect();
        Ok((script, input, name, vifs))
    }

    /// Returns its name in Xen's lists, different from those of the host's other guests.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its domain ID, which is another one once it was moved.
    pub fn id(&self) -> u32 {
        self.id.load(Ordering::Relaxed)
    }

    /// Returns its network interfaces, in the order of `vif=[...]`.
    pub fn vifs(&self) -> &[Vif] {
        &self.vifs
    }

    /// Names the interface with this index as dom0 does, `vif5.0` for one.
    pub fn interface(&self, index: usize) -> String {
        format!("vif{}.{index}", self.id())
    }

    /// Records the frames of the interface with this index into a file for tcpdump or
    /// Wireshark, until the interface is gone. The first frames are in it only where the
    /// guest is still paused.
    ///
    /// # Errors
    /// When the file cannot be written, or tcpdump does not start in dom0.
    pub fn capture(&self, index: usize, path: &Path) -> Result<Capture> {
        Capture::start(&self.channel, &self.interface(index), path)
    }

    /// Keeps no more than the last bytes of its console, at least `most` of them, of what [`Guest::wait`] has shown:
    /// a guest that runs for months has written much. All of it is kept otherwise.
    pub fn keep_console(&mut self, most: usize) {
        self.kept = most;
    }

    /// Returns all that it has written to its console so far, or what is kept of that. While nobody
    /// waits for the guest, more than 16 MiB are left out, and a line there says so.
    pub fn console(&self) -> &[u8] {
        &self.console
    }

    /// The next event, or none at the deadline. What it carries is noted.
    fn next(&mut self, deadline: Instant) -> Result<Option<Event>> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(left) {
            Ok(Event::Lost(error)) => {
                self.over = true;
                Err(self.channel.lost(error.into()))
            }
            Ok(event) => {
                match &event {
                    Event::Console(bytes) => {
                        self.waiting.read(bytes);
                        self.console.extend_from_slice(bytes);
                    }
                    Event::Moved(id) => self.id.store(*id, Ordering::Relaxed),
                    Event::Ended { flags, nanoseconds } => {
                        self.ended = Some((flags.clone(), *nanoseconds));
                    }
                    Event::Hypervisor(bytes) => self.hypervisor_log.extend_from_slice(bytes),
                    Event::Over(_) => self.over = true,
                    _ => {}
                }
                Ok(Some(event))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("{} has already ended", self.name),
        }
    }

    /// Waits for the domain's end. Its console goes to `sink` as it comes, and all of it
    /// before this returns. `None` means that it still runs at the limit: wait on, or
    /// look at it and destroy it.
    ///
    /// # Errors
    /// When dom0 cannot be reached any more.
    pub fn wait(&mut self, limit: Duration, sink: &mut dyn FnMut(&[u8])) -> Result<Option<End>> {
        let deadline = Instant::now() + limit;
        loop {
            if self.shown < self.console.len() {
                sink(&self.console[self.shown..]);
                forget(&mut self.console, self.kept);
                self.shown = self.console.len();
            }
            // Once the end is known, the rest of the story is a moment away.
            let deadline = match self.ended {
                Some(_) => Instant::now() + XL_LIMIT,
                None => deadline,
            };
            match self.next(deadline)? {
                Some(Event::Over(errors)) => {
                    let (flags, nanoseconds) = self.ended.take().with_context(|| {
                        format!("cannot follow the guest {} any longer: {errors}", self.name)
                    })?;
                    let log = String::from_utf8_lossy(&self.hypervisor_log);
                    return Ok(Some(End {
                        reason: Reason::from_flags(&flags),
                        console: self.console.clone(),
                        hypervisor_log: about_domain(&log, self.id()),
                        cpu_time: nanoseconds.map(Duration::from_nanos),
                    }));
                }
                Some(_) => {}
                None if self.ended.is_some() => {
                    return Err(self.channel.stuck(&format!("xl does not destroy {}", self.name)));
                }
                None => return Ok(None),
            }
        }
    }

    /// Waits until `wanted` accepts the console, which it is shown whole each time that
    /// more of it came. Returns `false` when the guest ends before, and at the limit.
    ///
    /// # Errors
    /// When dom0 cannot be reached any more.
    pub fn wait_for(
        &mut self,
        limit: Duration,
        wanted: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            if wanted(&self.console) {
                return Ok(true);
            }
            if self.ended.is_some() || self.next(deadline)?.is_none() {
                return Ok(false);
            }
        }
    }

    /// Asks the guest to shut down (`xl shutdown`), and does not wait for that.
    ///
    /// # Errors
    /// With what `xl` says.
    pub fn shut_down(&self) -> Result<()> {
        self.xl("shutdown").map(drop)
    }

    /// Destroys the domain, and does not wait until its end is known here; [`Guest::wait`] does.
    ///
    /// # Errors
    /// With what `xl` says.
    pub fn destroy_later(&self) -> Result<()> {
        self.xl("destroy").map(drop)
    }

    /// Opens the guest's console for writing, which goes on when the guest is moved.
    ///
    /// # Errors
    /// When dom0 cannot be reached.
    pub fn input(&self) -> Result<Input> {
        Input::open(&self.channel, &self.name, &self.id)
    }

    /// Starts a guest that was created paused.
    ///
    /// # Errors
    /// With what `xl` says.
    pub fn unpause(&self) -> Result<()> {
        self.xl("unpause").map(drop)
    }

    /// Returns its registers and stack as text (from `xenctx`), to see where
    /// it hangs.
    ///
    /// # Errors
    /// When dom0 cannot be reached, or the domain is gone.
    pub fn registers(&self) -> Result<String> {
        let output = self.channel.run(&format!("xenctx {}", self.id()), &[], XL_LIMIT)?;
        Ok(String::from_utf8_lossy(&output.success()?.stdout).into())
    }

    /// Destroys the domain and returns how it ended.
    ///
    /// # Errors
    /// When dom0 cannot be reached.
    pub fn destroy(&mut self) -> Result<End> {
        self.xl("destroy")?;
        self.wait(XL_LIMIT, &mut |_| ())?.ok_or_else(|| {
            self.channel.stuck(&format!("{} was destroyed and is still there", self.name))
        })
    }

    fn xl(&self, verb: &str) -> Result<Vec<u8>> {
        // By its name: it may be there before its number is known.
        let script = format!("xl {verb} {}", quote(&self.name));
        let output = self.channel.run(&script, &[], XL_LIMIT)?;
        let output = output.success().with_context(|| format!("xl {verb} {}", self.name))?;
        Ok(output.stdout)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !self.over {
            drop(self.destroy());
        }
    }
}

/// The file at `path`, to be read.
fn open(path: &Path) -> Result<fs::File> {
    fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The value of a setting of an xl configuration that is a string. As with xl,
/// the last one counts.
pub(crate) fn setting<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    config.lines().rev().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        value[1..].split(quote).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found() {
        let config =
            "# kernel=\"no\"\nname = 'a'\nkernel=\"b\" # c\nmemory=8\nkernel_x=\"d\"\nname=\"e\"";
        assert_eq!(setting(config, "name"), Some("e"));
        assert_eq!(setting(config, "kernel"), Some("b"));
        assert_eq!(setting(config, "memory"), None);
        assert_eq!(setting(config, "ramdisk"), None);
    }
}
