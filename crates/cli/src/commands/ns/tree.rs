//! `izba ns tree`.

use crate::args::ns::tree::TreeArgs;
use crate::failure::{Failure, Result};

pub fn tree(_args: &TreeArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
