//! `openhuman skills new`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use openhuman::skills::SkillId;
use openhuman::skills::kit::template;
use serde_json::json;

use super::{New, io_failed};
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::output::{self, line};
use crate::style::{BOLD, DIM, GOOD};

pub(super) fn run(global: &Global, new: &New) -> Result<(), Failure> {
    let id = SkillId::new(&new.name).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
    let dir = new.dir.clone().unwrap_or_else(|| PathBuf::from(&new.name));
    let files = template::files(&id, new.template.into());
    // Nothing is written before it is clear that nothing is in the way.
    if let Some((path, _)) = files
        .iter()
        .find(|(path, _)| dir.join(path).symlink_metadata().is_ok())
    {
        let taken = dir.join(path);
        return Err(Failure::new(
            Code::Failed,
            format!(
                "{} is there already; choose another directory with --dir",
                taken.display()
            ),
        ));
    }
    for (path, text) in &files {
        write_new(&dir.join(path), text)?;
    }
    if global.json {
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        return output::json(&json!({ "id": id.as_str(), "dir": dir, "files": paths }));
    }
    let shown = dir.display();
    line(format_args!(
        "{GOOD}Created{GOOD:#} {BOLD}{id}{BOLD:#} in {shown}"
    ))?;
    for (path, _) in &files {
        line(format_args!("  {DIM}{path}{DIM:#}"))?;
    }
    line(format_args!(
        "\nNext:\n  cd {shown}\n  openhuman skills test . --watch"
    ))
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| io_failed("write", path, &error);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut file = fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
