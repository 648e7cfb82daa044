//! What the demo brings along, so that an installed binary needs no source tree.

use std::fs;
use std::io;
use std::path::Path;

pub(crate) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "staking-basics.md",
        include_str!("../../../../examples/demo/staking-basics.md"),
    ),
    (
        "market-diary.md",
        include_str!("../../../../examples/demo/market-diary.md"),
    ),
    (
        "wallet-hygiene.md",
        include_str!("../../../../examples/demo/wallet-hygiene.md"),
    ),
];

/// Id, manifest and code of the example skills.
pub(crate) const SKILLS: &[(&str, &str, &str)] = &[
    (
        "notes",
        include_str!("../../../../examples/skills/notes/manifest.json"),
        include_str!("../../../../examples/skills/notes/index.js"),
    ),
    (
        "prices",
        include_str!("../../../../examples/skills/prices/manifest.json"),
        include_str!("../../../../examples/skills/prices/index.js"),
    ),
    (
        "alerts",
        include_str!("../../../../examples/skills/alerts/manifest.json"),
        include_str!("../../../../examples/skills/alerts/index.js"),
    ),
];

/// Writes the documents as files, the way a user would have them.
pub(crate) fn write_documents(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    DOCUMENTS
        .iter()
        .try_for_each(|(name, text)| fs::write(dir.join(name), text))
}

/// Writes the skill packages. `spoil` changes the code of one of them.
pub(crate) fn write_skills(dir: &Path, spoil: impl Fn(&str, &str) -> String) -> io::Result<()> {
    for (id, manifest, code) in SKILLS {
        let package = dir.join(id);
        fs::create_dir_all(&package)?;
        fs::write(package.join("manifest.json"), manifest)?;
        fs::write(package.join("index.js"), spoil(id, code))?;
    }
    Ok(())
}
