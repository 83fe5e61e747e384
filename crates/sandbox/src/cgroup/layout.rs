//! Which hierarchies there are, where the caller is in them, and what it may do there.
