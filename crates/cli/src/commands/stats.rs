//! `izba stats`.

mod json;
mod sample;
mod screen;
mod text;
mod watch;

use serde_json::Value;

use crate::args::TableFormat;
use crate::args::named::StatsArgs;
use crate::caller::Caller;
use crate::failure::Result;
use crate::output;
use crate::record::Run;
use crate::table::terminal_width;
use sample::{Sample, look};

pub fn stats(args: &StatsArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    // Who is named has to be there in the beginning.
    args.names.iter().try_for_each(|name| Run::find(name, &caller).map(drop))?;
    if let Some(interval) = args.watch {
        return watch::watch(args, interval, &caller);
    }
    let (samples, failures) = look(&args.names, &caller);
    output::print(|out| match args.format {
        TableFormat::Json => writeln!(out, "{:#}", document(&samples)),
        TableFormat::Table => text::once(&samples).write(out, terminal_width()),
    })?;
    Ok(output::failures(&failures))
}

fn document(samples: &[Sample]) -> Value {
    samples.iter().map(json::value).collect()
}
