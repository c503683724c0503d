//! A flame graph as one page: no network, no font, no image but what is in the file.
//!
//! The content policy allows exactly the style and the script that stand here, by their digests; the data is JSON in an
//! element that is not run, and the script puts it on the screen as text only. It chooses nothing (`flame` does).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::flame::FlameGraph;
use crate::number::shown;
use crate::picture::GonePath;
use crate::svg::most_change;
use crate::text::{in_script, xml};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The data that the script draws.
#[derive(Serialize)]
struct Data<'a> {
    value: &'static str,
    unit: &'static str,
    is_bytes: bool,
    is_difference: bool,
    most_change: f64,
    /// Function, file, line (0: unknown), inlined.
    names: Vec<(&'a str, &'a str, u32, u8)>,
    /// Per bar: bar below, depth, name (-1: the root), start, width, bytes, allocations, width before.
    bars: Vec<[i64; 8]>,
}

impl FlameGraph {
    /// The graph as one file of HTML that loads nothing, with search, zoom and keys, light and dark.
    pub fn html(&self) -> String {
        written(self)
    }
}

fn written(flame: &FlameGraph) -> String {
    let title = xml(&flame.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n",
        policy()
    );
    for sentence in &flame.sentences {
        let _ = writeln!(page, "<p>{}</p>", xml(sentence));
    }
    if let Some(query) = &flame.query {
        let _ = writeln!(page, "<p>The same in SQL: <code>{}</code></p>", xml(query));
    }
    page.push_str(CONTROLS);
    gone(&mut page, flame);
    // Serialising numbers and strings cannot fail.
    let data = serde_json::to_string(&data(flame)).unwrap_or_default();
    let _ = write!(
        page,
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        in_script(&data)
    );
    page
}

const CONTROLS: &str = "\
<div id=\"controls\">\n\
<label>Search <input id=\"search\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"function or file\"></label>\n\
<button id=\"reset\" type=\"button\">Whole picture</button>\n\
<output id=\"found\"></output>\n\
<span class=\"keys\">Keys: arrows move, Enter zooms, Esc shows the whole picture, / searches</span>\n\
</div>\n</header>\n\
<noscript><p>This page draws with a script, which this browser does not run.</p></noscript>\n\
<main id=\"graph\" role=\"tree\" aria-label=\"Flame graph, callers above what they call\"></main>\n\
<footer id=\"detail\" aria-live=\"polite\"></footer>\n";

/// The content policy: the page may run this script, use this style, and nothing else.
fn policy() -> String {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        digest(SCRIPT),
        digest(STYLE)
    )
}

fn data(flame: &FlameGraph) -> Data<'_> {
    let (bytes, count) = flame.value.pair();
    let whole = |number: f64| number.round() as i64;
    let bars = flame.picture.bars.iter().map(|bar| {
        let name = bar.name.map_or(-1, i64::from);
        let numbers = [bar.start, bar.value, bar.values.of(bytes), bar.values.of(count), bar.before].map(whole);
        let [start, value, bytes, count, before] = numbers;
        [bar.parent as i64, bar.depth as i64, name, start, value, bytes, count, before]
    });
    // Only the names that are drawn are passed on, and the bars number those.
    let mut bars: Vec<_> = bars.collect();
    let mut at = vec![-1; flame.picture.names.len()];
    let mut names = Vec::new();
    for [_, _, drawn, ..] in &mut bars {
        let Ok(index) = usize::try_from(*drawn) else { continue };
        if at[index] < 0 {
            at[index] = names.len() as i64;
            let name = &flame.picture.names[index];
            let file = name.file.as_deref().unwrap_or("");
            names.push((&*name.function, file, name.line.unwrap_or(0), u8::from(name.is_inline)));
        }
        *drawn = at[index];
    }
    Data {
        value: flame.value.words(),
        unit: flame.value.unit(),
        is_bytes: flame.value.is_bytes(),
        is_difference: flame.is_difference,
        most_change: most_change(&flame.picture).round(),
        names,
        bars,
    }
}

/// A table, since what is gone has no width.
fn gone(page: &mut String, flame: &FlameGraph) {
    if flame.picture.gone.is_empty() {
        return;
    }
    page.push_str("<section>\n<h2>Gone since</h2>\n<table>\n<tr><th>had</th><th>path, the innermost first</th></tr>\n");
    for GonePath { path, before } in &flame.picture.gone {
        let names: Vec<String> = path.iter().rev().take(8).map(|name| xml(&name.function)).collect();
        let more = if path.len() > names.len() { " &larr; .." } else { "" };
        let had = shown(*before, flame.value.is_bytes());
        let _ = writeln!(page, "<tr><td>{had}</td><td>{}{more}</td></tr>", names.join(" &larr; "));
    }
    page.push_str("</table>\n</section>\n");
}
