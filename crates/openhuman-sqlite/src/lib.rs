//! SQLite whose every byte on disk is AES-256-GCM: an encrypting VFS for rusqlite.
