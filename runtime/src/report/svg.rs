//! Charts as inline SVG.

use super::html::escape;
use std::collections::BTreeMap;
use std::fmt::Write;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 10.0;

/// Values over epochs, ascending; of two at the same place the later one counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points(BTreeMap<u64, f64>);

impl Points {
    /// `x` is not negative: the bits of such numbers are in the order of the numbers.
    pub fn set(&mut self, x: f64, y: f64) {
        self.0.insert(x.to_bits(), y);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (f64, f64)> {
        self.0.iter().map(|(x, y)| (f64::from_bits(*x), *y))
    }
}

/// Points of one line, x an epoch.
pub struct Series<'a> {
    pub name: &'a str,
    pub points: &'a Points,
}

impl<'a> Series<'a> {
    pub fn new(name: &'a str, points: &'a Points) -> Self {
        Series { name, points }
    }
}

/// A figure with the lines over epochs. Values that are not finite are left out.
pub fn line_chart(title: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|s| s.points.iter()).filter(|(_, y)| y.is_finite());
    let (x0, x1) = bounds(points().map(|(x, _)| x));
    let (y0, y1) = bounds(points().map(|(_, y)| y));
    let at = |x: f64, y: f64| {
        let px = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - 10.0);
        let py = HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP);
        (px, py)
    };
    let mut svg = format!(
        "<figure><svg width={WIDTH} height={HEIGHT} viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{}\">",
        escape(title)
    );
    for i in 0..=4 {
        let y = y0 + (y1 - y0) * f64::from(i) / 4.0;
        let (_, py) = at(x0, y);
        let _ = write!(
            svg,
            "<line x1={LEFT} x2={WIDTH} y1={py:.1} y2={py:.1} stroke=\"var(--line)\"/><text x={:.1} y={:.1} text-anchor=end>{}</text>",
            LEFT - 6.0,
            py + 4.0,
            short(y)
        );
    }
    for x in [x0, x1] {
        let (px, _) = at(x, y0);
        let _ = write!(svg, "<text x={px:.1} y={:.1} text-anchor=middle>{x}</text>", HEIGHT - 6.0);
    }
    for s in series {
        let path: Vec<_> = s
            .points
            .iter()
            .filter(|(_, y)| y.is_finite())
            .map(|(x, y)| at(x, y))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = write!(
            svg,
            "<polyline fill=none stroke=\"var(--c)\" stroke-width=2 points=\"{}\"><title>{}</title></polyline>",
            path.join(" "),
            escape(s.name)
        );
    }
    let _ = write!(svg, "</svg><figcaption>{}, by epoch</figcaption></figure>", escape(title));
    svg
}

/// A figure with a bar for each (name, count); each tells its numbers when pointed at.
pub fn bars(title: &str, points: &[(String, u64)]) -> String {
    let most = points.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1) as f64;
    let width = (WIDTH - LEFT) / points.len().max(1) as f64;
    let scale = HEIGHT - BOTTOM - TOP;
    let mut svg = format!(
        "<figure><svg width={WIDTH} height={HEIGHT} viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{0}\">\
         <text x={1:.1} y={2:.1} text-anchor=end>{most}</text>",
        escape(title),
        LEFT - 6.0,
        TOP + 4.0
    );
    let every = points.len().div_ceil(8).max(1);
    for (i, (name, count)) in points.iter().enumerate() {
        let (x, height) = (LEFT + i as f64 * width, *count as f64 / most * scale);
        let _ = write!(
            svg,
            "<rect x={x:.1} y={:.1} width={:.1} height={height:.1} fill=\"var(--c)\"><title>{}: {count}</title></rect>",
            TOP + scale - height,
            width * 0.9,
            escape(name)
        );
        if i % every == 0 {
            let middle = x + width * 0.45;
            let _ = write!(
                svg,
                "<text x={middle:.1} y={:.1} text-anchor=middle>{}</text>",
                HEIGHT - 6.0,
                escape(name)
            );
        }
    }
    let _ = write!(svg, "</svg><figcaption>{}</figcaption></figure>", escape(title));
    svg
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    match low < high {
        true => (low, high),
        false if low.is_finite() => (low - 0.5, low + 0.5),
        false => (0.0, 1.0),
    }
}

fn short(y: f64) -> String {
    if y.abs() >= 100.0 { format!("{y:.0}") } else { format!("{y:.3}") }
}
