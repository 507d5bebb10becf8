//! A comparison as what the user asked for: a table, JSON and a picture.

use super::chart;
use super::versus::{Comparison, Report};
use crate::project::write;
use crate::ui::out;
use anyhow::Result;

impl Comparison {
    /// Prints it, and writes the files that were asked for.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn report(&self, to: &Report) -> Result<()> {
        let [shown, json, chart] = self.render()?;
        out(&shown);
        for (path, text) in [(&to.json, json), (&to.chart, chart)] {
            if let Some(path) = path {
                write(path, text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// As a table, as JSON and as a chart.
    ///
    /// # Errors
    /// When a figure is none.
    pub(super) fn render(&self) -> Result<[String; 3]> {
        let json = format!("{}\n", serde_json::to_string_pretty(self)?);
        Ok([self.shown(), json, chart::svg(self)])
    }
}
