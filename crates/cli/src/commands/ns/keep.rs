//! `izba ns keep` and `izba ns drop`.

use crate::args::ns::keep::{DropArgs, KeepArgs};
use crate::failure::{Failure, Result};

pub fn keep(_args: &KeepArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}

pub fn drop(_args: &DropArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
