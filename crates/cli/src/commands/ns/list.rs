//! `izba ns list`.

use crate::args::ns::list::ListArgs;
use crate::failure::{Failure, Result};

pub fn list(_args: &ListArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
