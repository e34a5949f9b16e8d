//! What every page of `explain --format html` is made of. A page needs no other file, runs no script, and says so in its
//! content security policy; it follows the reader's wish for light or dark, and narrow windows.

use super::Fact;
use std::fmt::{Result, Write};

/// Rows of a drawing, at most; further layers stand in the table alone.
pub(super) const MOST_ROWS: usize = 400;

const STYLE: &str = "\
:root{color-scheme:light dark;--fg:#222;--bg:#fff;--dim:#666;--line:#ddd;--band:#f2f4f6;--a:#1f6f9f;--b:#c2491d;--bar:#7fa8c0;--seen:#e3edf3}\
@media(prefers-color-scheme:dark){:root{--fg:#ddd;--bg:#16181a;--dim:#9aa;--line:#3a3f44;--band:#22262a;--a:#6fb9e6;--b:#f2905f;--bar:#3f6f8c;--seen:#24323b}}\
*{box-sizing:border-box}\
body{font:14px/1.4 sans-serif;margin:0 auto;padding:1em 1.2em 3em;max-width:76em;color:var(--fg);background:var(--bg);overflow-wrap:anywhere}\
h1{font-size:1.6em;margin:.4em 0}h2{font-size:1.2em;margin:1.8em 0 .6em}\
p.dim,.dim{color:var(--dim)}\
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15em 1em;margin:0}dt{color:var(--dim)}dd{margin:0}\
figure{margin:0}figcaption{margin-bottom:.3em}\
.row{display:grid;grid-template-columns:minmax(0,2fr) minmax(0,3fr);gap:.1em .8em;align-items:center}.name{text-align:right}\
.track{display:flex;align-items:center;gap:.5em}.bar{flex:none;height:.8em;background:var(--bar)}.value{white-space:nowrap}\
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26em),1fr));gap:1.6em 2em;align-items:end}\
svg{display:block;width:100%;height:auto}svg.graph{max-width:46em}\
svg text{font:11px monospace;fill:var(--fg)}svg .dim{fill:var(--dim)}\
.axis{stroke:var(--line);fill:none}.frame{stroke:var(--dim);fill:none}.seen{fill:var(--seen)}\
.a{stroke:var(--a);fill:none;stroke-width:1.6}.b{stroke:var(--b);fill:none;stroke-width:1.6;stroke-dasharray:5 3}\
.error{stroke:var(--b);fill:none}\
.edge{stroke:var(--bar);fill:none}.layer{fill:var(--a)}.port{fill:var(--b)}\
.key{display:inline-block;margin-right:1em}.key svg{display:inline-block;width:2em;height:.7em;margin-right:.4em}\
.scroll{overflow-x:auto}table{border-collapse:collapse}\
td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}\
td.l,th.l{text-align:left}td.wide{white-space:normal;min-width:20em}\
tr.group td{background:var(--band);font-weight:bold;white-space:normal}small{color:var(--dim);display:block}";

/// A page of a title, facts and sections.
pub(super) struct Page {
    out: String,
}

impl Page {
    /// Begins a page: what the model is called, and the facts about its plan.
    pub(super) fn new(name: &str, facts: &[Fact]) -> Self {
        let name = escape(name);
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
             <title>{name}</title>\n<style>{STYLE}</style></head><body>\n<h1>{name}</h1>\n<dl>\n"
        );
        for Fact { label, value } in facts {
            out.push_str(&format!(
                "<dt>{}</dt><dd>{}</dd>\n",
                escape(label),
                escape(value)
            ));
        }
        out.push_str("</dl>\n");
        Self { out }
    }

    /// A section under a title.
    pub(super) fn section(
        &mut self,
        title: &str,
        content: impl FnOnce(&mut String) -> Result,
    ) -> Result {
        writeln!(self.out, "<section>\n<h2>{}</h2>", escape(title))?;
        content(&mut self.out)?;
        writeln!(self.out, "</section>")
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</body></html>\n");
        self.out
    }
}

/// The table of all steps, which `rows` writes; the columns beside the operation.
pub(super) fn grouped(
    columns: [&str; 7],
    out: &mut String,
    rows: impl FnOnce(&mut String) -> Result,
) -> Result {
    let heads = columns.map(|c| format!("<th>{c}</th>")).concat();
    writeln!(
        out,
        "<div class=\"scroll\"><table class=\"steps\">\n<tr><th class=\"l\">operation</th>{heads}</tr>"
    )?;
    rows(out)?;
    writeln!(out, "</table></div>")
}

/// The row of that table that is above a layer's steps: its name, its rotations or bootstraps, its time.
pub(super) fn group(
    layer: &str,
    count: impl std::fmt::Display,
    seconds: f64,
    out: &mut String,
) -> Result {
    writeln!(
        out,
        "<tr class=\"group\"><td class=\"l\" colspan=\"6\">{}</td><td>{count}</td><td>{:.3}</td></tr>",
        escape(layer),
        1e3 * seconds
    )
}

/// A row of a bar chart.
pub(super) struct Bar<'r> {
    pub(super) name: &'r str,
    pub(super) length: f64,
    pub(super) text: String,
}

/// Bars below each other, each as long as its part of the longest.
pub(super) fn bars(what: &str, rows: &[Bar<'_>], out: &mut String) -> Result {
    let shown = rows.get(..MOST_ROWS).unwrap_or(rows);
    let longest = shown.iter().map(|r| r.length);
    let longest = longest.fold(f64::MIN_POSITIVE, f64::max);
    writeln!(out, "<figure aria-label=\"{what}\">")?;
    for bar in shown {
        writeln!(
            out,
            "<div class=\"row\"><span class=\"name\">{}</span><span class=\"track\"><span class=\"bar\" \
             style=\"width:calc({:.4}*(100% - 7em))\"></span><span class=\"value\">{}</span></span></div>",
            escape(bar.name),
            bar.length / longest,
            escape(&bar.text)
        )?;
    }
    writeln!(out, "</figure>")?;
    more(rows.len(), out)
}

/// Says how many rows were left out.
pub(super) fn more(rows: usize, out: &mut String) -> Result {
    match rows.saturating_sub(MOST_ROWS) {
        0 => Ok(()),
        left => writeln!(
            out,
            "<p class=\"dim\">{left} more stand in the table of steps.</p>"
        ),
    }
}

/// Text within markup. Characters that no page may hold are shown as such.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_escaped() {
        assert_eq!(
            escape("<a href='x'>&\"</a>\u{1}"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;\u{fffd}"
        );
    }
}
