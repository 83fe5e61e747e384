//! One file per verb.

pub mod cache;
pub mod doctor;
pub mod gc;
pub mod internal;
pub mod run;
