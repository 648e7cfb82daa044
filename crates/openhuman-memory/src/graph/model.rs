//! The values that go into a graph and come out of it.

use serde::{Deserialize, Serialize};

/// Names a fact inside its namespace. It stays the same when the fact is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FactId(pub i64);

/// What a fact is about besides its subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// A person, place or thing that can be walked to.
    Entity(String),
    /// A plain value: a number, a date, a colour. It connects nothing.
    Value(String),
}

impl Object {
    /// An entity.
    pub fn entity(name: impl Into<String>) -> Self {
        Self::Entity(name.into())
    }

    /// A value.
    pub fn value(text: impl Into<String>) -> Self {
        Self::Value(text.into())
    }

    /// The name or the value.
    pub fn name(&self) -> &str {
        match self {
            Self::Entity(name) | Self::Value(name) => name,
        }
    }

    pub(crate) fn is_entity(&self) -> bool {
        matches!(self, Self::Entity(_))
    }
}

/// Where a fact or a mention comes from. Empty fields are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The document's identifier.
    pub document: String,
    /// The chunk of the document.
    pub chunk: Option<i64>,
    /// The session.
    pub session: String,
    /// The skill that told it.
    pub skill: String,
}

impl Provenance {
    /// A chunk of a document.
    pub fn chunk(document: impl Into<String>, chunk: i64) -> Self {
        Self {
            document: document.into(),
            chunk: Some(chunk),
            ..Self::default()
        }
    }

    /// A conversation.
    pub fn session(id: impl Into<String>) -> Self {
        Self {
            session: id.into(),
            ..Self::default()
        }
    }

    /// A skill.
    pub fn skill(id: impl Into<String>) -> Self {
        Self {
            skill: id.into(),
            ..Self::default()
        }
    }
}

/// Something that somebody says is so.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// Whom or what it is about.
    pub subject: String,
    /// The relation, in any spelling; stored as `LIVES_IN`.
    pub predicate: String,
    /// The other end.
    pub object: Object,
    /// Whether a subject has one such object at a time, like a home, and not several, like friends. A new object
    /// then closes the one before. Statements with and without it do not touch each other.
    pub single: bool,
    /// From when on it holds, in milliseconds since the Unix epoch.
    pub valid_from: i64,
    /// Until when it holds, this moment not included; `None` when it still does.
    pub valid_until: Option<i64>,
    /// The sentence to show and to search; empty for one made of the parts.
    pub text: String,
    /// How sure it is, above 0 and up to 1.
    pub confidence: f32,
    /// Where it comes from.
    pub source: Provenance,
}

impl Assertion {
    /// A relation of which there is one at a time.
    pub fn one(
        subject: impl Into<String>,
        predicate: impl Into<String>,
        object: Object,
        valid_from: i64,
    ) -> Self {
        Self {
            subject: subject.into(),
            predicate: predicate.into(),
            object,
            single: true,
            valid_from,
            valid_until: None,
            text: String::new(),
            confidence: 1.0,
            source: Provenance::default(),
        }
    }

    /// A relation of which there are many at a time.
    pub fn many(
        subject: impl Into<String>,
        predicate: impl Into<String>,
        object: Object,
        valid_from: i64,
    ) -> Self {
        Self {
            single: false,
            ..Self::one(subject, predicate, object, valid_from)
        }
    }

    /// With this source.
    #[must_use]
    pub fn from(mut self, source: Provenance) -> Self {
        self.source = source;
        self
    }
}

/// One step of [`GraphStore::apply`](super::GraphStore::apply).
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// States a fact.
    Assert(Assertion),
    /// Ends a fact that holds at `until`, from then on. Nothing happens when none does.
    Close {
        /// The fact's subject.
        subject: String,
        /// Its predicate.
        predicate: String,
        /// Its object.
        object: Object,
        /// When it ended, in milliseconds since the Unix epoch.
        until: i64,
    },
    /// Says that a text speaks of an entity.
    Mention {
        /// The entity.
        entity: String,
        /// The text.
        source: Provenance,
    },
}

/// A fact as it is believed, or was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fact {
    /// The fact's identifier inside its namespace.
    pub id: FactId,
    /// The subject as it was first written.
    pub subject: String,
    /// The predicate as stored.
    pub predicate: String,
    /// The object as it was first written.
    pub object: Object,
    /// Whether there is one such object at a time.
    pub single: bool,
    /// The sentence.
    pub text: String,
    /// From when on it holds.
    pub valid_from: i64,
    /// Until when, this moment not included.
    pub valid_until: Option<i64>,
    /// Since when this version of it is believed.
    pub recorded_ms: i64,
    /// Since when another version is believed instead.
    pub retired_ms: Option<i64>,
    /// How sure it is.
    pub confidence: f32,
    /// The fact that this one closed.
    pub supersedes: Option<FactId>,
    /// Where it comes from, in the order in which it was told.
    pub sources: Vec<Provenance>,
}

/// Which facts to return. Empty fields do not restrict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactQuery {
    /// The namespace.
    pub namespace: String,
    /// The subject, by any of its names.
    pub subject: Option<String>,
    /// The predicate, in any spelling.
    pub predicate: Option<String>,
    /// The object, by any of its names or as a value.
    pub object: Option<String>,
    /// Words that all occur in the sentence.
    pub text: Option<String>,
    /// Only what holds at this time in the world. Default: facts of all times.
    pub valid_at: Option<i64>,
    /// What was believed at this time. Default: what is believed now.
    pub known_at: Option<i64>,
    /// How many at most.
    pub limit: usize,
}

impl FactQuery {
    /// Everything believed now, of all times.
    pub fn all(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            subject: None,
            predicate: None,
            object: None,
            text: None,
            valid_at: None,
            known_at: None,
            limit: 1_000,
        }
    }

    /// Everything believed now of a subject.
    pub fn about(namespace: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            subject: Some(subject.into()),
            ..Self::all(namespace)
        }
    }
}

/// A person, place or thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entity {
    /// The name as it was first written.
    pub name: String,
    /// Other names, sorted.
    pub aliases: Vec<String>,
    /// When it was first heard of.
    pub created_ms: i64,
}

/// Where to walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The namespace.
    pub namespace: String,
    /// Names of the entities to start from; unknown ones are passed over.
    pub start: Vec<String>,
    /// Steps, at most 3.
    pub depth: u8,
    /// Relations followed from one entity, the surest first. Default 16.
    pub fan_out: usize,
    /// Relations followed in all. Default 2,048.
    pub limit: usize,
    /// Only what holds at this time. Default: facts of all times.
    pub valid_at: Option<i64>,
}

impl Walk {
    /// Three steps from one entity.
    pub fn from(namespace: impl Into<String>, start: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            start: vec![start.into()],
            depth: 3,
            fan_out: 16,
            limit: 2_048,
            valid_at: None,
        }
    }
}

/// What a walk reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Subgraph {
    /// The entities, nearest first, then by cost and name.
    pub nodes: Vec<Node>,
    /// The facts that were walked along, each once, as places in `nodes`.
    pub edges: Vec<Edge>,
}

/// An entity that a walk reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The fewest steps to it.
    pub depth: u8,
    /// The doubt on the surest way to it: the sum of `1 - confidence`.
    pub cost: f32,
}

/// A fact between two entities that a walk reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Edge {
    /// The fact.
    pub fact: FactId,
    /// The subject, as a place in [`Subgraph::nodes`].
    pub subject: usize,
    /// The object, as a place in [`Subgraph::nodes`].
    pub object: usize,
    /// How sure the fact is.
    pub confidence: f32,
}

/// A text that speaks of an entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct ChunkMention {
    /// The entity's name.
    pub entity: String,
    /// The text.
    pub source: Provenance,
}

/// What [`GraphStore::forget`](super::GraphStore::forget) removes for good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oblivion {
    /// An entity, its names, the facts about it and its mentions.
    Entity(String),
    /// What comes from a document. Facts that have other sources stay.
    Document(String),
    /// What comes from a session. Facts that have other sources stay.
    Session(String),
    /// What comes from a skill. Facts that have other sources stay.
    Skill(String),
    /// Every fact whose sentence, and every entity whose name, contains this text, in any case.
    Phrase(String),
    /// The whole namespace.
    Everything,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Forgotten {
    /// Facts, each counted once however many versions it had.
    pub facts: u64,
    /// Entities and values.
    pub entities: u64,
    /// Mentions.
    pub mentions: u64,
}

/// Sizes of a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GraphStats {
    /// Entities, without plain values.
    pub entities: u64,
    /// Facts believed now, closed ones included.
    pub facts: u64,
    /// Facts believed now that have not ended.
    pub open_facts: u64,
    /// Mentions.
    pub mentions: u64,
}
