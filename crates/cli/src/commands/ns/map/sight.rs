//! What a picture is made of, as it is read.

use std::collections::BTreeMap;

use izba_sandbox::contents::{Contents, Interface, Unreadable, interfaces_seen};
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::Id;
use izba_sys::process::uname;

use super::about::About;
use super::compose::Seen;
use crate::commands::ns::look::Look;
use crate::commands::ns::show::details::Finder;
use crate::failure::Result;

/// One look at the machine.
pub struct Sight {
    look: Look,
    names: BTreeMap<Id, String>,
    interfaces: BTreeMap<Id, Vec<Interface>>,
    about: BTreeMap<Id, About>,
    host: String,
}

impl Sight {
    /// Looks. What may not be read is left out, and told in the picture where it would be.
    pub fn take() -> Result<Self> {
        let (look, finder) = Finder::look()?;
        let interfaces = interfaces_seen(&look.survey);
        let about = look.survey.namespaces.keys().filter_map(|&id| Some((id, about(&finder, &look, &interfaces, id)?)));
        let about = about.collect();
        let interfaces = interfaces.into_iter().filter_map(|(id, found)| Some((id, found.ok()?))).collect();
        let host = uname().nodename().to_string_lossy().into_owned();
        let names = look.names.keys().filter_map(|&id| Some((id, look.name(id)?))).collect();
        Ok(Self { look, names, interfaces, about, host })
    }

    /// For the composer.
    pub fn seen(&self) -> Seen<'_> {
        let Self { look, names, interfaces, about, host } = self;
        Seen { survey: &look.survey, names, interfaces, about, host }
    }
}

type Interfaces = BTreeMap<Id, std::result::Result<Vec<Interface>, Unreadable>>;

/// Interfaces have been read at once, which takes much less time than one by one.
fn about(finder: &Finder, look: &Look, interfaces: &Interfaces, id: Id) -> Option<About> {
    let details = match interfaces.get(&id) {
        Some(found) if id.kind == Kind::Net => finder.details_with(look, id, found.clone().map(Contents::Net)),
        _ => finder.details(look, id),
    };
    details.as_ref().map(About::of)
}
