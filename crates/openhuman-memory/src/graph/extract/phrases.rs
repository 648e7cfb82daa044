//! The phrases that the rules know.

/// What may stand at the other end of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Only something with a capital letter.
    Name,
    /// Something with a capital letter is an entity, anything else a value.
    Any,
}

/// A phrase after the subject, what it means, whether there is one at a time, and how sure that is.
pub(super) struct Relation(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) bool,
    pub(super) End,
    pub(super) f32,
);

/// Longer phrases come before those they begin with.
pub(super) const RELATIONS: &[Relation] = &[
    Relation("am living in", "LIVES_IN", true, End::Name, 0.9),
    Relation("is living in", "LIVES_IN", true, End::Name, 0.9),
    Relation("live in", "LIVES_IN", true, End::Name, 0.95),
    Relation("lives in", "LIVES_IN", true, End::Name, 0.95),
    Relation("lived in", "LIVES_IN", true, End::Name, 0.6),
    Relation("moved to", "LIVES_IN", true, End::Name, 0.9),
    Relation("am from", "COMES_FROM", true, End::Name, 0.9),
    Relation("is from", "COMES_FROM", true, End::Name, 0.9),
    Relation("come from", "COMES_FROM", true, End::Name, 0.9),
    Relation("comes from", "COMES_FROM", true, End::Name, 0.9),
    Relation("am working at", "WORKS_AT", true, End::Name, 0.9),
    Relation("is working at", "WORKS_AT", true, End::Name, 0.9),
    Relation("work at", "WORKS_AT", true, End::Name, 0.95),
    Relation("works at", "WORKS_AT", true, End::Name, 0.95),
    Relation("work for", "WORKS_AT", true, End::Name, 0.9),
    Relation("works for", "WORKS_AT", true, End::Name, 0.9),
    Relation("joined", "WORKS_AT", true, End::Name, 0.6),
    Relation("studied at", "STUDIED_AT", false, End::Name, 0.9),
    Relation("studies at", "STUDIED_AT", false, End::Name, 0.9),
    Relation("study at", "STUDIED_AT", false, End::Name, 0.9),
    Relation("am married to", "MARRIED_TO", true, End::Name, 0.95),
    Relation("is married to", "MARRIED_TO", true, End::Name, 0.95),
    Relation("married", "MARRIED_TO", true, End::Name, 0.8),
    Relation("am allergic to", "ALLERGIC_TO", false, End::Any, 0.95),
    Relation("is allergic to", "ALLERGIC_TO", false, End::Any, 0.95),
    Relation("am called", "NAMED", true, End::Name, 0.95),
    Relation("is called", "NAMED", true, End::Name, 0.9),
    Relation("like", "LIKES", false, End::Any, 0.8),
    Relation("likes", "LIKES", false, End::Any, 0.8),
    Relation("love", "LIKES", false, End::Any, 0.85),
    Relation("loves", "LIKES", false, End::Any, 0.85),
    Relation("enjoy", "LIKES", false, End::Any, 0.8),
    Relation("enjoys", "LIKES", false, End::Any, 0.8),
    Relation("do not like", "DISLIKES", false, End::Any, 0.8),
    Relation("don't like", "DISLIKES", false, End::Any, 0.8),
    Relation("does not like", "DISLIKES", false, End::Any, 0.8),
    Relation("doesn't like", "DISLIKES", false, End::Any, 0.8),
    Relation("hate", "DISLIKES", false, End::Any, 0.85),
    Relation("hates", "DISLIKES", false, End::Any, 0.85),
    Relation("dislike", "DISLIKES", false, End::Any, 0.85),
    Relation("dislikes", "DISLIKES", false, End::Any, 0.85),
    Relation("prefer", "PREFERS", false, End::Any, 0.85),
    Relation("prefers", "PREFERS", false, End::Any, 0.85),
    Relation("speak", "SPEAKS", false, End::Name, 0.85),
    Relation("speaks", "SPEAKS", false, End::Name, 0.85),
    Relation("met", "KNOWS", false, End::Name, 0.7),
    Relation("know", "KNOWS", false, End::Name, 0.7),
    Relation("knows", "KNOWS", false, End::Name, 0.7),
    Relation("visited", "VISITED", false, End::Name, 0.8),
    Relation("went to", "VISITED", false, End::Name, 0.7),
    Relation("traveled to", "VISITED", false, End::Name, 0.8),
    Relation("adopted", "HAS", false, End::Any, 0.7),
    Relation("bought", "HAS", false, End::Any, 0.6),
    Relation("own", "HAS", false, End::Any, 0.85),
    Relation("owns", "HAS", false, End::Any, 0.85),
    Relation("want to", "WANTS_TO", false, End::Any, 0.7),
    Relation("wants to", "WANTS_TO", false, End::Any, 0.7),
    Relation("am a", "IS_A", false, End::Any, 0.8),
    Relation("am an", "IS_A", false, End::Any, 0.8),
    Relation("is a", "IS_A", false, End::Any, 0.7),
    Relation("is an", "IS_A", false, End::Any, 0.7),
];

/// Phrases that say that something is over, and what of the relations follows them; empty for the verb phrase that
/// comes next.
pub(super) const ENDINGS: &[(&str, &str)] = &[
    ("no longer", ""),
    ("used to", ""),
    ("left", "WORKS_AT"),
    ("quit", "WORKS_AT"),
    ("moved away from", "LIVES_IN"),
    ("divorced", "MARRIED_TO"),
];

pub(super) const RELATIVES: [&str; 17] = [
    "sister",
    "brother",
    "mother",
    "father",
    "mom",
    "dad",
    "wife",
    "husband",
    "partner",
    "son",
    "daughter",
    "friend",
    "boss",
    "dog",
    "cat",
    "girlfriend",
    "boyfriend",
];

/// Where an object ends.
pub(super) const BREAKS: [&str; 19] = [
    "and", "but", "because", "since", "when", "which", "who", "so", "although", "while", "until", "till",
    "from", "anymore", "then", "if", "after", "before", "with",
];

/// Words with a capital letter that name nothing by themselves.
pub(super) const NOT_NAMES: [&str; 23] = [
    "today",
    "yesterday",
    "tomorrow",
    "i",
    "i'm",
    "i've",
    "i'll",
    "i'd",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "ok",
    "okay",
    "yes",
    "no",
    "wow",
    "hey",
    "hi",
    "thanks",
];
