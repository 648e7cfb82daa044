//! `openhuman skills new|check|test|run|pack|sign|keygen`: the kit for authors of skills.

mod check;
mod create;
mod pack;
mod run;
mod show;
mod test;
mod watch;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use openhuman::skills::kit::template::Template;
use openhuman::skills::{PackageError, SkillPackage};

use crate::args::Global;
use crate::exit::{Code, Failure, tell};
use crate::style::WARNING;

#[derive(Subcommand)]
pub(crate) enum Author {
    /// Start a new skill: manifest, script, tests and types.
    #[command(
        after_help = "Example:\n  openhuman skills new my-skill && cd my-skill && openhuman skills test . --watch"
    )]
    New(New),
    /// Check a skill: manifest, script, tools, hooks, permissions.
    Check(Check),
    /// Run a skill's tests, in a simulation with its own time and network.
    #[command(
        after_help = "Tests are the files *.test.js and *.test.mjs of the directory. What they find is described in openhuman-skill-test.d.ts."
    )]
    Test(Test),
    /// Run a skill for real, with a throw-away database.
    #[command(
        after_help = "Examples:\n  openhuman skills run . --tool greet --args '{\"name\":\"Ada\"}'\n  openhuman skills run . --watch --inspect\n\nWithout --tool, each line of standard input is a call: NAME [JSON]."
    )]
    Run(Run),
    /// Put a skill into one file to hand on, without tests and types.
    Pack(Pack),
    /// Sign a packed skill, or a directory.
    Sign(Sign),
    /// Make a key to sign with.
    Keygen(Keygen),
}

#[derive(Args)]
pub(crate) struct New {
    /// The skill's id: lower case letters, digits and `-`.
    name: String,
    /// Where to put it [default: a new directory of that name].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// What it is an example of.
    #[arg(long, value_enum, default_value_t = Example::Minimal)]
    template: Example,
}

#[derive(Clone, Copy, ValueEnum)]
enum Example {
    /// One tool and some state.
    Minimal,
    /// A copy of a service's data: network, a secret, a database, a schedule.
    Sync,
    /// ES modules.
    Module,
}

impl From<Example> for Template {
    fn from(example: Example) -> Self {
        match example {
            Example::Minimal => Self::Minimal,
            Example::Sync => Self::Sync,
            Example::Module => Self::Module,
        }
    }
}

#[derive(Args)]
pub(crate) struct Check {
    /// The skill's directory.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Fail for warnings too.
    #[arg(long)]
    strict: bool,
}

#[derive(Args)]
pub(crate) struct Test {
    /// The skill's directory.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run again whenever a file changes, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Print the Test Anything Protocol.
    #[arg(long, conflicts_with = "watch")]
    tap: bool,
}

#[derive(Args)]
pub(crate) struct Run {
    /// The skill's directory.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Call this tool, print its result, and end.
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// The tool's arguments, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "tool")]
    args: String,
    /// Show every call of a host function on standard error.
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    inspect: Option<Inspect>,
    /// Load the skill again whenever a file changes; its state stays.
    #[arg(long, conflicts_with = "tool")]
    watch: bool,
    /// Also allow this host, or HOST:PORT on a private address.
    #[arg(long, value_name = "HOST")]
    allow_net: Vec<String>,
    /// The value of a secret is in this environment variable.
    #[arg(long, value_name = "HANDLE=VARIABLE")]
    secret: Vec<String>,
    /// Keep the database in this directory, unencrypted.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Inspect {
    Text,
    Json,
}

#[derive(Args)]
pub(crate) struct Pack {
    /// The skill's directory.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The file to write, or `-` for standard output [default: ID-VERSION.tar.gz]. Only an earlier archive is replaced.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also sign it with this key.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Sign {
    /// A file made by `pack`, or a directory.
    target: PathBuf,
    /// The key, made by `keygen`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Args)]
pub(crate) struct Keygen {
    /// The file to write. Whoever has it can publish in your name.
    file: PathBuf,
}

pub(crate) async fn run(global: &Global, command: Author) -> Result<(), Failure> {
    match command {
        Author::New(new) => create::run(global, &new),
        Author::Check(check) => check::run(global, &check).await,
        Author::Test(test) => test::run(global, &test).await,
        Author::Run(run) => run::run(global, &run).await,
        Author::Pack(pack) => pack::pack(global, &pack).await,
        Author::Sign(sign) => pack::sign(global, &sign),
        Author::Keygen(keygen) => pack::keygen(global, &keygen),
    }
}

/// Makes sure that there is a skill to look at.
fn find(dir: &Path) -> Result<(), Failure> {
    let missing = |text: String| Err(Failure::new(Code::NotFound, text));
    if !dir.is_dir() {
        return missing(format!("there is no directory {}", dir.display()));
    }
    if !dir.join("manifest.json").is_file() {
        return missing(format!(
            "{} holds no manifest.json; `openhuman skills new NAME` starts a skill",
            dir.display()
        ));
    }
    Ok(())
}

/// Loads the skill of a directory.
fn load(dir: &Path) -> Result<SkillPackage, Failure> {
    find(dir)?;
    edited(dir).map_err(|error| failed(&error))
}

/// Loads a package that its author works on; a signature that does not fit any more is no reason to stop.
fn edited(dir: &Path) -> Result<SkillPackage, PackageError> {
    let (package, stale) = SkillPackage::load_edited(dir)?;
    if let Some(stale) = stale {
        tell(format_args!(
            "{WARNING}warning{WARNING:#}: signature.json is left out: {stale}; `openhuman skills sign` makes a new one"
        ));
    }
    Ok(package)
}

fn failed(error: &PackageError) -> Failure {
    Failure::new(Code::Failed, error.to_string())
}

/// The failure of an operation on a file.
fn io_failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::NotFound {
        Code::NotFound
    } else {
        Code::Failed
    };
    Failure::new(code, format!("cannot {action} {}: {error}", path.display()))
}
