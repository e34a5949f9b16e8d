//! The command line of cipherloom.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
