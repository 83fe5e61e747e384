//! `izba kill`.

use crate::args::named::KillArgs;
use crate::failure::{Failure, Result};

pub fn kill(_args: &KillArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
