//! Which devices may be used: a list on v1, a BPF program on v2.
