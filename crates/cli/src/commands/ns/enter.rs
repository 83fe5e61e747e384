//! `izba ns enter`.

use crate::args::ns::enter::EnterArgs;
use crate::failure::{Failure, Result};

pub fn enter(_args: &EnterArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
