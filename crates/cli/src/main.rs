//! izba
fn main() {}
