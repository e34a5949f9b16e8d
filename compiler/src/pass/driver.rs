//! The driver: the only place where patches are applied.

use super::{PassError, TensorPass};
use cipherloom_ir::tensor::{Module, verify};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// After which passes the module is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PrintAfter {
    /// After none.
    #[default]
    None,
    /// After each that changed it.
    All,
    /// After these.
    Only(BTreeSet<String>),
}

/// What a pass did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassReport {
    /// Its name.
    pub pass: &'static str,
    /// The patches that were applied.
    pub patches: usize,
    /// The time that it took, with verification.
    pub time: Duration,
}

/// How the passes ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// What each pass did, in order.
    pub reports: Vec<PassReport>,
    /// Whether the pass to stop after was met.
    pub stopped: bool,
}

/// Runs passes, verifies and prints.
pub struct Driver<'a> {
    /// After which passes to print.
    pub print_after: PrintAfter,
    /// The pass to stop after, if any.
    pub stop_after: Option<String>,
    /// Whether to verify after each patch; otherwise only at the end. Always on in debug builds.
    pub verify_each: bool,
    /// Receives the name of a pass and the module as the pass left it.
    pub print: &'a mut dyn FnMut(&'static str, &Module),
}

impl Driver<'_> {
    /// Runs the passes in order, each until it proposes nothing more.
    ///
    /// # Errors
    /// What a pass refuses; a fault that the verifier finds.
    pub fn run(
        &mut self,
        module: &mut Module,
        passes: &mut [&mut (dyn TensorPass + '_)],
    ) -> Result<Finished, PassError> {
        let mut finished = Finished {
            reports: vec![],
            stopped: false,
        };
        let mut last = "import";
        for pass in passes {
            let start = Instant::now();
            last = pass.name();
            let patches = self.one(module, *pass)?;
            finished.reports.push(PassReport {
                pass: last,
                patches,
                time: start.elapsed(),
            });
            let wanted = match &self.print_after {
                PrintAfter::None => false,
                PrintAfter::All => patches > 0,
                PrintAfter::Only(names) => names.contains(last),
            };
            if wanted {
                (self.print)(last, module);
            }
            if self.stop_after.as_deref() == Some(last) {
                finished.stopped = true;
                break;
            }
        }
        check(module, last)?;
        Ok(finished)
    }

    fn one(&mut self, module: &mut Module, pass: &mut dyn TensorPass) -> Result<usize, PassError> {
        let name = pass.name();
        // Every step of a pass removes a node or brings one closer to its final form.
        let most = 16 + 8 * module.graph.len();
        let mut patches = 0;
        while let Some(patch) = pass.run(module)?.filter(|p| !p.is_empty()) {
            let names: BTreeSet<String> = module.constants.iter().map(|c| c.name.clone()).collect();
            patch
                .apply(module)
                .map_err(|error| PassError::Patch { pass: name, error })?;
            restore_names(module, &names);
            patches += 1;
            if self.verify_each || cfg!(debug_assertions) {
                check(module, name)?;
            }
            if !pass.repeats() {
                break;
            }
            if patches > most {
                return Err(PassError::Restless {
                    pass: name,
                    steps: patches,
                });
            }
        }
        Ok(patches)
    }
}

fn check(module: &Module, pass: &'static str) -> Result<(), PassError> {
    let faults = verify(module);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(PassError::Faults { pass, faults })
    }
}

/// Gives a constant that replaced another its name: a patch can only add, so that the new one got a suffix.
fn restore_names(module: &mut Module, before: &BTreeSet<String>) {
    let mut taken: BTreeSet<String> = module.constants.iter().map(|c| c.name.clone()).collect();
    for constant in &mut module.constants {
        if before.contains(&constant.name) {
            continue;
        }
        let digits = |suffix: &str| suffix.parse::<u32>().is_ok();
        if let Some((base, suffix)) = constant.name.rsplit_once('.')
            && digits(suffix)
            && before.contains(base)
            && taken.insert(base.to_owned())
        {
            constant.name = base.to_owned();
        }
    }
}
