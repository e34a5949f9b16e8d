//! Limits of work and memory while a program is read.

/// The most elements of one value.
pub(super) const MAX_VALUE: usize = 1 << 24;
/// The most elements of all constants that are computed.
const MAX_ELEMENTS: usize = 1 << 26;
/// The most operations on encrypted values.
const MAX_NODES: usize = 10_000;
/// The most expressions that are evaluated.
const MAX_STEPS: usize = 1_000_000;
/// The most expressions and calls within each other. It bounds the recursion.
const MAX_DEPTH: usize = 300;

/// What has been used.
#[derive(Debug, Default)]
pub(super) struct Limits {
    elements: usize,
    nodes: usize,
    steps: usize,
    depth: usize,
    exhausted: bool,
}

impl Limits {
    /// Whether a limit of the whole program was reached, so that no more is to be read.
    pub(super) fn exhausted(&self) -> bool {
        self.exhausted
    }

    fn all(&mut self, text: String) -> Result<(), String> {
        self.exhausted = true;
        Err(text)
    }

    /// Counts the elements of a constant.
    pub(super) fn elements(&mut self, count: usize) -> Result<(), String> {
        self.elements = self.elements.saturating_add(count);
        if self.elements <= MAX_ELEMENTS {
            return Ok(());
        }
        self.all(format!(
            "the program computes more than {MAX_ELEMENTS} elements of constants"
        ))
    }

    /// Counts an operation on encrypted values.
    pub(super) fn node(&mut self) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        self.all(format!(
            "the program has more than {MAX_NODES} operations on encrypted values"
        ))
    }

    /// Counts an expression that is begun.
    pub(super) fn enter(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.all(format!(
                "the program takes more than {MAX_STEPS} steps to read"
            ));
        }
        if self.depth >= MAX_DEPTH {
            return Err(format!(
                "more than {MAX_DEPTH} operations and calls within each other"
            ));
        }
        self.depth += 1;
        Ok(())
    }

    /// Counts an expression that is done.
    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}
