//! `izba ns run`.

use crate::args::ns::run::NsRunArgs;
use crate::failure::{Failure, Result};

pub fn run(_args: &NsRunArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
