//! An archive as a root file system: unpacked once, then found in the cache.

use std::path::Path;

use izba_image::{Cache, Located, Owners, Report, Tree, Unpacking};
use izba_sandbox::idmap::IdMaps;
use izba_sys::path::Mode;
use izba_sys::process::umask;

use crate::args::cache::CachePlace;
use crate::args::internal;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::lower::identity::Identity;
use crate::progress::Bar;
use crate::{cache_place, inside, output};

/// The archive's tree, unpacked if it isn't yet.
pub fn unpacked(archive: &Path, place: &CachePlace, caller: &Caller, identity: &Identity) -> Result<Tree> {
    let (cache, dir) = cache_place::open(place, caller)?;
    let maps = identity.unpacking_maps(caller)?;
    let (owners, variant) = layout(caller, maps.as_ref());
    let _umask = OwnUmask::set();
    if let Some(tree) = locate(&cache, archive, &variant)? {
        return Ok(tree);
    }
    let Some(maps) = maps else { return unpack(&cache, archive, owners, &variant) };
    let words = [internal::UNPACK.into(), dir.into_os_string(), variant.clone().into(), archive.as_os_str().to_owned()];
    inside::run(maps, words.to_vec())?;
    locate(&cache, archive, &variant)?.ok_or_else(|| {
        Failure::new(format!("{} was unpacked, and is gone from the cache again", archive.display()))
            .remedy("again, when nobody changes the archive or prunes the cache")
    })
}

/// What the cache is made of has the modes that it needs, whatever umask the caller has. Dropping it restores that.
struct OwnUmask(Mode);

impl OwnUmask {
    fn set() -> Self {
        Self(umask(Mode::RWXG.union(Mode::RWXO)))
    }
}

impl Drop for OwnUmask {
    fn drop(&mut self) {
        umask(self.0);
    }
}

/// The archive's tree if it is unpacked already. Changes nothing.
pub fn ready(archive: &Path, place: &CachePlace, caller: &Caller, identity: &Identity) -> Result<Option<Tree>> {
    let Some(dir) = cache_place::existing(place, caller).filter(|dir| dir.join("v1").is_dir()) else { return Ok(None) };
    let cache = Cache::open(&dir).map_err(|error| Failure::from_error(&error))?;
    let (_, variant) = layout(caller, identity.unpacking_maps(caller)?.as_ref());
    locate(&cache, archive, &variant)
}

/// Whose the files are, and how the cache tells such a tree from others of the same archive.
fn layout(caller: &Caller, maps: Option<&IdMaps>) -> (Owners, String) {
    match maps {
        Some(maps) => (Owners::AsArchived, variant(maps)),
        None if caller.privileged => (Owners::AsArchived, "root".to_owned()),
        None => (Owners::Squashed, "squashed".to_owned()),
    }
}

fn variant(maps: &IdMaps) -> String {
    let text = |map: &dyn std::fmt::Display| map.to_string().split_whitespace().collect::<Vec<_>>().join("-");
    let (uids, gids) = (text(&maps.uids), text(&maps.gids));
    if uids == gids { format!("map-{uids}") } else { format!("map-{uids}_{gids}") }
}

fn locate(cache: &Cache, archive: &Path, variant: &str) -> Result<Option<Tree>> {
    match cache.locate(archive, variant).map_err(|error| Failure::from_error(&error))? {
        Located::Ready(tree) => Ok(Some(tree)),
        Located::Missing { .. } => Ok(None),
    }
}

/// Unpacks in this process.
pub fn unpack(cache: &Cache, archive: &Path, owners: Owners, variant: &str) -> Result<Tree> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut bar = Bar::new(name.clone());
    let result = cache.unpack(archive, &Unpacking::new(owners, variant), &mut |done, total| bar.update(done, total));
    drop(bar);
    let (tree, report) = result.map_err(|error| Failure::from_error(&error))?;
    if !report.shared {
        left_out(&name, owners, &report).into_iter().for_each(output::note);
    }
    Ok(tree)
}

/// In one line: what of the archive isn't as it is for root.
fn left_out(name: &str, owners: Owners, report: &Report) -> Option<String> {
    if owners == Owners::Squashed {
        return Some(format!(
            "{name}: every file belongs to you, who have one id only ({} had other owners), and {} devices are left out; \
             subordinate ids keep the owners: see izba doctor",
            report.squashed, report.devices_skipped
        ));
    }
    (report.devices_skipped > 0).then(|| {
        format!("{name}: {} devices are left out, as only the host's root can make them", report.devices_skipped)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::environment::tests::caller;

    #[test]
    fn trees_of_different_owners_have_different_names() {
        let maps = |outside| IdMaps::own_ids((0, 0), (outside, outside));
        assert_eq!(variant(&maps(1000)), "map-0-1000-1");
        assert_eq!(variant(&IdMaps::own_ids((0, 0), (1000, 50))), "map-0-1000-1_0-50-1");
        assert_eq!(layout(&caller(&[]), None), (Owners::Squashed, "squashed".to_owned()));
        let root = Caller { privileged: true, ..caller(&[]) };
        assert_eq!(layout(&root, None).1, "root");
        assert_eq!(layout(&root, Some(&maps(5))).0, Owners::AsArchived);
    }

    #[test]
    fn what_is_left_out_is_said_in_one_line() {
        let report = Report::default();
        assert_eq!(left_out("a.tar", Owners::AsArchived, &report), None);
        assert!(left_out("a.tar", Owners::Squashed, &report).unwrap().starts_with("a.tar: every file belongs to you"));
    }
}
