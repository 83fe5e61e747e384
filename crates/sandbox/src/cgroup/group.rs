//! A group that is there: changed, stopped, counted, ended and removed.
