//! Keys, secrets and login tokens, sealed with AES-256-GCM under Argon2id and held in the OS keychain.
