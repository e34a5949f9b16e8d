//! Elements of a lookup's operand that are the same for all inputs: no bootstrap computes what they become.

use super::scalar::Scalar;
use crate::lower::network::pending::Pending;
use crate::lower::sparse::selection;

/// What a function yields where its operand is constant, and where it is not.
pub(super) struct Constants {
    /// The result of each element that is constant.
    results: Vec<Option<f64>>,
    /// How many others there are.
    others: usize,
}

impl Constants {
    /// Nothing where there are no constants, or none that the function has a value for.
    pub(super) fn of(operand: &Pending, function: &Scalar) -> Option<Self> {
        let entries = |row| {
            operand
                .terms
                .iter()
                .any(|(_, m)| m.row(row).next().is_some())
        };
        let result = |(row, bias): (usize, &f64)| {
            let found = (!entries(row)).then(|| function.eval(*bias));
            found.filter(|x| x.is_finite())
        };
        let results: Vec<Option<f64>> = operand.bias.iter().enumerate().map(result).collect();
        let others = results.iter().filter(|r| r.is_none()).count();
        (0 < others && others < results.len()).then_some(Self { results, others })
    }

    /// The operand's other elements.
    pub(super) fn others(&self, operand: &Pending) -> Pending {
        let rows = self.results.iter().enumerate();
        let rows = rows.filter_map(|(row, r)| r.is_none().then_some(Some(row)));
        operand.map(
            &selection(rows, self.results.len()),
            &vec![0.0; self.others],
        )
    }

    /// The function of all elements, from that of the others.
    pub(super) fn put_in(&self, others: &Pending) -> Pending {
        let mut next = 0;
        let places = self.results.iter().map(|r| match r {
            Some(_) => None,
            None => {
                next += 1;
                Some(next - 1)
            }
        });
        let places = selection(places, self.others);
        let bias: Vec<f64> = self.results.iter().map(|r| r.unwrap_or(0.0)).collect();
        others.map(&places, &bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integer::network::rows;
    use cipherloom_ir::tensor::Function;

    #[test]
    fn constants_are_computed_and_others_stay() {
        let list = [vec![(1, 2.0)], vec![], vec![(0, -1.0), (1, 1.0)], vec![]];
        let operand = Pending {
            terms: vec![(4, rows(2, list.into_iter()))],
            bias: vec![0.5, -3.0, 0.25, 2.0],
            name: String::new(),
        };
        let relu = Scalar::function(Function::Relu);
        let found = Constants::of(&operand, &relu).unwrap();
        let others = found.others(&operand);
        assert_eq!(others.bias, [0.5, 0.25]);
        assert_eq!(
            others.terms[0].1.row(1).collect::<Vec<_>>(),
            [(0, -1.0), (1, 1.0)]
        );
        let all = found.put_in(&Pending::of(5, 2));
        assert_eq!(all.bias, [0.0, 0.0, 0.0, 2.0]);
        let entries: Vec<Vec<_>> = (0..4).map(|r| all.terms[0].1.row(r).collect()).collect();
        assert_eq!(entries, [vec![(0, 1.0)], vec![], vec![(1, 1.0)], vec![]]);
        // Nothing is constant; a constant without a logarithm is left to a table.
        assert!(Constants::of(&others, &relu).is_none());
        let log = Scalar::function(Function::Log);
        let kept = Constants::of(&operand, &log).unwrap();
        assert_eq!(kept.others(&operand).bias, [0.5, -3.0, 0.25]);
    }
}
