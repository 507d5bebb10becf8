//! Two guests side by side: what was measured of each, and who did better.

use crate::cmd::build::Optimize;
use crate::ui::table;
use serde::Serialize;
use std::path::PathBuf;

/// Where results go.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Report {
    /// Writes the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Draws the ratios into this file as SVG
    #[arg(long, value_name = "FILE")]
    pub(super) chart: Option<PathBuf>,
    /// Measures less often, and briefly
    #[arg(long)]
    pub(super) quick: bool,
    /// Of all kinds one, and of each the least there is
    #[arg(skip)]
    pub(super) brief: bool,
    /// Leaves out what is measured in real time
    #[arg(long)]
    pub(super) counted: bool,
    /// Measures only what has this in its name, such as "ping"
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    #[command(flatten)]
    pub(super) optimize: Optimize,
}

impl Report {
    /// Where nothing but errors is of interest.
    pub(super) const fn brief() -> Self {
        let optimize = Optimize::usual();
        Self {
            json: None,
            chart: None,
            quick: true,
            brief: true,
            counted: false,
            only: None,
            optimize,
        }
    }

    /// Where results go, and nothing else.
    pub(super) const fn to(json: Option<PathBuf>, chart: Option<PathBuf>) -> Self {
        let (brief, optimize) = (false, Optimize::usual());
        Self { json, chart, quick: false, brief, counted: false, only: None, optimize }
    }

    /// Whether `what` is to be measured where instructions are counted, which takes long.
    pub(super) fn wants_counted(&self, what: &str, brief: &str) -> bool {
        self.wants(what) && (!self.brief || what.contains(brief))
    }

    /// Whether `what` is to be measured.
    pub(super) fn wants(&self, what: &str) -> bool {
        self.only.as_ref().is_none_or(|only| what.contains(only))
    }
}

/// Which numbers are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    More,
    Less,
}

/// Some measurements of one thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Sample {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    all: Vec<f64>,
}

impl Sample {
    /// Of nothing, nothing.
    pub(super) fn of(all: Vec<f64>) -> Option<Self> {
        let mut sorted = all.clone();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(least);
        let median = f64::midpoint(at((sorted.len() - 1) / 2), at(sorted.len() / 2));
        Some(Self { median, least, most, all })
    }

    /// How far the ends are apart, in percent of the middle.
    fn spread(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.most - self.least) * 100.0 / self.median }
    }
}

/// One thing that was measured of both, or of one when the other cannot.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    pub(super) xenith: Option<Sample>,
    pub(super) linux: Option<Sample>,
    pub(super) aim: Option<Aim>,
}

/// What should be reached: at least or at most that, as [`Better`] says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Aim {
    /// Xenith over Linux.
    Ratio(f64),
    /// Xenith's own figure.
    Figure(f64),
}

impl Row {
    /// Whether anything of it was measured.
    pub(super) const fn has_figures(&self) -> bool {
        self.xenith.is_some() || self.linux.is_some()
    }

    /// Xenith over Linux.
    pub(super) fn ratio(&self) -> Option<f64> {
        let (xenith, linux) = (self.xenith.as_ref()?, self.linux.as_ref()?);
        (linux.median > 0.0).then(|| xenith.median / linux.median)
    }

    /// How many times better Xenith is: below 1 it is worse.
    pub(super) fn advantage(&self) -> Option<f64> {
        let ratio = self.ratio().filter(|ratio| *ratio > 0.0)?;
        Some(match self.better {
            Better::More => ratio,
            Better::Less => 1.0 / ratio,
        })
    }

    /// What is to be reached, and whether it is.
    pub(super) fn verdict(&self) -> String {
        let (aim, reached, times) = match self.aim {
            Some(Aim::Ratio(aim)) => (aim, self.ratio(), "x"),
            Some(Aim::Figure(aim)) => (aim, self.xenith.as_ref().map(|it| it.median), ""),
            None => return String::new(),
        };
        let Some(reached) = reached else { return String::new() };
        let (met, word) = match self.better {
            Better::More => (reached >= aim, "least"),
            Better::Less => (reached <= aim, "most"),
        };
        format!("at {word} {}{times}: {}", number(aim), if met { "met" } else { "MISSED" })
    }
}

/// All that one command measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) title: &'static str,
    /// The two, and where they ran.
    pub(super) about: String,
    pub(super) rows: Vec<Row>,
    /// What our own counters say, of a packet or a request.
    pub(super) counters: Vec<(String, f64)>,
    /// What was left out, and why.
    pub(super) notes: Vec<String>,
}

impl Comparison {
    /// As a table.
    pub(super) fn shown(&self) -> String {
        let head = ["median (spread)", "unit", "Xenith", "Linux", "Xenith/Linux", "aim"];
        let mut rows = vec![head.map(str::to_owned)];
        for row in &self.rows {
            let cell = |sample: &Option<Sample>| match sample {
                Some(it) if it.all.len() > 1 => {
                    format!("{} ({:.0} %)", number(it.median), it.spread())
                }
                Some(it) => number(it.median),
                None => "-".into(),
            };
            rows.push([
                row.what.clone(),
                row.unit.into(),
                cell(&row.xenith),
                cell(&row.linux),
                row.ratio().map_or_else(|| "-".into(), number),
                row.verdict(),
            ]);
        }
        let mut text = format!("{}\n{}\n\n{}", self.title, self.about, table(&rows, &[2, 3, 4]));
        if !self.counters.is_empty() {
            let mut rows = vec![["Xenith's own counters".to_owned(), "each".to_owned()]];
            let counters = self.counters.iter();
            rows.extend(counters.map(|(what, value)| [what.clone(), format!("{value:.2}")]));
            text += &format!("\n{}", table(&rows, &[1]));
        }
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text
    }
}

/// Three digits that count, with a suffix for thousands.
pub(super) fn number(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, " G"),
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        _ if scaled.fract() == 0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{scaled:.digits$}{suffix}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn row(better: Better, xenith: f64, linux: f64) -> Row {
        Row {
            what: "ping <round> trip".into(),
            unit: "us",
            better,
            xenith: Sample::of(vec![xenith]),
            linux: Sample::of(vec![linux]),
            aim: Some(Aim::Ratio(1.0)),
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let sample = Sample::of(vec![30.0, 10.0, 20.0]).unwrap();
        assert_eq!((sample.median, sample.least, sample.most), (20.0, 10.0, 30.0));
        assert_eq!(sample.spread(), 100.0);
        assert_eq!(Sample::of(vec![1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Sample::of(Vec::new()), None);
    }

    #[test]
    fn who_is_better_depends_on_what_is_good() {
        let more = row(Better::More, 3.0, 2.0);
        assert_eq!((more.ratio(), more.advantage()), (Some(1.5), Some(1.5)));
        assert_eq!(more.verdict(), "at least 1x: met");
        let less = row(Better::Less, 4.0, 2.0);
        assert_eq!((less.ratio(), less.advantage()), (Some(2.0), Some(0.5)));
        assert_eq!(less.verdict(), "at most 1x: MISSED");
        assert_eq!(row(Better::Less, 4.0, 0.0).ratio(), None);
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [0.0, 0.12345, 7.0, 9.876, 1234.5, 12_345.0, 3.4e9].map(number);
        assert_eq!(shown, ["0", "0.123", "7", "9.88", "1234", "12.3 k", "3.40 G"]);
    }
}
