//! The `openhuman` command.
fn main() {}
