//! `izba inspect`.

use crate::args::named::InspectArgs;
use crate::failure::{Failure, Result};

pub fn inspect(_args: &InspectArgs) -> Result<u8> {
    Err(Failure::new("not yet"))
}
