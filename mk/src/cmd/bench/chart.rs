//! A comparison as a picture: a bar a row, on a logarithmic scale of how many
//! times better one is than the other.

use super::versus::{Comparison, Row, number};
use std::fmt::Write;

/// Measures of the picture, in its units.
const WIDTH: f64 = 900.0;
const ROW: f64 = 26.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 18.0;
/// Where labels end, and where bars may stand.
const LABELS: f64 = 330.0;
const LEFT: f64 = 345.0;
const RIGHT: f64 = 690.0;

/// It has a ground of its own, so that it can be read on a light and on a dark page.
const STYLE: &str = "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#24292f}\
.t{font-size:17px;font-weight:600}.s{fill:#57606a;font-size:12px}.r{text-anchor:end}\
.m{text-anchor:middle}.x{fill:#1a7f64}.l{fill:#bf5b04}.g{stroke:#d8dee4}.o{stroke:#57606a}";

/// Draws the rows of which both have a figure.
pub(super) fn svg(comparison: &Comparison) -> String {
    let rows: Vec<(&Row, f64)> = comparison
        .rows
        .iter()
        .filter_map(|row| row.advantage().map(|advantage| (row, advantage)))
        .collect();
    let logs = rows.iter().map(|(_, advantage)| advantage.log10());
    let low = logs.clone().fold(-1.0, f64::min).floor();
    let high = logs.fold(1.0, f64::max).ceil();
    let at = |log: f64| LEFT + (log - low) / (high - low) * (RIGHT - LEFT);
    let end = TOP + ROW * rows.len() as f64;
    let height = end + BOTTOM;

    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"#ffffff\" \
         stroke=\"#d0d7de\"/>\n\
         <text class=\"t\" x=\"20\" y=\"30\">{title}</text>\n\
         <text class=\"s\" x=\"20\" y=\"50\">{}</text>\n\
         <text class=\"s\" x=\"{}\" y=\"80\">Xenith : Linux</text>\n",
        WIDTH - 1.0,
        height - 1.0,
        escaped(&comparison.about),
        RIGHT + 12.0,
        title = escaped(comparison.title),
    );
    let mut log = low;
    while log <= high {
        let x = at(log);
        let class = if log == 0.0 { "o" } else { "g" };
        let _ = writeln!(
            text,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{end}\"/>\
             <text class=\"s m\" x=\"{x:.1}\" y=\"80\">{}</text>",
            TOP - 6.0,
            times(10_f64.powf(log)),
        );
        // Of many powers of ten only some have room for their number.
        log += if high - low > 8.0 && log != -1.0 { 2.0 } else { 1.0 };
    }
    for ((row, advantage), number_of) in rows.iter().zip(0_u16..) {
        let y = TOP + ROW * f64::from(number_of);
        let (one, here) = (at(0.0), at(advantage.log10()));
        let class = if *advantage >= 1.0 { "x" } else { "l" };
        let value = |sample: &Option<super::versus::Sample>| {
            sample.as_ref().map_or_else(String::new, |it| number(it.median))
        };
        let _ = writeln!(
            text,
            "<text class=\"r\" x=\"{LABELS}\" y=\"{:.1}\">{}</text>\
             <rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>\
             <text class=\"s\" x=\"{}\" y=\"{:.1}\">{} : {} {}</text>",
            y + 17.0,
            escaped(&row.what),
            one.min(here),
            y + 5.0,
            (here - one).abs().max(1.5),
            ROW - 10.0,
            RIGHT + 12.0,
            y + 17.0,
            value(&row.xenith),
            value(&row.linux),
            escaped(row.unit),
        );
    }
    text + "</svg>\n"
}

/// What a place on the scale means.
fn times(advantage: f64) -> String {
    match advantage {
        it if it < 0.99 => format!("Linux {}x", number(1.0 / it)),
        it if it > 1.01 => format!("{}x better", number(it)),
        _ => "equal".into(),
    }
}

/// As text of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::versus::{Better, tests::row};
    use super::*;

    #[test]
    fn bars_grow_to_the_side_of_who_is_better() {
        let rows = vec![
            row(Better::Less, 10.0, 1000.0),
            row(Better::More, 1.0, 10.0),
            Row { linux: None, ..row(Better::More, 1.0, 1.0) },
        ];
        let comparison = Comparison {
            title: "a & b",
            about: String::new(),
            rows,
            counters: Vec::new(),
            notes: Vec::new(),
        };
        let svg = svg(&comparison);
        // From a tenth to a hundredfold in 345 units: 115 for each power of ten.
        assert!(svg.contains("class=\"x\" x=\"460.0\" y=\"97.0\" width=\"230.0\""), "{svg}");
        assert!(svg.contains("class=\"l\" x=\"345.0\" y=\"123.0\" width=\"115.0\""), "{svg}");
        assert!(svg.contains("a &amp; b") && svg.contains("ping &lt;round&gt; trip"), "{svg}");
        assert_eq!(svg.matches("<rect class").count(), 2);
    }
}
