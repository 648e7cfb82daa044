//! Stating, confirming, contradicting and closing.

use super::{Bench, Case, Outcome, holds, nth, objects, same, spans, strings};
use crate::graph::model::{Assertion, Change, Object, Provenance};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a_fact_comes_back_as_it_was_stated",
        body: comes_back,
    },
    Case {
        name: "a_fact_without_a_sentence_gets_one",
        body: gets_a_sentence,
    },
    Case {
        name: "a_value_is_not_an_entity",
        body: value,
    },
    Case {
        name: "a_contradiction_closes_with_a_date",
        body: contradiction,
    },
    Case {
        name: "the_new_fact_names_what_it_closed",
        body: supersedes,
    },
    Case {
        name: "a_closed_fact_keeps_its_identifier",
        body: keeps_identifier,
    },
    Case {
        name: "saying_it_again_adds_nothing",
        body: confirmation,
    },
    Case {
        name: "saying_it_again_adds_a_source",
        body: adds_source,
    },
    Case {
        name: "the_same_source_counts_once",
        body: same_source,
    },
    Case {
        name: "an_earlier_beginning_told_later_comes_first",
        body: earlier,
    },
    Case {
        name: "a_fact_told_late_goes_between",
        body: between,
    },
    Case {
        name: "at_the_same_moment_the_later_statement_wins",
        body: same_moment,
    },
    Case {
        name: "a_fact_may_end_by_itself",
        body: ends_by_itself,
    },
    Case {
        name: "a_fact_that_ends_is_cut_by_the_next",
        body: cut_by_next,
    },
    Case {
        name: "several_objects_stand_side_by_side",
        body: many,
    },
    Case {
        name: "single_and_several_do_not_touch",
        body: apart,
    },
    Case {
        name: "other_predicates_are_not_touched",
        body: other_predicate,
    },
    Case {
        name: "closing_ends_a_fact",
        body: closing,
    },
    Case {
        name: "closing_what_does_not_hold_does_nothing",
        body: closing_nothing,
    },
    Case {
        name: "closing_one_of_several_leaves_the_others",
        body: closing_one,
    },
    Case {
        name: "what_was_closed_can_begin_again",
        body: begins_again,
    },
    Case {
        name: "changes_are_made_in_order",
        body: in_order,
    },
    Case {
        name: "no_changes_are_fine",
        body: nothing,
    },
    Case {
        name: "confidence_is_kept",
        body: confidence,
    },
];

fn comes_back(bench: &Bench<'_>) -> Outcome {
    let source = Provenance {
        session: "s".to_owned(),
        skill: "k".to_owned(),
        ..Provenance::chunk("d", 7)
    };
    let assertion = Assertion {
        text: "Ada has lived in London since 1815.".to_owned(),
        confidence: 0.5,
        ..Assertion::one("Ada", "lives in", Object::entity("London"), -4_890_000_000_000)
    };
    let id = bench.assert(assertion.from(source.clone()), 77)?;
    let facts = bench.all()?;
    same(facts.len(), 1)?;
    let fact = nth(&facts, 0)?;
    same(
        (fact.id, fact.subject.as_str(), fact.predicate.as_str()),
        (id, "Ada", "LIVES_IN"),
    )?;
    same(fact.object.clone(), Object::entity("London"))?;
    same(
        (fact.single, fact.valid_from, fact.valid_until),
        (true, -4_890_000_000_000, None),
    )?;
    same(
        (fact.recorded_ms, fact.retired_ms, fact.supersedes),
        (77, None, None),
    )?;
    same(
        (fact.text.as_str(), fact.confidence),
        ("Ada has lived in London since 1815.", 0.5),
    )?;
    same(fact.sources.clone(), vec![source])
}

fn gets_a_sentence(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    same(nth(&bench.all()?, 0)?.text.as_str(), "Ada lives in London")
}

fn value(bench: &Bench<'_>) -> Outcome {
    bench.assert(Assertion::one("Ada", "born", Object::value("1815"), 0), 1)?;
    same(nth(&bench.all()?, 0)?.object.clone(), Object::value("1815"))?;
    same(bench.store.entity(&bench.namespace, "1815")?, None)
}

fn contradiction(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.lives("Paris", 20, 2)?;
    same(
        spans(&bench.all()?),
        vec![("London".into(), 10, Some(20)), ("Paris".into(), 20, None)],
    )
}

fn supersedes(bench: &Bench<'_>) -> Outcome {
    let london = bench.lives("London", 10, 1)?;
    bench.lives("Paris", 20, 2)?;
    same(nth(&bench.all()?, 1)?.supersedes, Some(london))
}

fn keeps_identifier(bench: &Bench<'_>) -> Outcome {
    let london = bench.lives("London", 10, 1)?;
    let paris = bench.lives("Paris", 20, 2)?;
    holds(london != paris, "two facts have two identifiers")?;
    same(
        bench.all()?.iter().map(|fact| fact.id).collect::<Vec<_>>(),
        vec![london, paris],
    )
}

fn confirmation(bench: &Bench<'_>) -> Outcome {
    let first = bench.lives("London", 10, 1)?;
    same(bench.lives("LONDON", 50, 2)?, first)?;
    same(spans(&bench.all()?), vec![("London".into(), 10, None)])
}

fn adds_source(bench: &Bench<'_>) -> Outcome {
    bench.told("Ada", "Bob", Provenance::session("one"))?;
    bench.told("Ada", "Bob", Provenance::session("two"))?;
    same(
        nth(&bench.all()?, 0)?.sources.clone(),
        vec![Provenance::session("one"), Provenance::session("two")],
    )
}

fn same_source(bench: &Bench<'_>) -> Outcome {
    bench.told("Ada", "Bob", Provenance::session("one"))?;
    bench.told("Ada", "Bob", Provenance::session("one"))?;
    same(nth(&bench.all()?, 0)?.sources.len(), 1)
}

fn earlier(bench: &Bench<'_>) -> Outcome {
    bench.lives("Paris", 20, 1)?;
    bench.lives("London", 10, 2)?;
    same(
        spans(&bench.all()?),
        vec![("London".into(), 10, Some(20)), ("Paris".into(), 20, None)],
    )
}

fn between(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.lives("Paris", 30, 2)?;
    bench.lives("Rome", 20, 3)?;
    let expected = [
        ("London", 10, Some(20)),
        ("Rome", 20, Some(30)),
        ("Paris", 30, None),
    ];
    same(
        spans(&bench.all()?),
        expected
            .map(|(name, from, until)| (name.to_owned(), from, until))
            .to_vec(),
    )
}

fn same_moment(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.lives("Paris", 10, 2)?;
    same(spans(&bench.all()?), vec![("Paris".into(), 10, None)])?;
    same(bench.at(10, Some(1))?, strings(&["London"]))
}

fn ends_by_itself(bench: &Bench<'_>) -> Outcome {
    let assertion = Assertion::one("Ada", "lives in", Object::entity("Rome"), 10);
    bench.assert(
        Assertion {
            valid_until: Some(20),
            ..assertion
        },
        1,
    )?;
    same(bench.at(19, None)?, strings(&["Rome"]))?;
    same(bench.at(20, None)?, strings(&[]))
}

fn cut_by_next(bench: &Bench<'_>) -> Outcome {
    bench.lives("Paris", 15, 1)?;
    let assertion = Assertion::one("Ada", "lives in", Object::entity("Rome"), 10);
    bench.assert(
        Assertion {
            valid_until: Some(20),
            ..assertion
        },
        2,
    )?;
    same(
        spans(&bench.all()?),
        vec![("Rome".into(), 10, Some(15)), ("Paris".into(), 15, None)],
    )
}

fn many(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.knows("Ada", "Carol")?;
    same(bench.at(5, None)?, strings(&["Bob", "Carol"]))
}

fn apart(bench: &Bench<'_>) -> Outcome {
    bench.assert(
        Assertion::many("Ada", "lives in", Object::entity("Oxford"), 10),
        1,
    )?;
    bench.lives("London", 20, 2)?;
    same(bench.at(30, None)?, strings(&["Oxford", "London"]))
}

fn other_predicate(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.assert(Assertion::one("Ada", "works in", Object::entity("Paris"), 20), 2)?;
    bench.assert(Assertion::one("Bob", "lives in", Object::entity("Rome"), 20), 3)?;
    same(bench.at(30, None)?, strings(&["London", "Paris", "Rome"]))
}

fn closing(bench: &Bench<'_>) -> Outcome {
    let fact = bench.lives("London", 10, 1)?;
    same(bench.close("london", 20, 2)?, Some(fact))?;
    same(spans(&bench.all()?), vec![("London".into(), 10, Some(20))])?;
    same(bench.at(25, Some(1))?, strings(&["London"]))
}

fn closing_nothing(bench: &Bench<'_>) -> Outcome {
    same(bench.close("London", 20, 1)?, None)?;
    bench.lives("London", 10, 2)?;
    same(bench.close("Paris", 20, 3)?, None)?;
    same(bench.close("London", 5, 3)?, None)?;
    bench.close("London", 20, 4)?;
    same(bench.close("London", 20, 5)?, None)?;
    same(spans(&bench.all()?), vec![("London".into(), 10, Some(20))])
}

fn closing_one(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.knows("Ada", "Carol")?;
    let object = Object::entity("Bob");
    let change = Change::Close {
        subject: "Ada".into(),
        predicate: "knows".into(),
        object,
        until: 50,
    };
    bench.apply(&[change], 2)?;
    same(bench.at(60, None)?, strings(&["Carol"]))
}

fn begins_again(bench: &Bench<'_>) -> Outcome {
    let first = bench.lives("London", 10, 1)?;
    bench.close("London", 20, 2)?;
    let second = bench.lives("London", 30, 3)?;
    holds(first != second, "it is another fact")?;
    same(
        spans(&bench.all()?),
        vec![("London".into(), 10, Some(20)), ("London".into(), 30, None)],
    )
}

fn in_order(bench: &Bench<'_>) -> Outcome {
    let state =
        |place: &str, from| Change::Assert(Assertion::one("Ada", "lives in", Object::entity(place), from));
    let close = Change::Close {
        subject: "Ada".into(),
        predicate: "LIVES_IN".into(),
        object: Object::entity("b"),
        until: 25,
    };
    let mention = Change::Mention {
        entity: "Ada".into(),
        source: Provenance::session("s"),
    };
    let applied = bench.apply(
        &[state("a", 10), state("b", 20), close, mention, state("a", 30)],
        1,
    )?;
    same(
        applied.iter().map(Option::is_some).collect::<Vec<_>>(),
        vec![true, true, true, false, true],
    )?;
    same(applied.get(1), applied.get(2))?;
    let facts = bench.all()?;
    same(
        spans(&facts),
        vec![
            ("a".into(), 10, Some(20)),
            ("b".into(), 20, Some(25)),
            ("a".into(), 30, None),
        ],
    )?;
    same(objects(&facts).len(), 3)
}

fn nothing(bench: &Bench<'_>) -> Outcome {
    same(bench.apply(&[], 1)?, vec![])
}

fn confidence(bench: &Bench<'_>) -> Outcome {
    let assertion = Assertion::many("Ada", "knows", Object::entity("Bob"), 0);
    bench.assert(
        Assertion {
            confidence: 0.25,
            ..assertion
        },
        1,
    )?;
    same(nth(&bench.all()?, 0)?.confidence, 0.25)
}
