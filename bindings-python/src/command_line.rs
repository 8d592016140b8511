//! The command `leaselock`, run by this interpreter: the very same code as the program of that name.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Does what the arguments say, of which the first is the program's name, and returns the exit status.
#[pyfunction]
pub(crate) fn cli(py: Python<'_>, argv: Vec<OsString>) -> i32 {
    py.detach(|| leaselock_cli::run(argv))
}
