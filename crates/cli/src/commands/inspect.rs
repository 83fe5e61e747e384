//! `izba inspect`.

use serde_json::json;

use crate::args::named::InspectArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::output;
use crate::record::Run;

/// Prints a run's record, and where it is.
pub fn inspect(args: &InspectArgs) -> Result<u8> {
    let found = Run::find(&args.name, &Caller::of_this_process())?;
    let record = serde_json::to_value(&found.record);
    let mut document = record.map_err(|error| Failure::new("cannot show the record").caused_by(&error))?;
    document["paused"] = json!(found.record.is_paused());
    document["directory"] = json!(found.path.to_string_lossy());
    output::print(|out| writeln!(out, "{document:#}")).map(|()| 0)
}
