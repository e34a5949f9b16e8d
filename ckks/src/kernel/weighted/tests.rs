//! Weighted sums against wide integers, with and without vector kernels.

use super::*;
use crate::kernel::FORCE_PORTABLE;
use crate::testing::Rng;

/// Weighted sums by wide integers.
fn expected(
    p: u64,
    rows: &[Vec<u64>],
    columns: &[u32],
    weights: &[i64],
    r: usize,
    of: usize,
) -> Vec<u64> {
    let width = rows[0].len();
    let word = |i: usize| {
        let terms = columns
            .iter()
            .enumerate()
            .map(|(t, c)| i128::from(rows[*c as usize][i]) * i128::from(weights[t * of + r]));
        terms.fold(0, |s, t| (s + t).rem_euclid(i128::from(p))) as u64
    };
    (0..width).map(word).collect()
}

#[test]
fn sums_agree_with_wide_integers_both_ways() {
    let mut rng = Rng(3);
    // Primes on both sides of 2^31 and 2^32.
    let primes = [
        12_289,
        268_369_921,
        2_147_352_577,
        4_293_918_721,
        17_179_672_577,
        1_125_899_904_679_937,
    ];
    for p in primes {
        let m = Modulus::new(p);
        for (width, count, bits) in [
            (32, 1, 3),
            (64, 40, 24),
            (96, 300, 62),
            (8, 17, 30),
            (40, 90, 31),
        ] {
            for results in 1..=MAX_ROWS {
                let extreme = rng.below(2) == 0;
                let row = |rng: &mut Rng| {
                    let word = |rng: &mut Rng| {
                        if extreme {
                            p / 2 + rng.below(2)
                        } else {
                            rng.below(p)
                        }
                    };
                    (0..width).map(|_| word(rng)).collect::<Vec<u64>>()
                };
                let rows: Vec<Vec<u64>> = (0..count + 1).map(|_| row(&mut rng)).collect();
                // Every second row is not read.
                let columns: Vec<u32> = (0..count as u32 + 1)
                    .filter(|c| count < 9 || c % 2 == 0)
                    .collect();
                let weight = |rng: &mut Rng| {
                    let size = if extreme {
                        (1 << bits) - 1
                    } else {
                        rng.below(1 << bits) as i64
                    };
                    if rng.below(3) == 0 { -size } else { size }
                };
                let weights: Vec<i64> = (0..columns.len() * results)
                    .map(|_| weight(&mut rng))
                    .collect();
                let mut panel = Panel::new(&m, rows.len(), width);
                for (c, row) in rows.iter().enumerate() {
                    let narrow: Vec<u32> = row.iter().map(|x| *x as u32).collect();
                    let fits = p < 1 << 32 && c % 2 == 0;
                    panel.set(
                        &m,
                        c,
                        if fits {
                            Row::Narrow(&narrow)
                        } else {
                            Row::Wide(row)
                        },
                    );
                }
                let mut padded = vec![7; 5];
                padded.extend(&weights);
                let factors = Factors::new(&m, &padded);
                let run = || {
                    let mut out = vec![vec![0; width]; results];
                    let mut rows: Vec<&mut [u64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
                    for at in (0..width).step_by(BLOCK) {
                        let (panel, columns, factors) = (&panel, &columns[..], &factors);
                        let len = BLOCK.min(width - at);
                        let work = Weighted {
                            panel,
                            columns,
                            factors,
                            start: 5,
                            at,
                            len,
                        };
                        weighted_sums(&m, &mut rows, &work);
                    }
                    out
                };
                let fast = run();
                FORCE_PORTABLE.set(true);
                let portable = run();
                FORCE_PORTABLE.set(false);
                assert_eq!(fast, portable, "modulo {p}, width {width}");
                for (r, found) in fast.iter().enumerate() {
                    let expected = expected(p, &rows, &columns, &weights, r, results);
                    assert_eq!(*found, expected, "modulo {p}, width {width}, row {r}");
                }
            }
        }
    }
}

#[test]
fn products_are_set_both_ways() {
    let mut rng = Rng(5);
    for p in [
        12_289,
        67_043_329,
        2_147_352_577,
        4_293_918_721,
        1_125_899_904_679_937,
    ] {
        let m = Modulus::new(p);
        for (width, twice) in [(64, false), (96, true), (40, true), (8, false)] {
            let rows: Vec<Vec<u64>> = (0..2)
                .map(|_| (0..width).map(|_| p - 1 - rng.below(p) / 3).collect())
                .collect();
            let narrow: Vec<Vec<u32>> = rows
                .iter()
                .map(|r| r.iter().map(|x| *x as u32).collect())
                .collect();
            let operand = |i: usize| match p < 1 << 32 {
                true => Row::Narrow(&narrow[i]),
                false => Row::Wide(&rows[i]),
            };
            let run = || {
                let mut panel = Panel::new(&m, 2, width);
                for column in 0..2 {
                    panel.set_product(&m, column, [operand(0), operand(column)], twice);
                }
                let unit = Factors::new(&m, &[1]);
                let mut out = vec![0; width];
                for at in (0..width).step_by(BLOCK) {
                    let work = Weighted {
                        panel: &panel,
                        columns: &[1],
                        factors: &unit,
                        start: 0,
                        at,
                        len: BLOCK.min(width - at),
                    };
                    weighted_sums(&m, &mut [&mut out[..]], &work);
                }
                out
            };
            let fast = run();
            FORCE_PORTABLE.set(true);
            let portable = run();
            FORCE_PORTABLE.set(false);
            assert_eq!(fast, portable, "modulo {p}, width {width}");
            let expected = rows[0].iter().zip(&rows[1]).map(|(a, b)| {
                let product = u128::from(*a) * u128::from(*b) * if twice { 2 } else { 1 };
                (product % u128::from(p)) as u64
            });
            assert_eq!(
                fast,
                expected.collect::<Vec<u64>>(),
                "modulo {p}, width {width}"
            );
        }
    }
}
