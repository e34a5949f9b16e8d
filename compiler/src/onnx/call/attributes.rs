//! The attributes of an operator, of the kind that is expected.

use super::super::clear::Clear;
use super::super::error::Refusal;
use super::super::tensor;
use super::{Call, MAX_ATTRIBUTE};
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::{AttributeProto, GraphProto};

impl<'a> Call<'a> {
    /// An attribute of the given type.
    fn attribute(
        &mut self,
        name: &'static str,
        expected: AttributeType,
    ) -> Result<Option<&'a AttributeProto>, Refusal> {
        self.seen.insert(name);
        let mut found = self.node.attribute.iter().filter(|a| a.name == name);
        let Some(attribute) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() {
            return Err(format!("attribute {name:?} is given twice").into());
        }
        if !attribute.ref_attr_name.is_empty() {
            return Err(format!("attribute {name:?} refers to a function's attribute").into());
        }
        match attribute.type_.enum_value() {
            Ok(AttributeType::UNDEFINED) => Ok(Some(attribute)),
            Ok(found) if found == expected => Ok(Some(attribute)),
            found => {
                let found = found.map_or_else(|number| number.to_string(), |t| format!("{t:?}"));
                Err(format!("attribute {name:?} must be of type {expected:?}, not {found}").into())
            }
        }
    }

    /// Whether an attribute is present.
    pub(crate) fn has(&mut self, name: &'static str) -> bool {
        self.seen.insert(name);
        self.node.attribute.iter().any(|a| a.name == name)
    }

    pub(crate) fn int(&mut self, name: &'static str, default: i64) -> Result<i64, Refusal> {
        Ok(self
            .attribute(name, AttributeType::INT)?
            .map_or(default, |a| a.i))
    }

    /// An attribute that is 0 or 1.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, Refusal> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("attribute {name:?} must be 0 or 1, not {other}").into()),
        }
    }

    pub(crate) fn float(&mut self, name: &'static str, default: f32) -> Result<f64, Refusal> {
        let value = self
            .attribute(name, AttributeType::FLOAT)?
            .map_or(default, |a| a.f);
        if value.is_finite() {
            Ok(f64::from(value))
        } else {
            Err(format!("attribute {name:?} is {value}").into())
        }
    }

    pub(crate) fn floats(&mut self, name: &'static str) -> Result<Option<Vec<f64>>, Refusal> {
        Ok(self
            .attribute(name, AttributeType::FLOATS)?
            .map(|a| a.floats.iter().map(|x| f64::from(*x)).collect()))
    }

    pub(crate) fn ints(&mut self, name: &'static str) -> Result<Option<Vec<i64>>, Refusal> {
        Ok(self
            .attribute(name, AttributeType::INTS)?
            .map(|a| a.ints.clone()))
    }

    /// Sizes of the given number of axes, each at least `least`.
    pub(crate) fn sizes(
        &mut self,
        name: &'static str,
        count: usize,
        least: i64,
    ) -> Result<Option<Vec<usize>>, Refusal> {
        let Some(values) = self.ints(name)? else {
            return Ok(None);
        };
        if values.len() != count {
            return Err(format!(
                "attribute {name:?} has {} numbers, not {count}",
                values.len()
            )
            .into());
        }
        match values
            .iter()
            .find(|v| !(least..=MAX_ATTRIBUTE).contains(*v))
        {
            Some(bad) => Err(format!(
                "attribute {name:?} holds {bad}, which is not between {least} and 2^24"
            )
            .into()),
            None => Ok(Some(values.iter().map(|v| *v as usize).collect())),
        }
    }

    pub(crate) fn string(&mut self, name: &'static str, default: &str) -> Result<String, Refusal> {
        match self.attribute(name, AttributeType::STRING)? {
            None => Ok(default.to_owned()),
            Some(a) => String::from_utf8(a.s.clone())
                .map_err(|_| format!("attribute {name:?} is no text").into()),
        }
    }

    pub(crate) fn strings(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(attribute) = self.attribute(name, AttributeType::STRINGS)? else {
            return Ok(None);
        };
        let texts = attribute
            .strings
            .iter()
            .map(|s| String::from_utf8(s.clone()));
        texts
            .collect::<Result<_, _>>()
            .map(Some)
            .map_err(|_| format!("attribute {name:?} is no text").into())
    }

    pub(crate) fn tensor(&mut self, name: &'static str) -> Result<Option<Clear>, Refusal> {
        let dir = self.dir;
        self.attribute(name, AttributeType::TENSOR)?
            .map(|a| {
                tensor::decode(a.t.get_or_default(), dir)
                    .map_err(|e| format!("attribute {name:?}: {e}").into())
            })
            .transpose()
    }

    pub(crate) fn graph(&mut self, name: &'static str) -> Result<Option<&'a GraphProto>, Refusal> {
        let found = self.attribute(name, AttributeType::GRAPH)?;
        Ok(found.and_then(|a| a.g.as_ref()))
    }

    pub(crate) fn sparse_tensor(&mut self, name: &'static str) -> Result<Option<Clear>, Refusal> {
        let dir = self.dir;
        self.attribute(name, AttributeType::SPARSE_TENSOR)?
            .map(|a| {
                tensor::decode_sparse(a.sparse_tensor.get_or_default(), dir)
                    .map_err(|e| format!("attribute {name:?}: {e}").into())
            })
            .transpose()
    }

    /// Refuses attributes that the importer did not ask for: they might change the meaning.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        match self
            .node
            .attribute
            .iter()
            .find(|a| !self.seen.contains(a.name.as_str()))
        {
            None => Ok(()),
            Some(a) => Err(format!("attribute {:?} is not known for this operator", a.name).into()),
        }
    }
}
