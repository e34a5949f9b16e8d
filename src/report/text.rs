//! The report as text.

use super::{ApproximationReport, Fact, PortReport, Report, TailReport, human_bytes};
use std::fmt::{Result, Write};

/// Columns of a terminal that the text fits into.
const COLUMNS: usize = 100;

/// The report as text for a terminal; fixed columns stand on the left.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = render(report, &mut out);
    out
}

/// All that is said of a plan as a whole.
pub(super) fn facts(report: &Report) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("model", format!("{} · from {}", report.name, report.source)),
        Fact::new("plan", &report.plan_id),
    ];
    facts.extend(report.choice.as_ref().map(|c| Fact::new("backend", c)));
    facts.extend(parameters(report));
    facts.extend(costs(report));
    for port in &report.inputs {
        let kind = if port.clear { "clear input" } else { "input" };
        facts.push(Fact::new(kind, described(port, "accepts")));
    }
    for port in &report.outputs {
        facts.push(Fact::new("output", described(port, "expects")));
    }
    facts.extend(tail(&report.tail));
    if !report.tail.is_empty() {
        let result = |r: &super::ResultReport| format!("{:?} {:?} of {}", r.name, r.shape, r.dtype);
        let results = report.results.iter().map(result);
        facts.extend(results.map(|r| Fact::new("result", r)));
    }
    let approximations = report.approximations.iter().map(approximation);
    facts.extend(approximations.map(|a| Fact::new("polynomial", a)));
    facts
}

fn parameters(report: &Report) -> [Fact; 2] {
    let (p, s) = (&report.parameters, &report.security);
    let limit = s.limit.map_or_else(|| "none".into(), |l| l.to_string());
    [
        Fact::new(
            "security",
            format!(
                "{} bits: log2(QP) = {:.2}, limit {limit} at N = 2^{}; the table also grants {} classical, {} quantum",
                s.target, s.log_qp, p.log_n, s.met[0], s.met[1]
            ),
        ),
        Fact::new(
            "parameters",
            format!(
                "{}, {} slots, {} levels, primes {} and special {} (bits), {} per digit",
                p.scheme,
                p.slots,
                p.levels,
                list(&p.log_q),
                list(&p.log_p),
                p.digit_size
            ),
        ),
    ]
}

fn costs(report: &Report) -> Vec<Fact> {
    let c = &report.cost;
    let several = c.latency_by_threads.iter();
    let several: String = several
        .map(|l| format!(", {:.1} on {}", 1e3 * l.latency_s, l.threads))
        .collect();
    let mut facts = vec![Fact::new(
        "latency",
        format!(
            "{:.1} ms expected on one thread{several} ({} NTTs, {} multiply-accumulates of one limb)",
            1e3 * c.latency_s,
            c.ntts,
            c.limb_macs
        ),
    )];
    if c.samples > 1 {
        facts.push(Fact::new(
            "batch",
            format!(
                "{} samples a run, {:.1} samples a second expected on one thread; for each {} go in and {} come back",
                c.samples,
                c.samples_per_s,
                human_bytes(c.input_bytes_per_sample),
                human_bytes(c.output_bytes_per_sample)
            ),
        ));
    }
    facts.push(Fact::new(
        "sizes",
        format!(
            "evaluation keys {} ({} rotations), plan {}, inputs {}, outputs {}",
            human_bytes(c.eval_key_bytes),
            c.rotation_keys,
            human_bytes(c.plan_bytes),
            human_bytes(c.input_bytes),
            human_bytes(c.output_bytes)
        ),
    ));
    facts.push(Fact::new(
        "memory",
        format!(
            "{} at the peak of a run, {} at least (`--max-memory`), where matrices are expanded at use",
            human_bytes(c.run_bytes),
            human_bytes(c.least_run_bytes)
        ),
    ));
    facts
}

fn approximation(a: &ApproximationReport) -> String {
    let rms = a
        .rms_error
        .map_or_else(String::new, |e| format!(", {e:.1e} (rms) on the samples"));
    let undecided = a.dead_zone.map_or_else(String::new, |zone| {
        format!(" from a distance of {zone:.2e} to 0 on, undecided below")
    });
    format!(
        "{}: {}, degree {} on [{:.4}, {:.4}], errs by at most {:.1e}{rms}{undecided}",
        a.layer, a.function, a.degree, a.domain[0], a.domain[1], a.sup_error
    )
}

/// What the client computes after decryption.
pub(super) fn tail(steps: &[TailReport]) -> impl Iterator<Item = Fact> {
    steps.iter().map(|step| {
        Fact::new(
            "client",
            format!(
                "computes {} {:?} in clear after decryption: {}",
                step.op, step.shape, step.layer
            ),
        )
    })
}

fn described(port: &PortReport, verb: &str) -> String {
    let precision = port
        .precision_bits
        .map_or_else(String::new, |b| format!(", {b:.1} bits of precision"));
    format!(
        "{:?} {:?} in {} ciphertext(s) of period {}, level {}, scale 2^{:.2}; {verb} [{:.4}, {:.4}]{precision}",
        port.name,
        port.shape,
        port.ciphertexts,
        port.period,
        port.level,
        port.log_scale,
        port.range[0],
        port.range[1]
    )
}

fn list(bits: &[f64]) -> String {
    bits.iter()
        .map(|b| format!("{b:.1}"))
        .collect::<Vec<_>>()
        .join(" + ")
}

/// Writes facts below each other. The first one, of the model, has no label.
pub(super) fn write_facts(facts: &[Fact], out: &mut String) -> Result {
    for Fact { label, value } in facts {
        match *label {
            "model" => hanging("", value, out)?,
            "plan" => hanging("plan ", value, out)?,
            _ => hanging(&format!("{label:<11} "), value, out)?,
        }
    }
    Ok(())
}

/// Writes a text to the right of what stands on the left, its further lines below it. What has no room even on a line of its own
/// is broken.
pub(super) fn hanging(left: &str, text: &str, out: &mut String) -> Result {
    let indent = left.chars().count();
    let room = COLUMNS.saturating_sub(indent).max(20);
    let mut taken = 0;
    out.push_str(left);
    for word in text.split(' ') {
        let word: Vec<char> = word.chars().collect();
        let pieces = word.chunks(room).enumerate();
        for (i, piece) in pieces {
            let gap = usize::from(taken > 0 && i == 0);
            if taken + gap + piece.len() > room {
                write!(out, "\n{:indent$}", "")?;
                taken = 0;
            } else if gap > 0 {
                out.push(' ');
                taken += 1;
            }
            out.extend(piece);
            taken += piece.len();
        }
    }
    writeln!(out)
}

/// Writes an operation and what there is to say about it: to its right, or below where there is no room.
pub(super) fn operation(left: &str, op: &str, detail: &str, out: &mut String) -> Result {
    let line = format!("{left}{op} {detail}");
    let line = line.trim_end();
    if line.chars().count() <= COLUMNS {
        return writeln!(out, "{line}");
    }
    writeln!(out, "{left}{op}")?;
    hanging("          ", detail, out)
}

/// A number in at most eight characters, with at most four decimals.
fn short(x: f64) -> String {
    match x.abs() {
        size if size < 99.5 => format!("{x:.4}"),
        size if size < 999.5 => format!("{x:.3}"),
        size if size < 99_999.5 => format!("{x:.1}"),
        _ => format!("{x:.2e}"),
    }
}

fn render(report: &Report, out: &mut String) -> Result {
    write_facts(&facts(report), out)?;
    writeln!(
        out,
        "\n lvl  scale   noise  approx  rot        ms | range                 | operation"
    )?;
    for layer in &report.layers {
        let left = format!(
            "                                {:>10.3} |                       | ",
            1e3 * layer.latency_s
        );
        hanging(&left, &layer.layer, out)?;
        for step in &layer.steps {
            let bits = |b: Option<f64>| b.map_or_else(|| "-".into(), |b| format!("{b:.1}"));
            let range = format!("[{}, {}]", short(step.range[0]), short(step.range[1]));
            let left = format!(
                " {:>3}  {:>5.2}  {:>6}  {:>6}  {:>3}  {:>8.3} | {range:<21} |   ",
                step.level,
                step.log_scale,
                bits(step.noise_bits),
                bits(step.approximation_bits),
                step.rotations,
                1e3 * step.latency_s
            );
            operation(&left, step.op, &step.detail, out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hung(left: &str, text: &str) -> String {
        let mut out = String::new();
        hanging(left, text, &mut out).unwrap();
        out
    }

    #[test]
    fn long_lines_go_on_below() {
        let words = "word ".repeat(30);
        let found = hung("label       ", words.trim());
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("label       word word") && lines[0].len() == 96);
        assert!(lines[1].starts_with("            word") && !lines[1].ends_with(' '));
        assert_eq!(hung("plan ", "short"), "plan short\n");
        assert_eq!(hung("plan ", ""), "plan \n");
        let mut out = String::new();
        operation("    1 | ", "fold", &"x".repeat(200), &mut out).unwrap();
        let lines: Vec<usize> = out.lines().map(str::len).collect();
        assert_eq!(lines, [12, 100, 100, 30]);
    }

    proptest! {
        #[test]
        fn numbers_of_ranges_are_short(digits in -9.9999..10.0, exponent in -9..=99) {
            let x = digits * 10.0_f64.powi(exponent);
            let text = short(x);
            // The two of a range, with brackets, comma and space, have 21 columns.
            prop_assert!(text.len() <= 8 || exponent > 9 && text.len() <= 9, "{text}");
            let read: f64 = text.parse().unwrap();
            prop_assert!((read - x).abs() <= f64::max(5e-3 * x.abs(), 5e-5), "{text} for {x}");
        }

        #[test]
        fn text_is_kept_and_fits(left in "[a-z ]{0,70}", text in "([a-zé]{0,12} ?){0,30}|[a-z]{200}") {
            let found = hung(&left, &text);
            prop_assert!(found.lines().all(|l| l.chars().count() <= COLUMNS), "{found}");
            let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&found), letters(&left) + &letters(&text));
        }
    }
}
