//! What an image is made of, for people and as JSON.

use super::drivers::Drivers;
use super::elf::Elf;
use super::layout;
use super::manifest::Manifest;
use super::{extent, least_memory, redzone};
use crate::project::Goal;
use crate::ui::{bytes, table};
use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::Write as _;

/// Sizes and addresses of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) name: String,
    /// Bytes of the file that Xen boots.
    pub(crate) size: u64,
    /// The same, compressed by gzip.
    pub(crate) gz: u64,
    /// What it is optimised for.
    #[serde(default)]
    pub(crate) goal: Goal,
    /// The most that `size` may be.
    pub(crate) limit: Option<u64>,
    /// Where it is linked.
    pub(crate) base: u64,
    /// Bytes that it takes in memory, before the heap.
    pub(crate) memory: u64,
    /// The least MiB that the domain can have.
    pub(crate) least_mib: u64,
    /// MiB that the manifest asks for.
    pub(crate) asked_mib: u64,
    pub(crate) sections: Vec<Part>,
    /// Modules of the crates of devices whose code is inside.
    pub(crate) drivers: Vec<String>,
    /// Whether it has a terminal with a line discipline of its own.
    #[serde(default)]
    pub(crate) terminal: bool,
    /// Functions that keep data below the stack pointer, which an event would overwrite.
    #[serde(default)]
    pub(crate) red_zone: Vec<String>,
}

/// A section that is loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) address: u64,
    /// Bytes in the file.
    pub(crate) file: u64,
    /// Bytes in memory.
    pub(crate) memory: u64,
}

impl Report {
    /// Measures `image` and what was packed of it.
    ///
    /// # Errors
    /// When the image makes no sense.
    pub(crate) fn new(
        image: &Elf<'_>,
        packed: &[u8],
        manifest: &Manifest,
        drivers: &Drivers,
        (goal, limit): (Goal, Option<u64>),
    ) -> Result<Self> {
        let (base, memory) = extent(image)?;
        let modules = drivers.modules(image);
        let sections = image.sections.iter().filter(|section| section.loaded && section.size > 0);
        Ok(Self {
            name: manifest.name.clone(),
            size: packed.len() as u64,
            gz: gz(packed)?,
            goal,
            limit,
            base,
            memory,
            least_mib: least_memory(image)?,
            asked_mib: manifest.memory_mib(),
            sections: sections
                .map(|section| Part {
                    name: section.name.to_owned(),
                    address: section.address,
                    file: section.data.len() as u64,
                    memory: section.size,
                })
                .collect(),
            terminal: drivers.has_terminal(&modules),
            drivers: modules.into_iter().collect(),
            red_zone: redzone::users(image),
        })
    }

    /// That the image is larger than its app's own limit, and what to do.
    pub(crate) fn too_large(&self) -> Option<String> {
        let limit = self.limit.filter(|limit| self.size > *limit)?;
        Some(format!(
            "the image of {} has {} bytes, more than its limit of {}, which `cargo mk check` \
             refuses: make it smaller, or raise `size` in [package.metadata.xenith] of its \
             Cargo.toml",
            self.name,
            bytes(self.size),
            bytes(limit)
        ))
    }

    /// The report for people; with `all`, each module of devices is named, and else their crates'
    /// parts and the front ends.
    pub(crate) fn shown(&self, manifest: &Manifest, all: bool) -> String {
        let mut rows = vec![["section", "address", "file", "memory"].map(str::to_owned)];
        for part in &self.sections {
            let Part { name, address, file, memory } = part;
            rows.push([name.clone(), format!("{address:#x}"), bytes(*file), bytes(*memory)]);
        }
        let parts: u64 = self.sections.iter().map(|part| part.file).sum();
        let headers = self.size.saturating_sub(parts);
        rows.push(["headers".into(), String::new(), bytes(headers), String::new()]);
        rows.push(["all".into(), String::new(), bytes(self.size), bytes(self.memory)]);
        let mut text = table(&rows, &[1, 2, 3]);
        let limit = self.limit.map_or_else(String::new, |it| format!(" of at most {}", bytes(it)));
        let goal = if self.goal == Goal::Speed { ", optimised for speed" } else { "" };
        let (size, gz) = (bytes(self.size), bytes(self.gz));
        let _ = writeln!(text, "size        {size}{limit}, {gz} by gzip{goal}");
        let mapping = layout::initial_mapping(self.memory, self.base, self.least_mib);
        let _ = writeln!(
            text,
            "memory      {} MiB asked for; at least {} MiB, as the domain builder maps {} KiB of \
             {} from {:#x}",
            self.asked_mib,
            self.least_mib,
            mapping.used / 1024,
            mapping.end / 1024,
            self.base
        );
        let _ = writeln!(text, "stack       {} KiB of that", manifest.stack_kib);
        let devices: Vec<_> = manifest
            .devices
            .iter()
            .map(|device| match (device.field == device.class, &*device.id) {
                (true, "") => device.class.clone(),
                (_, id) => format!("{} ({} {id})", device.field, device.class).replace(" )", ")"),
            })
            .collect();
        let _ = writeln!(text, "devices     {}", listed(&devices));
        let drivers = if all { self.drivers.clone() } else { in_short(&self.drivers) };
        let _ = writeln!(text, "drivers     {}", listed(&drivers));
        if !self.red_zone.is_empty() {
            let _ = writeln!(
                text,
                "red zone    {}: no event may interrupt these, so there is no watchdog",
                listed(&self.red_zone)
            );
        }
        text
    }
}

/// The first words of modules' paths, and the front ends, such as `net::netfront`.
fn in_short(modules: &[String]) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for module in modules {
        let front_end = module.ends_with("front").then_some(&**module);
        for part in module.split("::").next().into_iter().chain(front_end) {
            if parts.iter().all(|it| it != part) {
                parts.push(part.to_owned());
            }
        }
    }
    parts
}

fn listed(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// Bytes of `data` after gzip's best compression.
fn gz(data: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data)?;
    Ok(encoder.finish()?.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_by_their_first_words_and_front_ends() {
        let modules = ["block", "block::blkfront", "block::blkfront::queue", "fs::ext4", "fs::tar"];
        let parts = in_short(&modules.map(str::to_owned));
        assert_eq!(parts, ["block", "block::blkfront", "fs"]);
    }
}
