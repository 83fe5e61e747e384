//! `izba ns limits`.

use crate::args::ns::limits::LimitsArgs;
use crate::failure::{Failure, Result};

pub fn limits(_args: &LimitsArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
