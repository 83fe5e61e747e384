//! Root file systems from tar archives: unpacked once into a content-addressed cache, then found there again with a
//! handful of system calls.
//!
//! ```no_run
//! use izba_image::{Cache, Located, Owners, Unpacking};
//! # fn main() -> izba_image::Result<()> {
//! let cache = Cache::open("/var/cache/izba".as_ref())?;
//! let archive = "alpine-minirootfs.tar.gz".as_ref();
//! let tree = match cache.locate(archive, "root")? {
//!     Located::Ready(tree) => tree,
//!     Located::Missing { .. } => {
//!         let how = Unpacking::new(Owners::AsArchived, "root");
//!         cache.unpack(archive, &how, &mut |_read, _total| {})?.0
//!     }
//! };
//! // As long as `tree` lives, no prune removes the files under `tree.path()`.
//! # Ok(())
//! # }
//! ```
//!
//! An archive is untrusted. Every entry is made beneath a directory descriptor, no link is followed while writing, and
//! sizes, entry counts and depths are limited (see [`Limits`]).

mod cache;
mod decompress;
mod digest;
mod error;
mod limits;
mod name;
mod pipeline;
mod remove;
mod source;
mod tar;
mod unpack;

pub use cache::{Cache, Entry, Located, Pruned, Swept, Tree, Unpacking, Unremovable};
pub use digest::Digest;
pub use error::{Error, Result, UnpackError};
pub use limits::Limits;
pub use remove::remove_tree;
pub use unpack::{Owners, Report, unpack_stream};
