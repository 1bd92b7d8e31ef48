//! `pyrotee`: see [`pyrotee::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pyrotee::cli::main()
}
