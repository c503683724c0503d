//! A flame graph as SVG: the outermost frame on top, a rectangle per frame.
//!
//! The image has no script, so that it is safe wherever an image may stand. It is light or dark as its reader's screen is.
//! It chooses nothing (`flame` does).

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::flame::FlameGraph;
use crate::number::{grouped, percent, shown};
use crate::picture::{Bar, Picture};
use crate::text::{cut, xml};
use crate::tree::NodeName;

const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const ROW: f64 = 17.0;
const LINE: f64 = 16.0;
/// Width of a letter in the font that is asked for.
const LETTER: f64 = 6.7;
/// A sentence under the title has no more letters.
const MOST_LETTERS: usize = 175;

const STYLE: &str = "text{font:11px ui-monospace,monospace;fill:#111;pointer-events:none}\
.t{font:bold 15px system-ui,sans-serif}.n{font:12px system-ui,sans-serif}.t,.n{fill:#222}.b{fill:#fff}\
g:hover rect{stroke:#000;stroke-width:1}\
@media(prefers-color-scheme:dark){.b{fill:#16181d}.t,.n{fill:#ddd}g:hover rect{stroke:#fff}}";

impl FlameGraph {
    /// The graph as an SVG image without script. Names and numbers appear when a frame is pointed at.
    pub fn svg(&self) -> String {
        drawn(self)
    }
}

fn drawn(flame: &FlameGraph) -> String {
    let picture = &flame.picture;
    let top = MARGIN + 22.0 + LINE * flame.sentences.len() as f64 + 6.0;
    let height = top + ROW * picture.depth() as f64 + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n",
        xml(&flame.title)
    );
    let mut line = |class: &str, y: f64, text: &str| {
        let text = xml(&cut(text, MOST_LETTERS));
        let _ = writeln!(svg, "<text class=\"{class}\" x=\"{MARGIN}\" y=\"{y}\">{text}</text>");
    };
    line("t", MARGIN + 14.0, &flame.title);
    for (i, sentence) in flame.sentences.iter().enumerate() {
        line("n", MARGIN + 22.0 + LINE * (i as f64 + 0.7), sentence);
    }
    if picture.total() > 0.0 {
        let most_change = most_change(picture);
        for bar in &picture.bars {
            draw(&mut svg, flame, bar, top, most_change);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, flame: &FlameGraph, bar: &Bar, top: f64, most_change: f64) {
    let scale = (WIDTH - 2.0 * MARGIN) / flame.picture.total();
    let (x, width) = (MARGIN + bar.start * scale, bar.value * scale);
    let y = top + ROW * bar.depth as f64;
    let name = flame.picture.name(bar);
    let fill = match name {
        _ if flame.is_difference => change_colour(bar.value - bar.before, most_change),
        None => "#c8c8c8".to_owned(),
        Some(name) => colour(&name.function),
    };
    let function = name.map_or("all", |name| &name.function);
    let _ = write!(
        svg,
        "<g><title>{}</title><rect x=\"{x:.3}\" y=\"{y}\" width=\"{width:.3}\" height=\"{}\" fill=\"{fill}\"/>",
        xml(&described(flame, bar)),
        ROW - 1.0
    );
    let letters = ((width - 6.0) / LETTER) as usize;
    if letters >= 3 {
        let _ = write!(svg, "<text x=\"{:.3}\" y=\"{}\">{}</text>", x + 3.0, y + 12.0, xml(&cut(function, letters)));
    }
    svg.push_str("</g>\n");
}

/// The text that appears when a frame is pointed at.
fn described(flame: &FlameGraph, bar: &Bar) -> String {
    let (bytes, count) = flame.value.pair();
    let whole = flame.picture.total();
    let place = flame.picture.name(bar).map_or_else(|| "all".to_owned(), placed);
    let mut text = format!(
        "{place}: {} bytes in {} allocations, {}",
        grouped(bar.values.of(bytes)),
        grouped(bar.values.of(count)),
        percent(bar.value, whole)
    );
    if flame.is_difference {
        let change = bar.value - bar.before;
        let sign = if change > 0.0 { "+" } else { "" };
        let is_bytes = flame.value.is_bytes();
        let _ = write!(text, "; before {}, change {sign}{}", shown(bar.before, is_bytes), shown(change, is_bytes));
    }
    text
}

/// `function file:line (inlined)`.
fn placed(name: &NodeName) -> String {
    let mut text = name.function.to_string();
    if let Some(file) = &name.file {
        let _ = write!(text, " {file}");
        if let Some(line) = name.line {
            let _ = write!(text, ":{line}");
        }
    }
    if name.is_inline {
        text.push_str(" (inlined)");
    }
    text
}

/// A warm colour that is the same for a function wherever it stands.
fn colour(function: &str) -> String {
    let mut hasher = DefaultHasher::new();
    function.hash(&mut hasher);
    let hash = hasher.finish();
    format!("hsl({},{}%,{}%)", 8 + hash % 46, 75 + (hash >> 8) % 20, 62 + (hash >> 16) % 12)
}

pub(crate) fn most_change(picture: &Picture) -> f64 {
    // The root's change is the sum of all, and would pale all others.
    picture.bars.iter().skip(1).map(|bar| (bar.value - bar.before).abs()).fold(0.0, f64::max)
}

/// Red for growth, blue for shrinking, the stronger the more; grey for none.
fn change_colour(change: f64, most: f64) -> String {
    let strength = if most > 0.0 { (change.abs() / most).min(1.0).sqrt() } else { 0.0 };
    let light = 88.0 - 30.0 * strength;
    match change {
        change if change > 0.0 => format!("hsl(2,80%,{light:.0}%)"),
        change if change < 0.0 => format!("hsl(212,80%,{light:.0}%)"),
        _ => "#d5d5d5".to_owned(),
    }
}
