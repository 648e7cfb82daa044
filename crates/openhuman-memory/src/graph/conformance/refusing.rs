//! What is refused, and that nothing is half-done then.

use super::{Bench, Case, Outcome, nth, objects, refused, same, strings};
use crate::graph::model::{Assertion, Change, Object, Provenance};
use crate::graph::names::MAX_NAME_BYTES;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a_name_without_letters_is_refused",
        body: empty_names,
    },
    Case {
        name: "a_name_that_is_too_long_is_refused",
        body: long_names,
    },
    Case {
        name: "a_predicate_without_letters_is_refused",
        body: predicates,
    },
    Case {
        name: "an_end_before_the_beginning_is_refused",
        body: backwards,
    },
    Case {
        name: "a_confidence_out_of_range_is_refused",
        body: confidences,
    },
    Case {
        name: "one_refused_change_undoes_all",
        body: atomic,
    },
    Case {
        name: "any_letters_can_be_names",
        body: letters,
    },
    Case {
        name: "texts_are_not_read_as_commands",
        body: injection,
    },
    Case {
        name: "times_may_be_at_the_ends_of_time",
        body: extreme_times,
    },
    Case {
        name: "many_changes_fit_into_one_call",
        body: bulk,
    },
];

fn assertion() -> Assertion {
    Assertion::one("Ada", "lives in", Object::entity("London"), 10)
}

fn apply(
    bench: &Bench<'_>,
    assertion: Assertion,
) -> Result<Vec<Option<crate::graph::FactId>>, crate::graph::GraphError> {
    bench.apply(&[Change::Assert(assertion)], 1)
}

fn empty_names(bench: &Bench<'_>) -> Outcome {
    refused(
        apply(
            bench,
            Assertion {
                subject: " ?! ".into(),
                ..assertion()
            },
        ),
        "subject",
    )?;
    refused(
        apply(
            bench,
            Assertion {
                object: Object::entity(""),
                ..assertion()
            },
        ),
        "object",
    )?;
    let mention = Change::Mention {
        entity: String::new(),
        source: Provenance::default(),
    };
    refused(bench.apply(&[mention], 1), "entity")?;
    refused(bench.store.add_alias(&bench.namespace, "Ada", "..."), "alias")?;
    refused(bench.store.apply("", &[], 1), "namespace")
}

fn long_names(bench: &Bench<'_>) -> Outcome {
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    refused(
        apply(
            bench,
            Assertion {
                subject: long.clone(),
                ..assertion()
            },
        ),
        "subject",
    )?;
    refused(
        apply(
            bench,
            Assertion {
                object: Object::value(long),
                ..assertion()
            },
        ),
        "object",
    )?;
    apply(
        bench,
        Assertion {
            subject: "x".repeat(MAX_NAME_BYTES),
            ..assertion()
        },
    )?;
    same(bench.all()?.len(), 1)
}

fn predicates(bench: &Bench<'_>) -> Outcome {
    refused(
        apply(
            bench,
            Assertion {
                predicate: "--".into(),
                ..assertion()
            },
        ),
        "predicate",
    )
}

fn backwards(bench: &Bench<'_>) -> Outcome {
    for until in [9, 10] {
        refused(
            apply(
                bench,
                Assertion {
                    valid_until: Some(until),
                    ..assertion()
                },
            ),
            "valid_until",
        )?;
    }
    Ok(())
}

fn confidences(bench: &Bench<'_>) -> Outcome {
    for confidence in [0.0, -1.0, 1.5, f32::NAN] {
        refused(
            apply(
                bench,
                Assertion {
                    confidence,
                    ..assertion()
                },
            ),
            "confidence",
        )?;
    }
    Ok(())
}

fn atomic(bench: &Bench<'_>) -> Outcome {
    let bad = Assertion {
        confidence: 2.0,
        ..assertion()
    };
    refused(
        bench.apply(&[Change::Assert(assertion()), Change::Assert(bad)], 1),
        "confidence",
    )?;
    same(bench.all()?.len(), 0)
}

fn letters(bench: &Bench<'_>) -> Outcome {
    let names = [
        "\u{141}ukasz",
        "\u{674e}\u{5c0f}\u{9f99}",
        "O'Brien",
        "C++",
        "\u{1d49c}da 9",
    ];
    for name in names {
        bench.knows(name, "Bob")?;
        same(
            bench
                .store
                .entity(&bench.namespace, name)?
                .map(|entity| entity.name),
            Some(name.to_owned()),
        )?;
    }
    same(bench.all()?.len(), names.len())
}

fn injection(bench: &Bench<'_>) -> Outcome {
    let name = "Robert'); DROP TABLE graph_facts; --";
    let text = "}) DETACH DELETE n // $ns \u{0} \" ' \\ ` {{0}}";
    apply(
        bench,
        Assertion {
            object: Object::entity(name),
            text: text.into(),
            ..assertion()
        },
    )?;
    let facts = bench.all()?;
    same(
        (objects(&facts), nth(&facts, 0)?.text.as_str()),
        (strings(&[name]), text),
    )
}

fn extreme_times(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", i64::MIN, 1)?;
    bench.lives("Paris", i64::MAX, 2)?;
    same(bench.at(0, None)?, strings(&["London"]))?;
    same(bench.at(i64::MIN, None)?, strings(&["London"]))?;
    same(bench.at(i64::MAX, None)?, strings(&["Paris"]))
}

fn bulk(bench: &Bench<'_>) -> Outcome {
    let changes: Vec<Change> = (0..200)
        .map(|n| {
            Change::Assert(Assertion::many(
                format!("p{}", n % 20),
                "knows",
                Object::entity(format!("q{n}")),
                n,
            ))
        })
        .collect();
    same(
        bench
            .apply(&changes, 1)?
            .iter()
            .filter(|fact| fact.is_some())
            .count(),
        200,
    )?;
    same(bench.store.stats(&bench.namespace)?.facts, 200)
}
