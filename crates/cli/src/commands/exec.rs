//! `izba exec`.

use crate::args::named::ExecArgs;
use crate::failure::{Failure, Result};

pub fn exec(_args: &ExecArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
