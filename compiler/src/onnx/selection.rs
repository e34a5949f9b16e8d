//! Which element of a value each element of a result is: what slicing, gathering, padding and their like come to.

use super::clear::{Clear, computed_count};
use cipherloom_ir::value::{Tensor, element_count, strides};

/// The positions along one axis that a result takes, in its order; [`NOTHING`] where it is 0 instead.
pub(crate) type Picks = Vec<i64>;

/// The position of an element that is no element of the operand but 0.
pub(crate) const NOTHING: i64 = -1;

/// For each element of the result, row by row, the position of the operand's element, or [`NOTHING`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    shape: Vec<usize>,
    index: Vec<i64>,
}

impl Selection {
    /// A selection whose positions are given; the caller answers for their being inside of the operand.
    pub(crate) fn new(shape: &[usize], index: Vec<i64>) -> Result<Self, String> {
        if computed_count(shape)? != index.len() {
            return Err("the positions do not fill the shape".into());
        }
        Ok(Self {
            shape: shape.to_vec(),
            index,
        })
    }

    /// The elements of an operand of shape `from` that lie at the picked positions along every axis.
    pub(crate) fn along_axes(from: &[usize], picks: &[Picks]) -> Result<Self, String> {
        if from.len() != picks.len() {
            return Err("the axes are not those of the operand".into());
        }
        let shape: Vec<usize> = picks.iter().map(Vec::len).collect();
        computed_count(&shape)?;
        let mut index = vec![0_i64];
        for ((list, size), step) in picks.iter().zip(from).zip(strides(from)) {
            if list.iter().any(|p| *p >= *size as i64 || *p < NOTHING) {
                return Err(format!("a position does not exist in {size} elements"));
            }
            // The last axis runs fastest, so each position before it is followed by all of this axis.
            let mut next = Vec::with_capacity(index.len() * list.len());
            for before in &index {
                next.extend(list.iter().map(|p| {
                    if *before == NOTHING || *p == NOTHING {
                        NOTHING
                    } else {
                        before + p * step as i64
                    }
                }));
            }
            index = next;
        }
        Ok(Self { shape, index })
    }

    /// The elements at the picked positions along one axis.
    pub(crate) fn along_axis(from: &[usize], axis: usize, picks: Picks) -> Result<Self, String> {
        let mut all: Vec<Picks> = from.iter().map(|size| whole(*size)).collect();
        *all.get_mut(axis).ok_or("the axis does not exist")? = picks;
        Self::along_axes(from, &all)
    }

    /// The same elements in another shape.
    pub(crate) fn reshaped(self, shape: &[usize]) -> Result<Self, String> {
        if element_count(shape) == Some(self.index.len()) {
            Ok(Self {
                shape: shape.to_vec(),
                ..self
            })
        } else {
            Err(format!(
                "{:?} does not have as many elements as {shape:?}",
                self.shape
            ))
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether it takes all `count` elements in their order.
    pub(crate) fn is_identity(&self, count: usize) -> bool {
        self.index.len() == count && self.index.iter().zip(0..).all(|(a, b)| *a == b)
    }

    /// The selected elements of a constant.
    pub(crate) fn of(&self, x: &Clear) -> Result<Clear, String> {
        let data = x.data();
        let pick = |i: &i64| match *i {
            NOTHING => Some(0.0),
            i => data.get(usize::try_from(i).ok()?).copied(),
        };
        let picked: Option<Vec<f64>> = self.index.iter().map(pick).collect();
        let picked = picked.ok_or("a position lies outside of the constant")?;
        Tensor::new(self.shape.clone(), picked)
            .map(|t| Clear::new(&x.name, x.elem, t))
            .ok_or_else(|| "the positions do not fill the shape".into())
    }

    /// The positions as a tensor.
    pub(crate) fn into_tensor(self) -> Option<Tensor> {
        let data = self.index.into_iter().map(|i| i as f64).collect();
        Tensor::new(self.shape, data)
    }
}

/// All positions of an axis.
pub(crate) fn whole(size: usize) -> Picks {
    (0..size as i64).collect()
}

/// Indices that may count from the end, as positions of an axis of the given size.
pub(crate) fn resolved(indices: &[i64], size: usize) -> Result<Picks, String> {
    indices
        .iter()
        .map(|index| {
            let from_start = if *index < 0 {
                index.saturating_add(size as i64)
            } else {
                *index
            };
            if (0..size as i64).contains(&from_start) {
                Ok(from_start)
            } else {
                Err(format!("index {index} does not exist in {size} elements"))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::clear::Elem;

    #[test]
    fn positions_combine_over_the_axes() {
        let selection =
            Selection::along_axes(&[2, 3], &[vec![1, NOTHING], vec![2, 0, NOTHING]]).unwrap();
        assert_eq!(selection.shape(), [2, 3]);
        assert_eq!(selection.index, [5, 3, -1, -1, -1, -1]);
        let x = Clear::new(
            "x",
            Elem::F32,
            Tensor::new(vec![2, 3], (10..16).map(f64::from).collect()).unwrap(),
        );
        assert_eq!(
            selection.of(&x).unwrap().data(),
            [15.0, 13.0, 0.0, 0.0, 0.0, 0.0]
        );
        assert!(!selection.is_identity(6));
        let all = Selection::along_axes(&[2, 3], &[whole(2), whole(3)]).unwrap();
        assert!(all.is_identity(6) && !all.is_identity(7));
        assert_eq!(all.reshaped(&[6]).unwrap().shape(), [6]);
        let none = Selection::along_axes(&[2, 3], &[vec![], whole(3)]).unwrap();
        assert_eq!((none.shape(), none.index.len()), (&[0, 3][..], 0));
    }

    #[test]
    fn positions_outside_are_refused() {
        assert!(Selection::along_axes(&[2], &[vec![2]]).is_err());
        assert!(Selection::along_axes(&[2], &[vec![-2]]).is_err());
        assert!(Selection::along_axes(&[2], &[]).is_err());
        assert!(Selection::along_axis(&[2], 1, vec![0]).is_err());
        let huge = vec![0; 1 << 13];
        assert!(Selection::along_axes(&[1, 1], &[huge.clone(), huge]).is_err());
        assert_eq!(resolved(&[-1, 0, 2], 3), Ok(vec![2, 0, 2]));
        assert!(resolved(&[3], 3).is_err() && resolved(&[-4], 3).is_err());
        assert!(resolved(&[i64::MIN], 3).is_err());
    }
}
