//! What is told of a namespace: in its box in a few words, and on request all that `izba ns show` tells too.

use izba_sandbox::contents::Contents;

use super::label::{clean, short};
use super::picture::Detail;
use crate::commands::ns::show::contents_text::{lines, summary};
use crate::commands::ns::show::details::Details;
use crate::commands::ns::show::holder_text;
use crate::commands::ns::show::text::identity;

/// So many characters of its contents are drawn.
const DRAWN: usize = 40;

/// What is told of one.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What is drawn: a host name, clocks, a map of ids.
    pub line: Option<String>,
    pub details: Vec<Detail>,
}

impl About {
    /// From all that is known. Processes and interfaces are tiles of their own.
    pub fn of(details: &Details<'_>) -> Self {
        let id = Detail::new("namespace", [details.seen.id.to_string()]);
        let identity = identity(details).into_iter().map(|(label, text)| Detail::new(label, [clean(&text)]));
        let held = Detail::new("held by", holder_text::lines(details).iter().map(|line| clean(line)));
        let all = [id].into_iter().chain(identity).chain(contents(details)).chain([held]);
        Self { line: line(details), details: all.collect() }
    }
}

fn contents(details: &Details<'_>) -> Vec<Detail> {
    match &details.contents {
        Ok(Contents::Mount(rows)) => {
            let rows = rows.iter().map(|row| {
                let words = [&*row.point.to_string_lossy(), &row.fstype, &row.source, &row.propagation.join(" ")];
                clean(&words.join("  "))
            });
            vec![Detail::new("mounts", rows)]
        }
        Ok(Contents::Cgroup(_)) => vec![Detail::new("cgroup", [clean(&summary(details))])],
        Ok(contents) => lines(contents).into_iter().map(|(label, text)| Detail::new(label, [clean(&text)])).collect(),
        Err(why) => vec![Detail::new("contents", [format!("can't be read: {why}")])],
    }
}

fn line(details: &Details<'_>) -> Option<String> {
    let told = match details.contents.as_ref().ok()? {
        Contents::Uts { .. } => true,
        Contents::User(_) => !details.seen.id.is_initial(),
        Contents::Time(offsets) => (offsets.monotonic, offsets.boottime) != (0, 0),
        _ => false,
    };
    told.then(|| short(&clean(&summary(details)), DRAWN)).filter(|line| !line.is_empty())
}
