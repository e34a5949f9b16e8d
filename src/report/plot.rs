//! Axes and curves, as SVG.

use super::page::escape;
use std::fmt::{Result, Write};

/// Width of a plot's drawing, in its own units, of which an em of text has 11.
pub(super) const WIDTH: f64 = 460.0;
/// Where the axis of values stands; numbers have their place to the left of it.
const LEFT: f64 = 58.0;
/// Where plots end on the right.
const RIGHT: f64 = WIDTH - 12.0;

/// A curve: its class in the page's style, and its points.
pub(super) type Curve<'c> = (&'c str, Vec<[f64; 2]>);

/// A frame with ticks at both axes.
pub(super) struct Panel {
    /// The lowest and the highest abscissa.
    pub(super) x: [f64; 2],
    /// The lowest and the highest value.
    pub(super) y: [f64; 2],
    /// Where the frame begins and ends, from above.
    pub(super) rows: [f64; 2],
}

impl Panel {
    /// The place of an abscissa.
    pub(super) fn across(&self, x: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * part(x, self.x)
    }

    /// The place of a value.
    fn down(&self, y: f64) -> f64 {
        let [top, bottom] = self.rows;
        bottom - (bottom - top) * part(y, self.y)
    }

    /// The part of the frame between two abscissas, filled.
    pub(super) fn band(&self, class: &str, [from, to]: [f64; 2], out: &mut String) -> Result {
        let (from, to) = (self.across(from), self.across(to));
        let [top, bottom] = self.rows;
        writeln!(
            out,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\"/>",
            (to - from).max(0.0),
            bottom - top
        )
    }

    /// Lines and numbers at round values, with those of abscissas below the frame if asked for.
    pub(super) fn axes(&self, count: usize, numbers_below: bool, out: &mut String) -> Result {
        let [top, bottom] = self.rows;
        for (value, text) in ticks(self.y, count) {
            let y = self.down(value);
            writeln!(
                out,
                "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 5.0,
                y + 3.5
            )?;
        }
        for (value, text) in ticks(self.x, 6) {
            let x = self.across(value);
            writeln!(
                out,
                "<line class=\"axis\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
            )?;
            if numbers_below {
                // A number at an end stays within the drawing.
                let room = 3.4 * text.chars().count() as f64;
                let x = x.clamp(room, WIDTH - room);
                writeln!(
                    out,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                    bottom + 13.0
                )?;
            }
        }
        writeln!(
            out,
            "<rect class=\"frame\" x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"{}\"/>",
            RIGHT - LEFT,
            bottom - top
        )
    }

    /// A curve; points whose value leaves the frame are left out, and the curve is broken there.
    pub(super) fn curve(&self, (class, points): &Curve<'_>, out: &mut String) -> Result {
        let inside = |[_, y]: &[f64; 2]| *y >= self.y[0] && *y <= self.y[1];
        let pieces = points.split(|p| !inside(p)).filter(|p| !p.is_empty());
        for piece in pieces {
            let place = |[x, y]: &[f64; 2]| format!("{:.1},{:.1}", self.across(*x), self.down(*y));
            let places: Vec<String> = piece.iter().map(place).collect();
            writeln!(
                out,
                "<polyline class=\"{class}\" points=\"{}\"/>",
                places.join(" ")
            )?;
        }
        Ok(())
    }
}

/// Begins a drawing of this height.
pub(super) fn open(what: &str, height: f64, class: &str, out: &mut String) -> Result {
    writeln!(
        out,
        "<svg class=\"{class}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(what)
    )
}

/// What a line of a class stands for, or a filled part.
pub(super) fn key(class: &str, name: &str) -> String {
    let mark = match class {
        "seen" => "<rect class=\"seen\" width=\"24\" height=\"8\"/>".to_owned(),
        class => format!("<line class=\"{class}\" x1=\"0\" y1=\"4\" x2=\"24\" y2=\"4\"/>"),
    };
    format!(
        "<span class=\"key\"><svg viewBox=\"0 0 24 8\" aria-hidden=\"true\">{mark}</svg>{name}</span>"
    )
}

/// The range of some values with a little room; 0 to 1 where there is none.
pub(super) fn range_of(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let finite = values.filter(|v| v.is_finite());
    let lo = finite.clone().fold(f64::INFINITY, f64::min);
    let hi = finite.fold(f64::NEG_INFINITY, f64::max);
    if lo > hi {
        return [0.0, 1.0];
    }
    let room = match 0.04 * (hi - lo) {
        room if room > 1e-12 * hi.abs().max(lo.abs()) => room,
        _ => 0.5 * hi.abs().max(1e-300),
    };
    [lo - room, hi + room]
}

/// Where a value lies in an interval, 0 to 1.
fn part(v: f64, [lo, hi]: [f64; 2]) -> f64 {
    (v - lo) / (hi - lo)
}

/// Round numbers within an interval, at most `most`, and how they are written.
fn ticks([lo, hi]: [f64; 2], most: usize) -> Vec<(f64, String)> {
    let least = (hi - lo) / most as f64;
    if !(least > 0.0 && least.is_finite()) {
        return vec![];
    }
    let power = libm::pow(10.0, libm::floor(libm::log10(least)));
    let steps = [1.0, 2.0, 5.0, 10.0].map(|s| s * power);
    let step = steps.into_iter().find(|s| *s >= 0.999 * least);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((lo / step).ceil(), (hi / step).floor());
    // A step is at least a part of the width, so that these are few.
    (0..=(last - first).clamp(0.0, 20.0) as usize)
        .map(|i| (first + i as f64) * step)
        .filter(|v| *v >= lo && *v <= hi)
        .map(|v| (v, number(v, step)))
        .collect()
}

/// The characters that have room beside an axis.
const LABEL: usize = 9;

/// A multiple of a step, with the digits that tell it from the next one as far as there is room.
fn number(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = -libm::floor(libm::log10(step) + 1e-9);
    if (-3.0..=4.0).contains(&digits) && value.abs() < 1e5 {
        let plain = format!("{value:.*}", digits.max(0.0) as usize);
        if plain.len() <= LABEL {
            return plain;
        }
    }
    let leading = libm::floor(libm::log10(value.abs()) + 1e-9) + digits;
    format!("{value:.*e}", leading.clamp(0.0, 3.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let of = |lo, hi| -> Vec<String> {
            let all = ticks([lo, hi], 5).into_iter();
            all.map(|(_, text)| text).collect()
        };
        assert_eq!(of(-1.04, 1.04), ["-1.0", "-0.5", "0", "0.5", "1.0"]);
        assert_eq!(of(0.0, 37.0), ["0", "10", "20", "30"]);
        assert_eq!(of(0.0, 0.00037), ["0", "0.0001", "0.0002", "0.0003"]);
        assert_eq!(of(-2e-7, 2e-7), ["-2e-7", "-1e-7", "0", "1e-7", "2e-7"]);
        assert_eq!(
            of(99_000.0, 131_000.0),
            ["1.0e5", "1.1e5", "1.2e5", "1.3e5"]
        );
        assert_eq!(of(-25926.796, -25926.795), ["-2.593e4"; 5]);
        assert_eq!(of(1.0, 1.0), [""; 0]);
        assert_eq!(of(f64::NEG_INFINITY, 1.0), [""; 0]);
    }

    #[test]
    fn curves_are_broken_where_they_leave() {
        let panel = Panel {
            x: [0.0, 4.0],
            y: [-1.0, 1.0],
            rows: [10.0, 110.0],
        };
        let points = [0.0, 1.0, 9.0, f64::NAN, -1.0].into_iter().enumerate();
        let points = points.map(|(i, y)| [i as f64, y]).collect();
        let mut out = String::new();
        panel.curve(&("a", points), &mut out).unwrap();
        assert_eq!(
            out,
            "<polyline class=\"a\" points=\"58.0,60.0 155.5,10.0\"/>\n<polyline class=\"a\" points=\"448.0,110.0\"/>\n"
        );
    }

    proptest! {
        #[test]
        fn ticks_are_few_distinct_and_inside(lo in -1e6_f64..1e6, width in prop_oneof![1e-6_f64..1.0, 1.0_f64..1e9], most in 2_usize..8) {
            let found = ticks([lo, lo + width], most);
            prop_assert!(found.len() <= most + 1, "{found:?}");
            prop_assert!(found.iter().all(|(v, t)| *v >= lo && *v <= lo + width && t.len() <= LABEL), "{found:?}");
            prop_assert!(found.windows(2).all(|w| w[0].0 < w[1].0), "{found:?}");
        }

        #[test]
        fn ranges_hold_their_values(values in prop::collection::vec(prop::num::f64::NORMAL.prop_map(|v| v % 1e9), 1..9)) {
            let [lo, hi] = range_of(values.iter().copied());
            prop_assert!(lo < hi && values.iter().all(|v| *v >= lo && *v <= hi));
        }
    }
}
