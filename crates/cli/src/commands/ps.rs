//! `izba ps`.

use crate::args::named::PsArgs;
use crate::failure::{Failure, Result};

pub fn ps(_args: &PsArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
