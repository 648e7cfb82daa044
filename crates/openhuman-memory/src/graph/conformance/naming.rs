//! Entities, their other names, and the texts that speak of them.

use super::{Bench, Case, Failure, Outcome, objects, same, strings};
use crate::graph::error::GraphError;
use crate::graph::model::Provenance;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "the_first_spelling_of_a_name_is_kept",
        body: first_spelling,
    },
    Case {
        name: "an_alias_finds_the_entity",
        body: alias_finds,
    },
    Case {
        name: "a_statement_by_alias_is_about_the_entity",
        body: statement_by_alias,
    },
    Case {
        name: "an_alias_may_be_given_twice",
        body: alias_twice,
    },
    Case {
        name: "an_alias_that_is_taken_is_refused",
        body: alias_taken,
    },
    Case {
        name: "an_alias_of_nobody_is_refused",
        body: alias_of_nobody,
    },
    Case {
        name: "entities_are_listed_in_order_and_by_pages",
        body: pages,
    },
    Case {
        name: "a_mention_makes_an_entity",
        body: mention,
    },
    Case {
        name: "a_mention_counts_once",
        body: mention_once,
    },
    Case {
        name: "mentions_come_back_with_their_source",
        body: mention_source,
    },
    Case {
        name: "statistics_count_what_is_there",
        body: statistics,
    },
];

fn first_spelling(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada Lovelace", "Bob")?;
    bench.knows("ADA  LOVELACE", "Carol")?;
    let entity = bench.store.entity(&bench.namespace, "ada lovelace")?;
    same(
        entity.map(|entity| (entity.name, entity.created_ms)),
        Some(("Ada Lovelace".to_owned(), 1)),
    )
}

fn alias_finds(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.store.add_alias(&bench.namespace, "ada", "The Countess")?;
    let entity = bench.store.entity(&bench.namespace, "the countess")?;
    same(
        entity.map(|entity| (entity.name, entity.aliases)),
        Some(("Ada".to_owned(), strings(&["The Countess"]))),
    )
}

fn statement_by_alias(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.store.add_alias(&bench.namespace, "Ada", "Countess")?;
    bench.knows("countess", "Carol")?;
    bench.knows("Dave", "Countess")?;
    let facts = bench.ask(|query| query.subject = Some("Countess".into()))?;
    same(objects(&facts), strings(&["Bob", "Carol"]))?;
    same(
        objects(&bench.ask(|query| query.object = Some("ada".into()))?),
        strings(&["Ada"]),
    )
}

fn alias_twice(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    for _ in 0..2 {
        bench.store.add_alias(&bench.namespace, "Ada", "Countess")?;
    }
    bench.store.add_alias(&bench.namespace, "Ada", "ADA")?;
    let entity = bench.store.entity(&bench.namespace, "ada")?;
    same(entity.map(|entity| entity.aliases), Some(strings(&["Countess"])))
}

fn alias_taken(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    match bench.store.add_alias(&bench.namespace, "Ada", "bob") {
        Err(GraphError::AliasTaken { owner, .. }) => same(owner.as_str(), "Bob")?,
        other => return Err(Failure(format!("{other:?}"))),
    }
    bench.store.add_alias(&bench.namespace, "Bob", "Bobby")?;
    let taken = bench.store.add_alias(&bench.namespace, "Ada", "Bobby");
    same(matches!(taken, Err(GraphError::AliasTaken { .. })), true)
}

fn alias_of_nobody(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    let nobody = bench.store.add_alias(&bench.namespace, "Zoe", "Z");
    same(matches!(nobody, Err(GraphError::NoEntity { .. })), true)
}

fn pages(bench: &Bench<'_>) -> Outcome {
    bench.knows("Carol", "ada")?;
    bench.knows("Bob", "dave")?;
    let names = |after: Option<&str>, limit| -> Result<Vec<String>, Failure> {
        let entities = bench.store.entities(&bench.namespace, after, limit)?;
        Ok(entities.into_iter().map(|entity| entity.name).collect())
    };
    same(names(None, 10)?, strings(&["ada", "Bob", "Carol", "dave"]))?;
    same(names(None, 2)?, strings(&["ada", "Bob"]))?;
    same(names(Some("Bob"), 2)?, strings(&["Carol", "dave"]))?;
    same(names(Some("dave"), 2)?, strings(&[]))
}

fn mention(bench: &Bench<'_>) -> Outcome {
    bench.mention("Ada", Provenance::chunk("d", 1))?;
    same(bench.store.entity(&bench.namespace, "ada")?.is_some(), true)?;
    same(bench.store.mentions(&bench.namespace, "Zoe", 10)?, vec![])
}

fn mention_once(bench: &Bench<'_>) -> Outcome {
    for _ in 0..3 {
        bench.mention("Ada", Provenance::chunk("d", 1))?;
    }
    same(bench.store.mentions(&bench.namespace, "Ada", 10)?.len(), 1)
}

fn mention_source(bench: &Bench<'_>) -> Outcome {
    for source in [
        Provenance::chunk("d", 2),
        Provenance::session("s"),
        Provenance::chunk("d", 1),
    ] {
        bench.mention("Ada", source)?;
    }
    let mentions = bench.store.mentions(&bench.namespace, "ADA", 10)?;
    let sources: Vec<Provenance> = mentions.into_iter().map(|mention| mention.source).collect();
    same(
        sources,
        vec![
            Provenance::session("s"),
            Provenance::chunk("d", 1),
            Provenance::chunk("d", 2),
        ],
    )?;
    same(bench.store.mentions(&bench.namespace, "Ada", 2)?.len(), 2)
}

fn statistics(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.lives("Paris", 20, 2)?;
    bench.assert(
        crate::graph::Assertion::one("Ada", "born", crate::graph::Object::value("1815"), 0),
        3,
    )?;
    bench.mention("Ada", Provenance::chunk("d", 1))?;
    let stats = bench.store.stats(&bench.namespace)?;
    same(
        (stats.entities, stats.facts, stats.open_facts, stats.mentions),
        (3, 3, 2, 1),
    )
}
