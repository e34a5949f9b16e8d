//! Scale groups: values whose scales stand in fixed ratios, and which polynomial decides the scale of which.

use cipherloom_ir::Scale;

/// A polynomial's operand whose scale follows from those of free groups through products.
#[derive(Clone, Debug)]
pub(crate) struct Pivot {
    /// The operand.
    pub(crate) operand: usize,
    /// The value in whose group the scale is chosen such that the operand's is what the polynomial needs.
    pub(crate) free: usize,
    /// How often the operand's scale has that of `free` as a factor.
    pub(crate) power: f64,
}

/// A polynomial's operand: all polynomials of a group must read it at one scale.
#[derive(Clone, Debug)]
struct Claim {
    operand: usize,
    /// A value of the group whose scale is chosen for the polynomial.
    pivot: usize,
}

/// Values and the ratios of their scales.
#[derive(Debug)]
pub(super) struct Groups {
    /// For each value another one of its group, or itself, and its own scale over the other's.
    parent: Vec<(usize, Scale)>,
    /// Whether the scale of the group with this root may be chosen.
    free: Vec<bool>,
    /// For each product, its factors.
    products: Vec<Option<(usize, usize)>>,
    /// For each root that is not free, the values of free groups that its scale has as factors, and how often.
    factors: Vec<Vec<(usize, f64)>>,
    claims: Vec<Claim>,
}

impl Groups {
    /// Every value by itself, none of them free.
    pub(super) fn new(count: usize) -> Self {
        Self {
            parent: (0..count).map(|v| (v, Scale::one())).collect(),
            free: vec![false; count],
            products: vec![None; count],
            factors: vec![vec![]; count],
            claims: vec![],
        }
    }

    /// The root of a value's group, and the value's scale over the root's.
    pub(super) fn root(&self, v: usize) -> (usize, Scale) {
        let (mut root, mut ratio) = self.parent[v].clone();
        while self.parent[root].0 != root {
            ratio = ratio.mul(&self.parent[root].1);
            root = self.parent[root].0;
        }
        (root, ratio)
    }

    /// Whether the scale of a value's group may be chosen.
    pub(super) fn is_free(&self, v: usize) -> bool {
        self.free[self.root(v).0]
    }

    /// Makes the scale of a value without a group free.
    pub(super) fn set_free(&mut self, v: usize) {
        self.parent[v] = (v, Scale::one());
        self.free[v] = true;
    }

    /// Makes a value without a group the product of others.
    pub(super) fn set_product(&mut self, v: usize, a: usize, b: usize) {
        self.products[v] = Some((a, b));
        let mut factors: Vec<(usize, f64)> = Vec::new();
        for (u, power) in [a, b].iter().flat_map(|u| self.factors_of(*u)) {
            match factors.iter_mut().find(|(known, _)| *known == u) {
                Some((_, sum)) => *sum += power,
                None => factors.push((u, power)),
            }
        }
        self.factors[v] = factors;
    }

    /// Gives a value without a group the scale of `u` divided by `gain`.
    pub(super) fn follow(&mut self, v: usize, u: usize, gain: &Scale) {
        self.parent[v] = (u, Scale::one().div(gain));
    }

    /// Makes the scale of `u` divided by `gain` that of `v`; false where that cannot be.
    pub(super) fn join(&mut self, v: usize, u: usize, gain: &Scale) -> bool {
        let ((own, to_own), (other, to_other)) = (self.root(v), self.root(u));
        // S_v = own to_own and S_u = other to_other, which shall be gain S_v.
        let ratio = to_own.mul(gain).div(&to_other);
        if own == other {
            return ratio == Scale::one();
        }
        if !self.free[own] || !self.free[other] || self.claimed(own) && self.claimed(other) {
            return false;
        }
        // The root comes first, so that its scale is known before those that follow from it.
        match own < other {
            true => self.parent[other] = (own, ratio),
            false => self.parent[own] = (other, Scale::one().div(&ratio)),
        }
        true
    }

    /// Gives product `u` the scale of product `v` at the same level, by those of their factors; false where that cannot be.
    pub(super) fn join_products(&mut self, v: usize, u: usize) -> bool {
        let (Some((a, b)), Some((c, d))) = (self.products[v], self.products[u]) else {
            return false;
        };
        let one = Scale::one();
        if self.root(v).0 != v || self.root(u).0 != u || !self.join(a, c, &one) {
            return false;
        }
        let joined = self.join(b, d, &one);
        if joined {
            self.parent[u.max(v)] = (u.min(v), one);
        }
        joined
    }

    /// The free groups that a value's scale has as factors, by their roots, and how often.
    fn factors_of(&self, v: usize) -> Vec<(usize, f64)> {
        let (root, _) = self.root(v);
        if self.free[root] {
            return vec![(root, 1.0)];
        }
        let roots = self.factors[root].iter();
        roots.map(|(u, power)| (self.root(*u).0, *power)).collect()
    }

    /// Whether a polynomial decides on the scale of a value's group.
    pub(super) fn is_claimed(&self, v: usize) -> bool {
        let (root, _) = self.root(v);
        self.free[root] && self.claimed(root)
    }

    /// Whether a polynomial's operand has the scale of this free group as a factor.
    fn claimed(&self, root: usize) -> bool {
        let reads = |c: &Claim| self.factors_of(c.operand).iter().any(|(u, _)| *u == root);
        self.claims.iter().any(reads)
    }

    /// Lets a polynomial that reads `operand` decide on the scale of its group, or of a group that is a factor of it; false
    /// where other polynomials have decided.
    pub(super) fn claim(&mut self, operand: usize) -> bool {
        let place = self.root(operand);
        if self.claims.iter().any(|c| self.root(c.operand) == place) {
            return true;
        }
        let factors = self.factors_of(operand);
        let Some((pivot, _)) = factors.into_iter().find(|(u, _)| !self.claimed(*u)) else {
            return false;
        };
        self.claims.push(Claim { operand, pivot });
        true
    }

    /// The operands of polynomials whose groups are not free, in an order in which each can be given its scale.
    pub(super) fn pivots(&self) -> Vec<Pivot> {
        let bound = self.claims.iter().filter(|c| !self.is_free(c.operand));
        let pivot = |c: &Claim| {
            let (free, _) = self.root(c.pivot);
            let factors = self.factors_of(c.operand);
            let power = factors.iter().filter(|(u, _)| *u == free).map(|(_, p)| p);
            Pivot {
                operand: c.operand,
                free,
                power: power.sum(),
            }
        };
        bound.map(pivot).collect()
    }
}
