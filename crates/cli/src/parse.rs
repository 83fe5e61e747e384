//! What people write for single options, read into types. Pure: no file, no environment.

pub mod environment;
pub mod escape;
pub mod hostname;
pub mod join;
pub mod mount_option;
pub mod mount_request;
pub mod path;
pub mod signal;
pub mod size;
pub mod sysctl;
pub mod tmpfs;
pub mod volume;
