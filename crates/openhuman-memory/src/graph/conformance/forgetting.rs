//! Forgetting, the only way in which anything goes.

use super::{Bench, Case, Outcome, nth, objects, same, strings};
use crate::graph::model::{Assertion, FactQuery, Object, Oblivion, Provenance, Walk};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "forgetting_an_entity_takes_its_facts",
        body: entity,
    },
    Case {
        name: "forgetting_an_entity_takes_its_history",
        body: entity_history,
    },
    Case {
        name: "forgetting_an_entity_takes_its_names_and_mentions",
        body: entity_names,
    },
    Case {
        name: "forgetting_by_alias",
        body: by_alias,
    },
    Case {
        name: "forgetting_a_document",
        body: document,
    },
    Case {
        name: "a_fact_with_another_source_stays",
        body: other_source,
    },
    Case {
        name: "forgetting_a_session",
        body: session,
    },
    Case {
        name: "forgetting_a_skill",
        body: skill,
    },
    Case {
        name: "facts_without_a_source_stay_when_a_source_is_forgotten",
        body: no_source,
    },
    Case {
        name: "forgetting_a_phrase_in_any_case",
        body: phrase,
    },
    Case {
        name: "forgetting_what_is_not_there",
        body: absent,
    },
    Case {
        name: "names_that_nothing_speaks_of_go_too",
        body: orphans,
    },
    Case {
        name: "what_was_forgotten_is_not_walked_to",
        body: not_walked,
    },
    Case {
        name: "what_was_forgotten_can_be_told_again",
        body: told_again,
    },
    Case {
        name: "forgetting_everything_leaves_other_namespaces",
        body: everything,
    },
];

#[expect(
    clippy::needless_pass_by_value,
    reason = "cases name what they forget in place"
)]
fn forget(bench: &Bench<'_>, what: Oblivion) -> Result<(u64, u64, u64), super::Failure> {
    let forgotten = bench.store.forget(&bench.namespace, &what)?;
    Ok((forgotten.facts, forgotten.entities, forgotten.mentions))
}

fn entity(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.knows("Bob", "Carol")?;
    bench.knows("Carol", "Dave")?;
    same(forget(bench, Oblivion::Entity("bob".into()))?, (2, 2, 0))?;
    same(objects(&bench.all()?), strings(&["Dave"]))
}

fn entity_history(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.lives("Paris", 20, 2)?;
    forget(bench, Oblivion::Entity("London".into()))?;
    for known in [1, 2, 99] {
        let facts = bench.ask(|query| query.known_at = Some(known))?;
        same(objects(&facts).contains(&"London".to_owned()), false)?;
    }
    same(objects(&bench.all()?), strings(&["Paris"]))
}

fn entity_names(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.store.add_alias(&bench.namespace, "Ada", "Countess")?;
    bench.mention("Ada", Provenance::chunk("d", 1))?;
    same(forget(bench, Oblivion::Entity("Ada".into()))?, (1, 2, 1))?;
    for name in ["Ada", "Countess", "Bob"] {
        same(bench.store.entity(&bench.namespace, name)?, None)?;
    }
    Ok(())
}

fn by_alias(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.store.add_alias(&bench.namespace, "Ada", "Countess")?;
    same(forget(bench, Oblivion::Entity("countess".into()))?.0, 1)?;
    same(bench.all()?.len(), 0)
}

fn document(bench: &Bench<'_>) -> Outcome {
    bench.told("Ada", "Bob", Provenance::chunk("d", 1))?;
    bench.told("Ada", "Carol", Provenance::chunk("e", 2))?;
    bench.mention("Ada", Provenance::chunk("d", 1))?;
    same(forget(bench, Oblivion::Document("d".into()))?, (1, 1, 1))?;
    same(objects(&bench.all()?), strings(&["Carol"]))
}

fn other_source(bench: &Bench<'_>) -> Outcome {
    bench.told("Ada", "Bob", Provenance::chunk("d", 1))?;
    bench.told("Ada", "Bob", Provenance::session("s"))?;
    same(forget(bench, Oblivion::Document("d".into()))?.0, 0)?;
    same(
        nth(&bench.all()?, 0)?.sources.clone(),
        vec![Provenance::session("s")],
    )
}

fn session(bench: &Bench<'_>) -> Outcome {
    bench.told("Ada", "Bob", Provenance::session("s"))?;
    bench.told("Ada", "Carol", Provenance::session("t"))?;
    bench.mention("Zoe", Provenance::session("s"))?;
    same(forget(bench, Oblivion::Session("s".into()))?, (1, 2, 1))?;
    same(objects(&bench.all()?), strings(&["Carol"]))
}

fn skill(bench: &Bench<'_>) -> Outcome {
    bench.told("Ada", "Bob", Provenance::skill("mail"))?;
    bench.told("Ada", "Carol", Provenance::skill("notes"))?;
    same(forget(bench, Oblivion::Skill("mail".into()))?.0, 1)?;
    same(objects(&bench.all()?), strings(&["Carol"]))
}

fn no_source(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.told("Ada", "Carol", Provenance::session("s"))?;
    same(forget(bench, Oblivion::Document(String::new()))?, (0, 0, 0))?;
    same(forget(bench, Oblivion::Session("s".into()))?.0, 1)?;
    same(objects(&bench.all()?), strings(&["Bob"]))
}

fn phrase(bench: &Bench<'_>) -> Outcome {
    let assertion = Assertion::many("Ada", "knows", Object::entity("Bob"), 0);
    bench.assert(
        Assertion {
            text: "They met in the ÄRZTEHAUS.".into(),
            ..assertion
        },
        1,
    )?;
    bench.knows("Carol", "Dr. Ärztehausen")?;
    bench.knows("Carol", "Dave")?;
    same(forget(bench, Oblivion::Phrase("ärztehaus".into()))?.0, 2)?;
    same(objects(&bench.all()?), strings(&["Dave"]))?;
    same(forget(bench, Oblivion::Phrase("  ".into()))?, (0, 0, 0))
}

fn absent(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    for what in [
        Oblivion::Entity("Zoe".into()),
        Oblivion::Document("d".into()),
        Oblivion::Skill("k".into()),
        Oblivion::Phrase("zzz".into()),
    ] {
        same(forget(bench, what)?, (0, 0, 0))?;
    }
    same(bench.all()?.len(), 1)
}

fn orphans(bench: &Bench<'_>) -> Outcome {
    bench.assert(Assertion::one("Ada", "born", Object::value("1815"), 0), 1)?;
    bench.knows("Ada", "Bob")?;
    forget(bench, Oblivion::Entity("Ada".into()))?;
    same(bench.store.entities(&bench.namespace, None, 10)?, vec![])?;
    same(bench.store.stats(&bench.namespace)?.facts, 0)
}

fn not_walked(bench: &Bench<'_>) -> Outcome {
    bench.knows("a", "b")?;
    bench.knows("b", "c")?;
    bench.knows("a", "d")?;
    forget(bench, Oblivion::Entity("b".into()))?;
    let graph = bench.store.walk(&Walk::from(bench.namespace.as_str(), "a"))?;
    same(
        graph.nodes.into_iter().map(|node| node.name).collect::<Vec<_>>(),
        strings(&["a", "d"]),
    )
}

fn told_again(bench: &Bench<'_>) -> Outcome {
    let first = bench.knows("Ada", "Bob")?;
    forget(bench, Oblivion::Entity("Ada".into()))?;
    let second = bench.knows("Ada", "Bob")?;
    same(first == second, false)?;
    same(bench.all()?.len(), 1)
}

fn everything(bench: &Bench<'_>) -> Outcome {
    let other = format!("{} other", bench.namespace);
    bench.lives("London", 10, 1)?;
    let change = crate::graph::Change::Assert(Assertion::one("Ada", "lives in", Object::entity("Rome"), 0));
    bench.store.apply(&other, &[change], 1)?;
    same(forget(bench, Oblivion::Everything)?, (1, 2, 0))?;
    same(bench.all()?.len(), 0)?;
    same(
        objects(&bench.store.facts(&FactQuery::all(other.as_str()))?),
        strings(&["Rome"]),
    )?;
    bench.store.forget(&other, &Oblivion::Everything)?;
    Ok(())
}
