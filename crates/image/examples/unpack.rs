//! Unpacks an archive into a cache and says how long it took: `unpack CACHE ARCHIVE [squashed]`. For measurements.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use izba_image::{Cache, Located, Owners, Unpacking};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [cache, archive, rest @ ..] = &args[..] else { return Err("usage: unpack CACHE ARCHIVE [squashed]".into()) };
    let how = if rest.is_empty() {
        Unpacking::new(Owners::AsArchived, "root")
    } else {
        Unpacking::new(Owners::Squashed, "squashed")
    };
    let start = Instant::now();
    let cache = Cache::open(cache.as_ref())?;
    if let Located::Ready(tree) = cache.locate(archive.as_ref(), how.variant)? {
        println!("found {} in {:?}", tree.path().display(), start.elapsed());
        return Ok(());
    }
    let (tree, report) = cache.unpack(archive.as_ref(), &how, &mut |_, _| {})?;
    println!("unpacked {} in {:?}: {report:?}", tree.path().display(), start.elapsed());
    Ok(())
}
