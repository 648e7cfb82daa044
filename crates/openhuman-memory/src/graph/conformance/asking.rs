//! Asking: filters, "as of" in both times, order and limits.

use super::{Bench, Case, Outcome, nth, objects, same, spans, strings};
use crate::graph::model::{Assertion, FactQuery, Object, Provenance};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "an_unknown_namespace_is_empty",
        body: unknown_namespace,
    },
    Case {
        name: "namespaces_do_not_see_each_other",
        body: namespaces,
    },
    Case {
        name: "facts_are_found_by_subject",
        body: by_subject,
    },
    Case {
        name: "facts_are_found_by_predicate_in_any_spelling",
        body: by_predicate,
    },
    Case {
        name: "facts_are_found_by_object",
        body: by_object,
    },
    Case {
        name: "facts_are_found_by_value",
        body: by_value,
    },
    Case {
        name: "facts_are_found_by_words",
        body: by_words,
    },
    Case {
        name: "words_are_whole_words_in_any_case",
        body: whole_words,
    },
    Case {
        name: "any_text_can_be_asked_for",
        body: any_text,
    },
    Case {
        name: "filters_restrict_together",
        body: together,
    },
    Case {
        name: "as_of_a_time_in_the_world",
        body: valid_at,
    },
    Case {
        name: "a_fact_holds_from_its_first_moment_to_before_its_last",
        body: half_open,
    },
    Case {
        name: "as_of_what_was_known",
        body: known_at,
    },
    Case {
        name: "both_times_at_once",
        body: both_times,
    },
    Case {
        name: "before_anything_was_known_there_is_nothing",
        body: before_all,
    },
    Case {
        name: "sources_told_later_were_not_known_before",
        body: sources_known,
    },
    Case {
        name: "history_is_kept_in_full",
        body: history,
    },
    Case {
        name: "a_clock_that_goes_back_loses_nothing",
        body: clock_back,
    },
    Case {
        name: "facts_come_in_the_order_of_time",
        body: order,
    },
    Case {
        name: "the_limit_cuts_the_latest",
        body: limit,
    },
];

fn unknown_namespace(bench: &Bench<'_>) -> Outcome {
    same(bench.all()?, vec![])?;
    same(bench.store.entity(&bench.namespace, "Ada")?, None)?;
    same(bench.store.stats(&bench.namespace)?.entities, 0)
}

fn namespaces(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    let other = format!("{} other", bench.namespace);
    same(bench.store.facts(&FactQuery::all(other.as_str()))?, vec![])?;
    same(bench.store.entity(&other, "Ada")?, None)
}

fn by_subject(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.knows("Bob", "Carol")?;
    same(
        objects(&bench.ask(|query| query.subject = Some(" ADA ".into()))?),
        strings(&["Bob"]),
    )?;
    same(
        objects(&bench.ask(|query| query.subject = Some("Zoe".into()))?),
        strings(&[]),
    )
}

fn by_predicate(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.knows("Ada", "Bob")?;
    for spelling in ["lives in", "LIVES_IN", "lives-in"] {
        same(
            objects(&bench.ask(|query| query.predicate = Some(spelling.into()))?),
            strings(&["London"]),
        )?;
    }
    Ok(())
}

fn by_object(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    bench.knows("Carol", "Bob")?;
    bench.knows("Bob", "Ada")?;
    let facts = bench.ask(|query| query.object = Some("bob".into()))?;
    same(
        facts.iter().map(|fact| fact.subject.clone()).collect::<Vec<_>>(),
        strings(&["Ada", "Carol"]),
    )
}

fn by_value(bench: &Bench<'_>) -> Outcome {
    bench.assert(
        Assertion::one("Ada", "born", Object::value("10 December 1815"), 0),
        1,
    )?;
    let facts = bench.ask(|query| query.object = Some("10 december 1815".into()))?;
    same(objects(&facts), strings(&["10 December 1815"]))
}

fn by_words(bench: &Bench<'_>) -> Outcome {
    let assertion = Assertion::many("Ada", "knows", Object::entity("Bob"), 0);
    bench.assert(
        Assertion {
            text: "They met at the harbour ball.".into(),
            ..assertion
        },
        1,
    )?;
    bench.knows("Ada", "Carol")?;
    same(
        objects(&bench.ask(|query| query.text = Some("ball harbour".into()))?),
        strings(&["Bob"]),
    )?;
    same(
        objects(&bench.ask(|query| query.text = Some("ball Carol".into()))?),
        strings(&[]),
    )
}

fn whole_words(bench: &Bench<'_>) -> Outcome {
    let assertion = Assertion::many("Ada", "knows", Object::entity("Bob"), 0);
    bench.assert(
        Assertion {
            text: "Die Größe der Straße".into(),
            ..assertion
        },
        1,
    )?;
    same(bench.ask(|query| query.text = Some("GRÖßE".into()))?.len(), 1)?;
    same(bench.ask(|query| query.text = Some("Größ".into()))?.len(), 0)
}

fn any_text(bench: &Bench<'_>) -> Outcome {
    bench.knows("Ada", "Bob")?;
    for text in [
        "", "?!", "\"", "a OR b", "NEAR(", "x*", "-ada", "ada\0", "'; --", "{col}: ^",
    ] {
        bench.ask(|query| query.text = Some(text.into()))?;
    }
    same(bench.ask(|query| query.text = Some("?".into()))?.len(), 0)?;
    same(bench.ask(|query| query.text = Some("\"ada\"".into()))?.len(), 1)
}

fn together(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.knows("Ada", "Bob")?;
    bench.knows("Carol", "Bob")?;
    let facts = bench.ask(|query| {
        query.subject = Some("Ada".into());
        query.predicate = Some("knows".into());
        query.object = Some("Bob".into());
        query.text = Some("ada".into());
        query.valid_at = Some(100);
        query.known_at = Some(100);
    })?;
    same(facts.len(), 1)
}

fn valid_at(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.lives("Paris", 20, 2)?;
    for (time, expected) in [
        (5, &[][..]),
        (10, &["London"]),
        (19, &["London"]),
        (20, &["Paris"]),
        (99, &["Paris"]),
    ] {
        same(bench.at(time, None)?, strings(expected))?;
    }
    Ok(())
}

fn half_open(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", -5, 1)?;
    bench.close("London", 5, 2)?;
    for (time, count) in [(-6, 0), (-5, 1), (4, 1), (5, 0)] {
        same((time, bench.at(time, None)?.len()), (time, count))?;
    }
    Ok(())
}

fn known_at(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 100)?;
    bench.lives("Paris", 20, 200)?;
    let facts = bench.ask(|query| query.known_at = Some(150))?;
    same(spans(&facts), vec![("London".into(), 10, None)])?;
    let facts = bench.ask(|query| query.known_at = Some(200))?;
    same(
        spans(&facts),
        vec![("London".into(), 10, Some(20)), ("Paris".into(), 20, None)],
    )
}

fn both_times(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 100)?;
    bench.lives("Paris", 20, 200)?;
    bench.lives("Rome", 15, 300)?;
    let expected = [
        (17, 150, "London"),
        (17, 250, "London"),
        (17, 350, "Rome"),
        (25, 150, "London"),
        (25, 350, "Paris"),
    ];
    for (valid, known, place) in expected {
        same(
            (valid, known, bench.at(valid, Some(known))?),
            (valid, known, strings(&[place])),
        )?;
    }
    Ok(())
}

fn before_all(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 100)?;
    same(bench.at(50, Some(99))?, strings(&[]))
}

fn sources_known(bench: &Bench<'_>) -> Outcome {
    let assertion = Assertion::many("Ada", "knows", Object::entity("Bob"), 0);
    bench.assert(assertion.clone().from(Provenance::session("one")), 100)?;
    bench.assert(assertion.from(Provenance::session("two")), 200)?;
    same(
        nth(&bench.ask(|query| query.known_at = Some(150))?, 0)?
            .sources
            .len(),
        1,
    )?;
    same(
        nth(&bench.ask(|query| query.known_at = Some(250))?, 0)?
            .sources
            .len(),
        2,
    )
}

fn history(bench: &Bench<'_>) -> Outcome {
    for (time, place) in [(10, "a"), (20, "b"), (30, "c"), (40, "d")] {
        bench.lives(place, time, time * 10)?;
    }
    for (known, count) in [(100, 1), (200, 2), (300, 3), (400, 4)] {
        same(bench.ask(|query| query.known_at = Some(known))?.len(), count)?;
    }
    same(
        bench
            .all()?
            .iter()
            .filter(|fact| fact.valid_until.is_none())
            .count(),
        1,
    )
}

fn clock_back(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 500)?;
    bench.lives("Paris", 20, 100)?;
    same(bench.at(25, None)?, strings(&["Paris"]))?;
    same(bench.at(25, Some(500))?, strings(&["Paris"]))?;
    same(bench.at(15, Some(500))?, strings(&["London"]))
}

fn order(bench: &Bench<'_>) -> Outcome {
    for (who, from) in [("c", 30), ("a", 10), ("b", 20), ("d", 20)] {
        bench.assert(Assertion::many("Ada", "knows", Object::entity(who), from), 1)?;
    }
    same(objects(&bench.all()?), strings(&["a", "b", "d", "c"]))
}

fn limit(bench: &Bench<'_>) -> Outcome {
    for who in ["a", "b", "c"] {
        bench.knows("Ada", who)?;
    }
    same(
        objects(&bench.ask(|query| query.limit = 2)?),
        strings(&["a", "b"]),
    )?;
    same(bench.ask(|query| query.limit = 0)?.len(), 0)
}
