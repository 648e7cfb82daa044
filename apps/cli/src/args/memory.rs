//! `openhuman memory`, as it is written.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::descriptors::{Secret, Wanted};

#[derive(Subcommand)]
pub(crate) enum Memory {
    /// Remember Markdown and text files: one, or every one of a folder.
    #[command(visible_alias = "import")]
    Add {
        /// Files or folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Find passages by meaning and by words.
    Search {
        /// What to look for.
        #[arg(required = true)]
        query: Vec<String>,
        /// How many passages.
        #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        /// Only this part of the memory, for example files or conversations.
        #[arg(long, value_name = "NAME")]
        namespace: Option<String>,
        /// Show why each passage was found.
        #[arg(long)]
        explain: bool,
    },
    /// Show what the assistant would be told about a question, with sources.
    Context {
        /// The question.
        #[arg(required = true)]
        question: Vec<String>,
        /// How much of it, in tokens.
        #[arg(long, value_name = "N", default_value_t = 1500, value_parser = clap::value_parser!(u16).range(50..=16_000))]
        tokens: u16,
        /// Show what was found, why, and what was left out.
        #[arg(long)]
        explain: bool,
    },
    /// List what is remembered.
    List {
        /// Only this part of the memory.
        #[arg(long, value_name = "NAME")]
        namespace: Option<String>,
    },
    /// Forget a document, or everywhere a person, a source, a skill or some words.
    #[command(
        after_help = "Everywhere means documents, the search index, the graph, conversations, shortened texts and the working \
                            memory. Copies from before, made by an export or a backup, still hold it: they are listed, and deleted \
                            after a yes. What skills keep in databases of their own is not touched (`openhuman skills remove --forget-data`)."
    )]
    Forget {
        #[command(flatten)]
        what: Forgotten,
        /// Also delete the copies from before that still hold it, without asking.
        #[arg(long)]
        delete_backups: bool,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// List copies that hold something forgotten since.
    Backups {
        /// Delete them.
        #[arg(long)]
        delete: bool,
    },
    /// What the assistant has at hand in every turn: preferences, goals, constraints, and whom you deal with.
    #[command(subcommand)]
    Profile(Profile),
    /// Facts about people, places and things.
    #[command(subcommand)]
    Graph(Graph),
    /// The conversations.
    #[command(subcommand, visible_alias = "threads")]
    Sessions(Sessions),
    /// Which model computes the vectors.
    #[command(subcommand)]
    Embedder(Embedder),
    /// Compute all vectors anew with the chosen model. After an interruption, run it again: it goes on.
    Reembed,
    /// Read everything and say whether it belongs together.
    Check,
    /// Write everything as plain, readable files.
    Export {
        /// A new directory for them.
        dir: PathBuf,
    },
}

/// What to forget.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Forgotten {
    /// A document's id, from `memory list`.
    pub(crate) id: Option<String>,
    /// Somebody, under all names that the graph knows: every sentence that names them.
    #[arg(long, value_name = "NAME")]
    pub(crate) person: Option<String>,
    /// A source: a path, an address, or "conversation NAME".
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Everything that a skill stored and published.
    #[arg(long, value_name = "ID")]
    pub(crate) skill: Option<String>,
    /// Some words: every sentence that contains them.
    #[arg(long, value_name = "WORDS")]
    pub(crate) phrase: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Preference,
    Goal,
    Constraint,
    Entity,
}

#[derive(Subcommand)]
pub(crate) enum Profile {
    /// List the items with their numbers.
    List {
        /// Also those that hold no longer.
        #[arg(long)]
        closed: bool,
    },
    /// Remember something to have at hand.
    #[command(after_help = "Example:\n  openhuman memory profile remember preference \"answers in German\"")]
    Remember {
        /// What it is.
        kind: Kind,
        /// The words.
        #[arg(required = true)]
        text: Vec<String>,
        /// What it is a value of, for example editor: another text then takes its place.
        #[arg(long, value_name = "NAME")]
        slot: Option<String>,
    },
    /// Keep an item, whatever skills publish.
    Pin {
        /// Its number, from `profile list`.
        id: i64,
    },
    /// Do not keep an item any more.
    Unpin {
        /// Its number, from `profile list`.
        id: i64,
    },
    /// Close an item: it is not so any more.
    Close {
        /// Its number, from `profile list`.
        id: i64,
    },
    /// Write it as Markdown, to a file or to standard output.
    Export {
        /// The new file.
        file: Option<PathBuf>,
    },
    /// Take over what an export wrote, possibly changed by hand.
    Import {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum Graph {
    /// List facts: all, or those about somebody or something.
    Facts {
        /// Whom or what, by any name.
        subject: Option<String>,
        /// Only this relation, for example "lives in".
        #[arg(long, value_name = "RELATION")]
        predicate: Option<String>,
        /// Only what holds on this day.
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: Option<jiff::civil::Date>,
        /// Only this part of the memory, for example files or conversations.
        #[arg(long, value_name = "NAME")]
        namespace: Option<String>,
    },
    /// State a fact that holds from now on.
    Tell {
        /// Whom or what it is about.
        subject: String,
        /// The relation, for example "works with".
        predicate: String,
        /// The other end.
        object: String,
    },
    /// Give somebody or something another name.
    Alias {
        /// The name that is known.
        name: String,
        /// The other name.
        alias: String,
        /// The part of the memory in which it is known.
        #[arg(long, value_name = "NAME", default_value = "default")]
        namespace: String,
    },
    /// Show what is connected, up to three steps away.
    Walk {
        /// From whom or what.
        start: String,
        /// How many steps.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
        depth: u8,
        /// The part of the memory.
        #[arg(long, value_name = "NAME", default_value = "default")]
        namespace: String,
    },
    /// Connect a Neo4j server that gets a copy of the facts.
    Connect {
        /// Scheme, host and port, for example http://localhost:7474.
        url: String,
        /// The database there.
        #[arg(long, value_name = "NAME", default_value = "neo4j")]
        database: String,
        /// The user there; the password is asked for.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Read that password from this file descriptor, up to the first line end.
        #[arg(long, value_name = "N", requires = "user")]
        server_password_fd: Option<u32>,
        /// What was read from `server_password_fd`.
        #[arg(skip)]
        server_password: Option<Secret>,
        /// Do not ask whether facts may leave this machine.
        #[arg(short, long)]
        yes: bool,
    },
    /// Copy the facts to the connected server.
    Push,
    /// Forget the server. What it holds stays there.
    Disconnect,
}

#[derive(Subcommand)]
pub(crate) enum Sessions {
    /// List the conversations, the latest first.
    List,
    /// Show what was said.
    Show {
        /// Its name.
        id: String,
    },
    /// Write a conversation as plain lines of JSON.
    Export {
        /// Its name.
        id: String,
        /// The new file [default: standard output].
        file: Option<PathBuf>,
    },
    /// Forget a conversation, and what a search finds of it.
    Forget {
        /// Its name.
        id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Embedder {
    /// Show which model computes the vectors.
    Show,
    /// Let a server compute them: OpenAI, or any that speaks its protocol (Ollama, LM Studio, llama.cpp, vLLM).
    #[command(
        after_help = "Examples:\n  openhuman memory embedder set --openai\n  openhuman memory embedder set --url http://localhost:11434/v1 --model nomic-embed-text --dimensions 768\n\nThen `openhuman memory reembed` computes the vectors of what is remembered already."
    )]
    Set {
        /// OpenAI's text-embedding-3-small.
        #[arg(long, conflicts_with = "url", required_unless_present = "url")]
        openai: bool,
        /// The server's address, up to and including the version.
        #[arg(long, value_name = "URL", requires = "dimensions", requires = "model")]
        url: Option<String>,
        /// The model's name there.
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
        /// How many numbers its vectors have.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
        dimensions: Option<u16>,
        /// The server wants a key: it is asked for, and rests in the vault. Always so for OpenAI.
        #[arg(long)]
        key: bool,
        /// Read the key from this file descriptor, up to the first line end.
        #[arg(long, value_name = "N")]
        key_fd: Option<u32>,
        /// What was read from `key_fd`.
        #[arg(skip)]
        key_text: Option<Secret>,
        /// Do not ask whether what you remember may be sent there.
        #[arg(short, long)]
        yes: bool,
    },
    /// Go back to the built-in table, which needs no network, and forget the key.
    Reset,
}

impl Memory {
    /// The secrets that the command reads from file descriptors.
    pub(crate) fn secrets(&mut self) -> Vec<Wanted<'_>> {
        match self {
            Self::Embedder(Embedder::Set { key_fd, key_text, .. }) => vec![Wanted {
                fd: *key_fd,
                what: "the key",
                into: key_text,
            }],
            Self::Graph(Graph::Connect {
                server_password_fd,
                server_password,
                ..
            }) => vec![Wanted {
                fd: *server_password_fd,
                what: "the server's password",
                into: server_password,
            }],
            _ => Vec::new(),
        }
    }
}
