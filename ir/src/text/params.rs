//! Parameters and scales in texts.

use super::{Cursor, Kind, Line, ParseError, Token};
use crate::params::CkksLiteral;
use crate::scale::{MAX_SCALE_BITS, Scale};
use crate::security::Security;
use std::collections::BTreeMap;

/// The lines `params`, `q` and `p`.
pub(crate) fn print_params(p: &CkksLiteral) -> String {
    let list = |primes: &[u64]| {
        primes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    // A limit outside the table is left to the verifier.
    let limit = p
        .security
        .max_log_qp(p.log_n)
        .map_or_else(|| "none".to_owned(), |l| l.to_string());
    format!(
        "params ckks · log_n {} · security {} · digit_size {} ; log QP {:.2}, limit {limit}\nq [{}]\np [{}]\n",
        p.log_n,
        p.security,
        p.digit_size,
        p.log_qp(),
        list(&p.q),
        list(&p.p)
    )
}

/// Reads one of those lines into `params`; `false` if it is another line.
pub(crate) fn read_params(line: &Line<'_>, params: &mut CkksLiteral) -> Result<bool, ParseError> {
    let mut cursor = Cursor::new(line);
    match cursor.peek() {
        Some(Kind::Word("params")) => {
            cursor.expect("params")?;
            cursor.expect("ckks")?;
            cursor.expect("log_n")?;
            params.log_n = cursor.number()?;
            cursor.expect("security")?;
            let quantum = match cursor.word()? {
                "classical" => false,
                "quantum" => true,
                _ => return Err(cursor.error("this is neither classical nor quantum")),
            };
            let bits = cursor.number()?;
            params.security = Security::from_bits(bits, quantum)
                .ok_or_else(|| cursor.error("there is no security target of so many bits"))?;
            cursor.expect("digit_size")?;
            params.digit_size = cursor.number()?;
        }
        Some(Kind::Word("q")) => {
            cursor.expect("q")?;
            params.q = cursor.list()?;
        }
        Some(Kind::Word("p")) => {
            cursor.expect("p")?;
            params.p = cursor.list()?;
        }
        _ => return Ok(false),
    }
    cursor.end()?;
    Ok(true)
}

/// Parameters without a prime, to be filled by [`read_params`].
pub(crate) fn no_params() -> CkksLiteral {
    CkksLiteral {
        log_n: 0,
        q: vec![],
        p: vec![],
        digit_size: 0,
        security: Security::Classical128,
    }
}

/// The scale that a number spells: `2^40`, an integer or a fraction.
pub(crate) fn scale_of(text: &str) -> Option<Scale> {
    if let Some(bits) = text.strip_prefix("2^") {
        return bits
            .parse()
            .ok()
            .filter(|b| u64::from(*b) < MAX_SCALE_BITS)
            .map(Scale::pow2);
    }
    text.parse().ok()
}

/// The scales of a text's table.
pub(crate) struct ScaleTable(BTreeMap<u32, Scale>);

impl ScaleTable {
    /// Collects the lines `scale $0 = 3/4`.
    pub(crate) fn read(lines: &[Line<'_>]) -> Result<Self, ParseError> {
        let mut table = BTreeMap::new();
        for line in lines {
            let mut cursor = Cursor::new(line);
            if line.columns.is_some() || !cursor.accept("scale") {
                continue;
            }
            let Kind::Scale(number) = cursor.any()? else {
                return Err(cursor.error("this is no scale such as $3"));
            };
            cursor.equals()?;
            let scale = scale_of(cursor.spelled()?)
                .ok_or_else(|| cursor.error("this is no positive fraction"))?;
            if table.insert(*number, scale).is_some() {
                return Err(cursor.error(format!("${number} is given twice")));
            }
            cursor.end()?;
        }
        Ok(Self(table))
    }

    /// The scale that a token stands for.
    pub(crate) fn get(&self, kind: &Kind<'_>) -> Option<Scale> {
        match kind {
            Kind::Scale(number) => self.0.get(number).cloned(),
            Kind::Number(text) => scale_of(text),
            _ => None,
        }
    }

    /// The factor and its scale behind a term's operand: `times 0.5 at $3`.
    pub(crate) fn factor(&self, cursor: &mut Cursor<'_, '_>) -> Result<(f64, Scale), ParseError> {
        cursor.expect("times")?;
        let value = cursor.number()?;
        cursor.expect("at")?;
        let scale = self.get(cursor.any()?);
        let scale = scale.ok_or_else(|| cursor.error("this is no scale of the table"))?;
        Ok((value, scale))
    }

    /// The scale of an attribute's token.
    pub(crate) fn attribute(
        &self,
        line: &Line<'_>,
        token: Option<&Token<'_>>,
    ) -> Result<Scale, ParseError> {
        let scale = token.and_then(|t| self.get(&t.kind));
        scale.ok_or_else(|| line.error("a scale is missing, or is not in the table"))
    }
}
