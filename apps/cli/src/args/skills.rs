//! `openhuman skills`, as it is written.

use clap::Subcommand;

/// Which registry is asked.
#[derive(clap::Args)]
pub(crate) struct FromRegistry {
    /// The registry: an https address, an absolute path or a file:// address [default: the public one].
    #[arg(long, value_name = "PLACE", env = "SKILLS_REGISTRY_URL")]
    pub(crate) registry: Option<String>,
    /// Fetch the index even when the one at hand is younger than an hour.
    #[arg(long)]
    pub(crate) refresh: bool,
}

/// What becomes of what a removed skill leaves behind.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct LeftBehind {
    /// Also delete its own data: its database, files and published state. At a terminal it is asked for otherwise.
    #[arg(long)]
    pub(crate) forget_data: bool,
    /// Keep its own data, without asking.
    #[arg(long, conflicts_with = "forget_data")]
    pub(crate) keep_data: bool,
    /// Keep the documents that it added to the memory.
    #[arg(long)]
    pub(crate) keep_documents: bool,
}

#[derive(Subcommand)]
pub(crate) enum Skills {
    /// List the skills with their state and tools.
    List,
    /// Call a tool of a skill.
    #[command(
        after_help = "Example:\n  openhuman skills call notes add_note '{\"title\":\"Plan\",\"text\":\"Stake in May\"}'"
    )]
    Call {
        /// The skill's id.
        skill: String,
        /// The tool's name.
        tool: String,
        /// The arguments, a JSON object.
        #[arg(default_value = "{}")]
        arguments: String,
    },
    /// Show what a skill asks for, and allow it.
    Allow {
        /// The skill's id.
        skill: String,
        /// Also let it reach this private or loopback address.
        #[arg(long, value_name = "HOST:PORT")]
        private: Vec<String>,
        /// Also let it reach this public host, over https.
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Take back what a skill was allowed.
    Revoke {
        /// The skill's id.
        skill: String,
    },
    /// List the skills of the registry, or those that match.
    Search {
        /// Words that the id, name, description or author holds.
        words: Vec<String>,
        #[command(flatten)]
        from: FromRegistry,
    },
    /// Install a skill from the registry, or a package from a file or folder.
    Install {
        /// The skill's id, or the path of a package: with a slash (`./NAME`), or the name of an archive.
        skill: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        from: FromRegistry,
    },
    /// Update an installed skill, or all of them.
    Update {
        /// The skill's id.
        skill: Option<String>,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        from: FromRegistry,
    },
    /// Remove an installed skill.
    #[command(
        after_help = "Without options, what it told the assistant is forgotten, and its own data stays for the same \
                            publisher's skill."
    )]
    Remove {
        /// The skill's id.
        skill: String,
        #[command(flatten)]
        left: LeftBehind,
    },
    /// Show the state of the registry.
    Registry {
        #[command(flatten)]
        from: FromRegistry,
    },
    /// Set a skill up: answer what its wizard asks.
    Setup {
        /// The skill's id.
        skill: String,
        /// The answers, a JSON object by the names of the inputs. Without it the terminal is asked.
        #[arg(long, value_name = "JSON")]
        values: Option<String>,
    },
    /// Connect an account to a skill. What you enter rests in the vault; the skill sees a placeholder.
    Connect {
        /// The skill's id.
        skill: String,
        /// How to connect: self_hosted or text.
        #[arg(long, value_name = "MODE")]
        mode: Option<String>,
        /// The answers, a JSON object by the names of the inputs ("content" for text). Without it the terminal is asked.
        #[arg(long, value_name = "JSON")]
        values: Option<String>,
    },
    /// Disconnect a skill's accounts and forget them.
    Disconnect {
        /// The skill's id.
        skill: String,
    },
    /// Show the options of a skill, or set one.
    Options {
        /// The skill's id.
        skill: String,
        /// The option.
        #[arg(requires = "value")]
        name: Option<String>,
        /// Its new value.
        value: Option<String>,
    },
    /// Let a skill fetch what is new at its service.
    Sync {
        /// The skill's id.
        skill: String,
    },
    /// Show the schedules of a skill, or run one now.
    Schedules {
        /// The skill's id.
        skill: String,
        /// Run this schedule now.
        #[arg(long, value_name = "ID")]
        run: Option<String>,
    },
    /// Show what skills sent over the network, the newest first.
    Egress {
        /// Only this skill's.
        skill: Option<String>,
        /// Only what was refused.
        #[arg(long)]
        refused: bool,
        /// How many.
        #[arg(short, long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// Start a skill with OpenHuman again.
    Enable {
        /// The skill's id.
        skill: String,
    },
    /// Do not start a skill with OpenHuman.
    Disable {
        /// The skill's id.
        skill: String,
    },
    #[command(flatten)]
    Author(crate::author::Author),
}
