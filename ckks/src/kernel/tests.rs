//! The IFMA kernels against the portable ones, and both against wide integers.

use super::*;
use crate::automorphism::Automorphism;
use crate::testing::Rng;

/// The largest primes below 2^50 and 2^47 that fit N = 2^14 or so, and smaller ones.
const PRIMES: [u64; 7] = [
    1_125_899_904_679_937,
    140_737_487_306_753,
    1_099_510_054_913,
    17_179_672_577,
    268_369_921,
    67_043_329,
    12_289,
];

/// Runs a kernel both ways on the same inputs and compares.
fn both<T: PartialEq + std::fmt::Debug>(run: impl Fn() -> T) -> T {
    let fast = run();
    FORCE_PORTABLE.set(true);
    let portable = run();
    FORCE_PORTABLE.set(false);
    assert_eq!(fast, portable);
    fast
}

/// Random residues, with the extremes among them.
fn residues(rng: &mut Rng, p: u64, len: usize) -> Vec<u64> {
    (0..len)
        .map(|_| match rng.below(8) {
            0 => 0,
            1 => p - 1,
            2 => p / 2,
            3 => p / 2 + 1,
            _ => rng.below(p),
        })
        .collect()
}

fn wide(p: u64, terms: impl IntoIterator<Item = (u64, u64)>) -> u64 {
    let sum = terms.into_iter().fold(0, |sum: u128, (a, b)| {
        (sum + u128::from(a) * u128::from(b)) % u128::from(p)
    });
    sum as u64
}

#[test]
fn primes_of_these_tests_are_prime() {
    assert!(PRIMES.iter().all(|p| cipherloom_ir::params::is_prime(*p)));
}

#[test]
fn pointwise_kernels() {
    let mut rng = Rng(1);
    for p in PRIMES {
        let m = Modulus::new(p);
        for n in [4, 8, 24, 64] {
            let (x, y, w) = (
                residues(&mut rng, p, n),
                residues(&mut rng, p, n),
                rng.below(p),
            );
            let on = |f: &dyn Fn(&mut [u64])| {
                both(|| {
                    let mut x = x.clone();
                    f(&mut x);
                    x
                })
            };
            let expect = |f: &dyn Fn(u64, u64) -> u64| -> Vec<u64> {
                x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect()
            };
            assert_eq!(on(&|x| add_assign(&m, x, &y)), expect(&|x, y| (x + y) % p));
            assert_eq!(
                on(&|x| sub_assign(&m, x, &y)),
                expect(&|x, y| (x + p - y) % p)
            );
            assert_eq!(on(&|x| negate_assign(&m, x)), expect(&|x, _| (p - x) % p));
            assert_eq!(
                on(&|x| add_scalar_assign(&m, x, w)),
                expect(&|x, _| (x + w) % p)
            );
            assert_eq!(
                on(&|x| mul_assign(&m, x, &y)),
                expect(&|x, y| wide(p, [(x, y)]))
            );
            assert_eq!(
                on(&|x| mul_shoup_assign(&m, x, m.shoup(w))),
                expect(&|x, _| wide(p, [(x, w)]))
            );
            assert_eq!(
                on(&|out| mul_shoup(&m, out, &y, m.shoup(w))),
                expect(&|_, y| wide(p, [(y, w)]))
            );
            let t = residues(&mut rng, p, n);
            let expected: Vec<u64> = x
                .iter()
                .zip(&t)
                .map(|(x, t)| wide(p, [(x + p - t, w)]))
                .collect();
            assert_eq!(
                on(&|out| sub_mul(&m, out, &x.clone(), &t, m.shoup(w))),
                expected
            );
            let pairs = both(|| {
                let (mut low, mut high) = (x.clone(), y.clone());
                butterfly(&m, &mut low, &mut high, m.shoup(w));
                (low, high)
            });
            assert_eq!(pairs.0, expect(&|x, y| (x + wide(p, [(y, w)])) % p));
            assert_eq!(pairs.1, expect(&|x, y| (x + p - wide(p, [(y, w)])) % p));
            let z = residues(&mut rng, p, n);
            let products = both(|| {
                let mut d = [vec![0; n], vec![0; n], vec![0; n]];
                let [d0, d1, d2] = &mut d;
                tensor(&m, [d0, d1, d2], [&x, &y], [&z, &t]);
                d
            });
            for i in 0..n {
                assert_eq!(products[0][i], wide(p, [(x[i], z[i])]));
                assert_eq!(products[1][i], wide(p, [(x[i], t[i]), (y[i], z[i])]));
                assert_eq!(products[2][i], wide(p, [(y[i], t[i])]));
            }
        }
    }
}

#[test]
fn conversions() {
    let mut rng = Rng(2);
    for p in PRIMES {
        let m = Modulus::new(p);
        for source in PRIMES {
            let x = residues(&mut rng, source, 48);
            let out = both(|| {
                let mut out = vec![0; 48];
                convert_centred(&m, &mut out, &x, source);
                out
            });
            for (x, out) in x.iter().zip(out) {
                let centred = if *x > source / 2 {
                    i128::from(*x) - i128::from(source)
                } else {
                    i128::from(*x)
                };
                assert_eq!(i128::from(out), centred.rem_euclid(i128::from(p)));
            }
        }
        for count in [1, 2, 7, 8, 15, 31] {
            let rows: Vec<Vec<u64>> = (0..count)
                .map(|j| residues(&mut rng, PRIMES[j % 2], 32))
                .collect();
            let rows: Vec<&[u64]> = rows.iter().map(|r| &r[..]).collect();
            let plain: Vec<u64> = (0..count)
                .map(|j| if j % 2 == 0 { p - 1 } else { rng.below(p) })
                .collect();
            let factors: Vec<u64> = plain.iter().map(|f| m.montgomery(*f)).collect();
            let out = both(|| {
                let mut out = vec![0; 32];
                convert(&m, &mut out, &rows, &factors);
                out
            });
            for i in 0..32 {
                assert_eq!(
                    out[i],
                    wide(p, rows.iter().map(|r| r[i]).zip(plain.iter().copied()))
                );
            }
            let inverses: Vec<f64> = (0..count).map(|j| 1.0 / PRIMES[j % 2] as f64).collect();
            let out = both(|| {
                let mut out = vec![0; 32];
                overflow(&mut out, &rows, &inverses);
                out
            });
            for i in 0..32 {
                let sum: f64 = rows
                    .iter()
                    .enumerate()
                    .map(|(j, r)| r[i] as f64 / PRIMES[j % 2] as f64)
                    .sum();
                assert!((sum - out[i] as f64).abs() < 0.5 + 1e-9);
            }
        }
    }
}

#[test]
fn inner_products_with_automorphisms() {
    let mut rng = Rng(3);
    let n = 64;
    for p in PRIMES {
        let m = Modulus::new(p);
        for count in [1, 3, 4, 6, 7, 8, 20, 33] {
            // The largest residues, so that a missing fold shows.
            let mut row = |len: usize| {
                if count % 2 == 0 {
                    vec![p - 1; len]
                } else {
                    residues(&mut rng, p, len)
                }
            };
            let digits: Vec<Vec<u64>> = (0..count).map(|_| row(n)).collect();
            let digits: Vec<&[u64]> = digits.iter().map(|d| &d[..]).collect();
            let (key, extra, before) = (row(2 * count * n), row(n), row(n));
            let factor = m.montgomery(p - 2);
            let words = |key: &[u64]| {
                let mut words = Words::unspecified(&m, key.len());
                words.write(0, key);
                words
            };
            let kept = words(&key);
            let automorphism = Automorphism::new(6, 77);
            let mut permuted = key.clone();
            for (out, row) in permuted.chunks_mut(n).zip(key.chunks(n)) {
                automorphism.unpermute_blocks(out, row);
            }
            let permuted_words = words(&permuted);
            for (automorphism, accumulate, extras) in [
                (None, false, [None, None]),
                (
                    Some(&automorphism),
                    true,
                    [Some((&extra[..], factor)), None],
                ),
                (
                    Some(&automorphism),
                    false,
                    [Some((&extra[..], factor)), Some((&extra[..], factor))],
                ),
            ] {
                let key_row = automorphism.map_or(kept.row(), |_| permuted_words.row());
                let out = both(|| {
                    let mut out = [before.clone(), before.clone()];
                    let [a, b] = &mut out;
                    // In two pieces.
                    let ((a0, a1), (b0, b1)) = (a.split_at_mut(24), b.split_at_mut(24));
                    for (offset, a, b) in [(0, a0, b0), (24, a1, b1)] {
                        let work = InnerProduct {
                            digits: &digits,
                            key: key_row,
                            extra: extras,
                            automorphism,
                            offset,
                            accumulate,
                        };
                        inner_product(&m, a, b, &work);
                    }
                    out
                });
                let inverse = m.invert(m.one);
                let identity = Automorphism::new(6, 1);
                let phi = automorphism.unwrap_or(&identity);
                let image = |row: &[u64]| {
                    let mut image = vec![0; n];
                    phi.apply(&mut image, row);
                    image
                };
                let images: Vec<Vec<u64>> = digits.iter().map(|d| image(d)).collect();
                let extra_image = image(&extra);
                for c in 0..2 {
                    let mut expected: Vec<u64> = (0..n)
                        .map(|i| {
                            let terms = (0..count).map(|d| {
                                let factor = wide(p, [(key[(2 * d + c) * n + i], inverse)]);
                                (images[d][i], factor)
                            });
                            wide(p, terms.chain(extras[c].map(|_| (extra_image[i], p - 2))))
                        })
                        .collect();
                    if accumulate {
                        add_assign(&m, &mut expected, &before);
                    }
                    assert_eq!(out[c], expected, "p = {p}, {count} digits");
                }
            }
        }
    }
}

#[test]
fn broadcast_sums() {
    let mut rng = Rng(4);
    let n = 128;
    for p in PRIMES {
        let m = Modulus::new(p);
        let inverse = m.invert(m.one);
        for log_run in 0..=6 {
            let (positions, together) = broadcast_group(log_run);
            for count in [1, 5, 6, 7, 8, 40, 300] {
                let mut row = |len: usize| {
                    if count % 2 == 0 {
                        vec![p - 1; len]
                    } else {
                        residues(&mut rng, p, len)
                    }
                };
                let diagonals: Vec<Vec<u64>> = (0..count).map(|_| row(n >> log_run)).collect();
                // Three pairs of rows, of which the terms name two.
                let rows = row(6 * n);
                let terms: Vec<u32> = (0..count as u32).map(|t| 2 * (t % 2)).collect();
                // By stream, for each few positions, the words of all diagonals.
                let streams = split_terms(&diagonals).map(|diagonals| {
                    let ordered: Vec<u64> = (0..n / positions)
                        .flat_map(|k| {
                            let few = k * together..(k + 1) * together;
                            diagonals.iter().flat_map(move |d| d[few.clone()].to_vec())
                        })
                        .collect();
                    // The small primes' residues are kept as 32-bit words.
                    let mut words = Words::unspecified(&m, ordered.len());
                    words.write(0, &ordered);
                    words
                });
                let before = row(48);
                for (start, accumulate) in [(0, false), (64, true)] {
                    let work = Broadcast {
                        factors: std::array::from_fn(|s| {
                            let count = split_terms(&terms)[s].len();
                            streams[s].row().from(start / positions * together * count)
                        }),
                        terms: &terms,
                        rows: &rows,
                        stride: n,
                        start,
                        log_run,
                        accumulate,
                    };
                    let out = both(|| {
                        let mut out = [before.clone(), before.clone()];
                        let [a, b] = &mut out;
                        mac_broadcast(&m, a, b, &work);
                        out
                    });
                    for i in 0..48 {
                        for c in 0..2 {
                            let products = diagonals.iter().zip(&terms).map(|(d, t)| {
                                let factor = wide(p, [(d[(start + i) >> log_run], inverse)]);
                                (factor, rows[(2 * *t as usize + c) * n + start + i])
                            });
                            let first = if accumulate { before[i] } else { 0 };
                            let sum = wide(p, products.chain([(first, 1)]));
                            assert_eq!(out[c][i], sum, "p = {p}, {count} terms, run 2^{log_run}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn sums_of_products_and_multiples() {
    let mut rng = Rng(6);
    let n = 24;
    for p in PRIMES {
        let m = Modulus::new(p);
        for (products, terms) in [(1, 0), (0, 1), (3, 2), (4, 4), (0, 15), (17, 1), (9, 40)] {
            // The largest residues too, so that a missing fold shows.
            let mut pair = |largest: bool| -> [Vec<u64>; 2] {
                [0, 1].map(|_| {
                    if largest {
                        vec![p - 1; n]
                    } else {
                        residues(&mut rng, p, n)
                    }
                })
            };
            for largest in [false, true] {
                let x: Vec<_> = (0..products)
                    .map(|_| (pair(largest), pair(largest)))
                    .collect();
                let y: Vec<_> = (0..terms).map(|j| (pair(largest), p - 1 - j % p)).collect();
                let pairs: Vec<_> = x
                    .iter()
                    .map(|(a, b)| ([&a[0][..], &a[1][..]], [&b[0][..], &b[1][..]]))
                    .collect();
                let multiples: Vec<_> = y
                    .iter()
                    .map(|(v, f)| ([&v[0][..], &v[1][..]], *f))
                    .collect();
                let work = Sums {
                    products: &pairs,
                    terms: &multiples,
                    constant: p - 2,
                };
                let out = both(|| {
                    let mut out = [vec![0; n], vec![0; n], vec![0; n]];
                    let [d0, d1, d2] = &mut out;
                    sums(&m, [d0, d1], (products > 0).then_some(&mut d2[..]), &work);
                    out
                });
                for i in 0..n {
                    let term = |c: usize| y.iter().map(move |(v, f)| (v[c][i], *f));
                    let d0 = x.iter().map(|(a, b)| (a[0][i], b[0][i]));
                    let d1 = x
                        .iter()
                        .flat_map(|(a, b)| [(a[0][i], b[1][i]), (a[1][i], b[0][i])]);
                    let d2 = x.iter().map(|(a, b)| (a[1][i], b[1][i]));
                    assert_eq!(out[0][i], wide(p, d0.chain(term(0)).chain([(p - 2, 1)])));
                    assert_eq!(out[1][i], wide(p, d1.chain(term(1))));
                    assert_eq!(out[2][i], wide(p, d2));
                }
            }
        }
    }
}
