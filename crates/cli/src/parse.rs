//! What people write for single options, read into types. Pure: no file, no environment.

pub mod block_device;
pub mod bound;
pub mod cgroup;
pub mod cpus;
pub mod environment;
pub mod escape;
pub mod hostname;
pub mod hugetlb;
pub mod interval;
pub mod join;
pub mod mount_option;
pub mod mount_request;
pub mod number;
pub mod packet_mark;
pub mod path;
pub mod rdma;
pub mod signal;
pub mod size;
pub mod sysctl;
pub mod tmpfs;
pub mod volume;
pub mod weight;
