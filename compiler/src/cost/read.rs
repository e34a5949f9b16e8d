//! The text form of cost models: JSON, every field required, none unknown.

use super::{CostModel, Rates, Ring};
use cipherloom_ir::security::{MAX_LOG_N, MIN_LOG_N};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// What the field `format` says.
const FORMAT: &str = "cipherloom cost model";
/// The one version that is read and written.
const VERSION: u64 = 2;
/// Longer files are no cost models.
const MAX_BYTES: usize = 1 << 16;
/// No rate is larger, so that sums stay finite.
const MAX_NUMBER: f64 = 1e15;
/// No text is longer.
const MAX_TEXT: usize = 1000;

/// Why a text is no cost model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CostModelError {
    /// It is no JSON.
    #[error("the cost model is not JSON: {0}; `cipherloom calibrate` writes one")]
    Json(String),
    /// It is longer than any cost model.
    #[error("the cost model has {0} bytes, more than {MAX_BYTES}")]
    Length(usize),
    /// It is of another version.
    #[error(
        "the cost model is of version {0}, this program reads version {VERSION}: write it anew with `cipherloom calibrate`"
    )]
    Version(u64),
    /// A field is missing, unknown or out of bounds.
    #[error("cost model: {field} {reason}")]
    Field {
        /// The field, as a path from the top.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn fault(field: &str, reason: impl Into<String>) -> CostModelError {
    CostModelError::Field {
        field: field.into(),
        reason: reason.into(),
    }
}

/// An object and where it stands.
struct Object<'v> {
    path: String,
    fields: &'v Map<String, Value>,
}

impl<'v> Object<'v> {
    /// The object at a path, with exactly these fields.
    fn new(path: &str, value: &'v Value, known: &[&str]) -> Result<Self, CostModelError> {
        let named = if path.is_empty() { "the file" } else { path };
        let fields = value.as_object();
        let fields = fields.ok_or_else(|| fault(named, "is no object"))?;
        let object = Self {
            path: path.into(),
            fields,
        };
        for name in known {
            object.get(name)?;
        }
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(fault(&object.at(name), "is no field of a cost model")),
            None => Ok(object),
        }
    }

    fn at(&self, name: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{name}", self.path)
    }

    fn get(&self, name: &str) -> Result<&'v Value, CostModelError> {
        let value = self.fields.get(name);
        value.ok_or_else(|| fault(&self.at(name), "is missing"))
    }

    fn text(&self, name: &str) -> Result<&'v str, CostModelError> {
        let text = self.get(name)?.as_str().filter(|t| t.len() <= MAX_TEXT);
        text.ok_or_else(|| {
            let reason = format!("is no text of at most {MAX_TEXT} bytes");
            fault(&self.at(name), reason)
        })
    }

    fn integer(&self, name: &str) -> Result<u64, CostModelError> {
        let number = self.get(name)?.as_u64();
        number.ok_or_else(|| fault(&self.at(name), "is no whole number"))
    }

    fn number(&self, name: &str, low: f64, high: f64) -> Result<f64, CostModelError> {
        let number = self.get(name)?.as_f64();
        let number = number.filter(|x| (low..=high).contains(x));
        number.ok_or_else(|| {
            let reason = format!("is no number from {low} to {high}");
            fault(&self.at(name), reason)
        })
    }

    fn rates(&self, name: &str) -> Result<Rates, CostModelError> {
        let known = Rates::FIELDS.map(|(name, _)| name);
        let object = Object::new(&self.at(name), self.get(name)?, &known)?;
        let mut rates = Rates::default();
        for (name, field) in Rates::FIELDS {
            *field(&mut rates) = object.number(name, 0.0, MAX_NUMBER)?;
        }
        Ok(rates)
    }
}

impl CostModel {
    /// Reads the text form.
    ///
    /// # Errors
    /// A text that is no cost model of this version; the field that is wrong is named.
    pub fn from_text(text: &str) -> Result<Self, CostModelError> {
        if text.len() > MAX_BYTES {
            return Err(CostModelError::Length(text.len()));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|e| CostModelError::Json(e.to_string()))?;
        let version = value.get("version").and_then(Value::as_u64);
        if let Some(other) = version.filter(|v| *v != VERSION) {
            return Err(CostModelError::Version(other));
        }
        let known = [
            "format",
            "version",
            "machine",
            "memory_bytes_per_s",
            "rings",
        ];
        let top = Object::new("", &value, &known)?;
        if top.text("format")? != FORMAT {
            return Err(fault("format", format!("is not {FORMAT:?}")));
        }
        top.integer("version")?;
        let mut model = Self {
            machine: top.text("machine")?.to_owned(),
            memory_bytes_per_s: top.number("memory_bytes_per_s", 1.0, MAX_NUMBER)?,
            ..Self::default()
        };
        let rings = top.get("rings")?.as_array().filter(|r| !r.is_empty());
        let rings = rings.ok_or_else(|| fault("rings", "is no array with an element"))?;
        for (i, value) in rings.iter().enumerate() {
            let path = format!("rings[{i}]");
            let known = ["log_n", "serial_share", "narrow", "wide"];
            let object = Object::new(&path, value, &known)?;
            let bounds = u64::from(MIN_LOG_N)..=u64::from(MAX_LOG_N);
            let log_n = Some(object.integer("log_n")?).filter(|n| bounds.contains(n));
            let log_n = log_n.ok_or_else(|| {
                let reason = format!("is not from {MIN_LOG_N} to {MAX_LOG_N}");
                fault(&object.at("log_n"), reason)
            })?;
            let ring = Ring {
                narrow: object.rates("narrow")?,
                wide: object.rates("wide")?,
                serial_share: object.number("serial_share", 0.0, 1.0)?,
            };
            if model.rings.insert(log_n as u32, ring).is_some() {
                return Err(fault(&object.at("log_n"), "occurs twice"));
            }
        }
        Ok(model)
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        let rates = |mut rates: Rates| -> Map<String, Value> {
            let fields = Rates::FIELDS.iter();
            fields
                .map(|(name, field)| ((*name).to_owned(), json!(*field(&mut rates))))
                .collect()
        };
        let ring = |(log_n, ring): (&u32, &Ring)| {
            json!({
                "log_n": log_n,
                "serial_share": ring.serial_share,
                "narrow": rates(ring.narrow),
                "wide": rates(ring.wide),
            })
        };
        let value = json!({
            "format": FORMAT,
            "version": VERSION,
            "machine": self.machine,
            "memory_bytes_per_s": self.memory_bytes_per_s,
            "rings": self.rings.iter().map(ring).collect::<Vec<_>>(),
        });
        format!("{value:#}\n")
    }
}
