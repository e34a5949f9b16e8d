//! Small dense systems of linear equations.

/// Solves `a x = b` by elimination with partial pivoting; `None` for a singular matrix. `a` is square, row by row.
pub(super) fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for column in 0..n {
        let largest =
            (column..n).max_by(|i, j| a[*i][column].abs().total_cmp(&a[*j][column].abs()))?;
        a.swap(column, largest);
        b.swap(column, largest);
        let pivot = std::mem::take(&mut a[column]);
        if pivot[column] == 0.0 || !pivot[column].is_finite() {
            return None;
        }
        for row in column + 1..n {
            let factor = a[row][column] / pivot[column];
            if factor != 0.0 {
                let target = a[row][column..].iter_mut();
                target
                    .zip(&pivot[column..])
                    .for_each(|(x, p)| *x -= factor * p);
                b[row] -= factor * b[column];
            }
        }
        a[column] = pivot;
    }
    for row in (0..n).rev() {
        let known: f64 = a[row][row + 1..]
            .iter()
            .zip(&b[row + 1..])
            .map(|(c, x)| c * x)
            .sum();
        b[row] = (b[row] - known) / a[row][row];
    }
    b.iter().all(|x| x.is_finite()).then_some(b)
}

/// Solves `a x = b` for a positive definite matrix by Cholesky's factors; `None` where it is not. Only the lower
/// triangle of `a` is read.
pub(super) fn solve_positive(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for i in 0..n {
        let (above, below) = a.split_at_mut(i);
        let row = &mut below[0];
        for j in 0..i {
            let sum: f64 = row[..j]
                .iter()
                .zip(&above[j][..j])
                .map(|(x, y)| x * y)
                .sum();
            row[j] = (row[j] - sum) / above[j][j];
        }
        let square = row[i] - row[..i].iter().map(|x| x * x).sum::<f64>();
        if square.is_nan() || square <= 0.0 {
            return None;
        }
        row[i] = libm::sqrt(square);
    }
    for i in 0..n {
        let sum: f64 = a[i][..i].iter().zip(&b[..i]).map(|(c, x)| c * x).sum();
        b[i] = (b[i] - sum) / a[i][i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|j| a[j][i] * b[j]).sum();
        b[i] = (b[i] - sum) / a[i][i];
    }
    b.iter().all(|x| x.is_finite()).then_some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_solvers_solve() {
        // A Gram matrix of powers: positive definite, moderately conditioned.
        let entry = |i: usize, j: usize| 1.0 / (i + j + 1) as f64 + if i == j { 0.5 } else { 0.0 };
        let a: Vec<Vec<f64>> = (0..6)
            .map(|i| (0..6).map(|j| entry(i, j)).collect())
            .collect();
        let x: Vec<f64> = (0..6).map(|i| f64::from(i) - 2.5).collect();
        let times = |row: &Vec<f64>| row.iter().zip(&x).map(|(a, x)| a * x).sum();
        let b: Vec<f64> = a.iter().map(times).collect();
        for found in [solve(a.clone(), b.clone()), solve_positive(a, b)] {
            let worst = found
                .unwrap()
                .iter()
                .zip(&x)
                .map(|(f, x)| (f - x).abs())
                .fold(0.0, f64::max);
            assert!(worst < 1e-12, "{worst}");
        }
    }

    #[test]
    fn pivots_are_exchanged_and_singular_matrices_refused() {
        let a = vec![vec![0.0, 1.0], vec![2.0, 0.0]];
        assert_eq!(solve(a.clone(), vec![3.0, 4.0]), Some(vec![2.0, 3.0]));
        assert_eq!(solve_positive(a, vec![3.0, 4.0]), None);
        assert_eq!(
            solve(vec![vec![1.0, 2.0], vec![2.0, 4.0]], vec![1.0, 2.0]),
            None
        );
    }
}
