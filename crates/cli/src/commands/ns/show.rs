//! `izba ns show`: everything about one namespace, or each of a process in short.

mod contents_json;
pub mod contents_text;
pub mod details;
pub mod holder_text;
pub mod json;
pub mod text;

use izba_sandbox::survey::Id;

use super::subject::Subject;
use crate::args::PlanFormat;
use crate::args::ns::show::ShowArgs;
use crate::failure::Result;
use crate::output;
use details::{Details, Finder};

pub fn show(args: &ShowArgs) -> Result<u8> {
    // It may be one that nothing but a descriptor leads to.
    let (mut look, finder) = Finder::look()?;
    let subject = Subject::find(&mut look, &args.target)?;
    let chosen: Vec<Id> = match (args.kind, subject.process) {
        (Some(kind), _) => vec![subject.of_kind(kind)?],
        (None, _) => subject.namespaces.clone(),
    };
    let details: Vec<Details<'_>> = chosen.iter().filter_map(|&id| finder.details(&look, id)).collect();
    output::print(|out| match (args.format, &details[..]) {
        (PlanFormat::Json, [one]) => writeln!(out, "{:#}", json::value(one)),
        (PlanFormat::Json, all) => writeln!(out, "{:#}", json::values(subject.process, all)),
        (PlanFormat::Text, [one]) => text::whole(one, out),
        (PlanFormat::Text, all) => text::short(all, out),
    })?;
    Ok(0)
}
