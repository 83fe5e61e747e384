//! `izba ns show`.

use crate::args::ns::show::ShowArgs;
use crate::failure::{Failure, Result};

pub fn show(_args: &ShowArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
