//! `izba ns`.

mod enter;
mod json;
mod keep;
mod limits;
mod list;
mod look;
mod map;
mod run;
mod show;
mod subject;
mod tree;

use crate::args::ns::NsVerb;
use crate::failure::Result;

/// Does what the verb says.
pub fn run(verb: &NsVerb) -> Result<u8> {
    match verb {
        NsVerb::Run(args) => run::run(args),
        NsVerb::Enter(args) => enter::enter(args),
        NsVerb::List(args) => list::list(args),
        NsVerb::Tree(args) => tree::tree(args),
        NsVerb::Show(args) => show::show(args),
        NsVerb::Keep(args) => keep::keep(args),
        NsVerb::Drop(args) => keep::drop(args),
        NsVerb::Limits(args) => limits::limits(args),
        NsVerb::Map(args) => map::map(args),
    }
}
