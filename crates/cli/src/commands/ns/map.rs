//! `izba ns map`.

use crate::args::ns::map::MapArgs;
use crate::failure::{Failure, Result};

pub fn map(_args: &MapArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
