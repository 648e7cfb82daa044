//! The OpenHuman desktop app.
fn main() {}
