//! One file per verb.

pub mod cache;
pub mod doctor;
pub mod exec;
pub mod gc;
pub mod inspect;
pub mod internal;
pub mod kill;
pub mod ns;
pub mod pause;
pub mod ps;
pub mod run;
pub mod stats;
pub mod update;
