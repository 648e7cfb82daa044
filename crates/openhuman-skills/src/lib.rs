//! Runs untrusted JavaScript skills in isolated QuickJS runtimes: packages, permissions, bridges, schedules.
