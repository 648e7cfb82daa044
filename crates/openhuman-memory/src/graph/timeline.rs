//! What one more statement does to the facts of one subject and predicate. Every store asks here, so that all of
//! them agree.
//!
//! The facts of a timeline do not overlap. A statement that says what holds at its beginning already is a
//! confirmation; any other takes over from its beginning until its end or until the next fact begins, whichever is
//! first. A change never edits a fact: it retires the version believed so far and records another one.

use super::error::GraphError;
use super::model::{Assertion, Change, FactId};
use super::names::{MAX_NAME_BYTES, canonical, predicate};

/// A version of a fact that is believed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The version.
    pub(crate) row: i64,
    pub(crate) fact: FactId,
    /// The object's canonical form, and whether it is an entity.
    pub(crate) object: (bool, String),
    pub(crate) valid_from: i64,
    pub(crate) valid_until: Option<i64>,
    pub(crate) recorded_ms: i64,
}

impl Held {
    fn holds_at(&self, time: i64) -> bool {
        self.valid_from <= time && self.valid_until.is_none_or(|until| time < until)
    }
}

/// Takes the place of a version: the same fact, ended earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) row: i64,
    pub(crate) until: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was known already.
    Confirmed(FactId),
    /// It becomes a fact.
    Stated {
        valid_until: Option<i64>,
        supersedes: Option<FactId>,
    },
    /// It ended.
    Closed(FactId),
    /// There was nothing to end.
    Nothing,
}

/// What a store has to write, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) outcome: Outcome,
    /// The time of this change: not before what was recorded already, even if the clock went back.
    pub(crate) recorded_ms: i64,
    /// Versions not believed any more.
    pub(crate) retired: Vec<i64>,
    /// Retired versions that go on with an earlier end.
    pub(crate) ended: Vec<Ended>,
}

/// Places a statement among the versions of its timeline that are believed now, in any order.
pub(crate) fn state(
    held: &[Held],
    object: &(bool, String),
    valid_from: i64,
    valid_until: Option<i64>,
    now_ms: i64,
) -> Plan {
    let mut plan = Plan {
        outcome: Outcome::Nothing,
        recorded_ms: recorded(held, now_ms),
        retired: vec![],
        ended: vec![],
    };
    let covering = held.iter().find(|fact| fact.holds_at(valid_from));
    if let Some(fact) = covering
        && fact.object == *object
        && valid_until.is_none()
    {
        plan.outcome = Outcome::Confirmed(fact.fact);
        return plan;
    }
    let mut supersedes = None;
    // Not only the covering fact can begin at the same time: one may have been ended at its very beginning.
    for fact in held
        .iter()
        .filter(|fact| fact.holds_at(valid_from) || fact.valid_from == valid_from)
    {
        plan.retired.push(fact.row);
        if fact.valid_from < valid_from {
            plan.ended.push(Ended {
                row: fact.row,
                until: valid_from,
            });
        }
        supersedes = Some(fact.fact);
    }
    let next = held
        .iter()
        .map(|fact| fact.valid_from)
        .filter(|from| *from > valid_from)
        .min();
    let valid_until = match (valid_until, next) {
        (Some(until), Some(next)) => Some(until.min(next)),
        (until, next) => until.or(next),
    };
    plan.outcome = Outcome::Stated {
        valid_until,
        supersedes,
    };
    plan
}

/// Ends the fact with this object that holds at `until`, or up to it.
pub(crate) fn close(held: &[Held], object: &(bool, String), until: i64, now_ms: i64) -> Plan {
    let mut plan = Plan {
        outcome: Outcome::Nothing,
        recorded_ms: recorded(held, now_ms),
        retired: vec![],
        ended: vec![],
    };
    let Some(fact) = held
        .iter()
        .find(|fact| fact.object == *object && fact.holds_at(until))
    else {
        return plan;
    };
    plan.outcome = Outcome::Closed(fact.fact);
    plan.retired.push(fact.row);
    // Ended at its very beginning, it never held; it still says that the fact before it had ended by then.
    plan.ended.push(Ended { row: fact.row, until });
    plan
}

fn recorded(held: &[Held], now_ms: i64) -> i64 {
    held.iter().map(|fact| fact.recorded_ms).fold(now_ms, i64::max)
}

/// Refuses what no store can keep, before anything is written.
pub(crate) fn check(changes: &[Change]) -> Result<(), GraphError> {
    for change in changes {
        match change {
            Change::Assert(assertion) => check_assertion(assertion)?,
            Change::Close {
                subject,
                predicate: name,
                object,
                ..
            } => {
                check_name("subject", subject)?;
                check_predicate(name)?;
                check_name("object", object.name())?;
            }
            Change::Mention { entity, .. } => check_name("entity", entity)?,
        }
    }
    Ok(())
}

fn check_assertion(assertion: &Assertion) -> Result<(), GraphError> {
    check_name("subject", &assertion.subject)?;
    check_predicate(&assertion.predicate)?;
    check_name("object", assertion.object.name())?;
    if assertion
        .valid_until
        .is_some_and(|until| until <= assertion.valid_from)
    {
        return Err(GraphError::Invalid {
            field: "valid_until",
            reason: "a fact must end after it began".to_owned(),
        });
    }
    if !(assertion.confidence > 0.0 && assertion.confidence <= 1.0) {
        return Err(GraphError::Invalid {
            field: "confidence",
            reason: format!("{} is not above 0 and up to 1", assertion.confidence),
        });
    }
    Ok(())
}

fn check_predicate(name: &str) -> Result<(), GraphError> {
    check_name("predicate", name)?;
    if predicate(name).is_empty() {
        return Err(GraphError::Invalid {
            field: "predicate",
            reason: format!("{name:?} has no letters"),
        });
    }
    Ok(())
}

pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), GraphError> {
    if name.len() > MAX_NAME_BYTES {
        let reason = format!(
            "it has {} bytes, and at most {MAX_NAME_BYTES} are taken",
            name.len()
        );
        return Err(GraphError::Invalid { field, reason });
    }
    if canonical(name).is_empty() {
        return Err(GraphError::Invalid {
            field,
            reason: format!("{name:?} has no letters or digits"),
        });
    }
    Ok(())
}

/// The sentence of a fact that came without one.
pub(crate) fn sentence(assertion: &Assertion) -> String {
    if assertion.text.trim().is_empty() {
        let relation = predicate(&assertion.predicate).to_lowercase().replace('_', " ");
        format!(
            "{} {relation} {}",
            assertion.subject.trim(),
            assertion.object.name().trim()
        )
    } else {
        assertion.text.clone()
    }
}

/// Doubt in thousandths: what a step along a fact costs.
pub(crate) fn doubt(confidence: f32) -> i64 {
    ((1.0 - confidence.clamp(0.0, 1.0)) * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(row: i64, name: &str, valid_from: i64, valid_until: Option<i64>) -> Held {
        Held {
            row,
            fact: FactId(row),
            object: (true, name.to_owned()),
            valid_from,
            valid_until,
            recorded_ms: 5,
        }
    }

    fn object(name: &str) -> (bool, String) {
        (true, name.to_owned())
    }

    #[test]
    fn the_first_statement_is_stated_as_it_is() {
        let plan = state(&[], &object("a"), 10, Some(20), 1);
        assert_eq!(
            plan.outcome,
            Outcome::Stated {
                valid_until: Some(20),
                supersedes: None
            }
        );
        assert!(plan.retired.is_empty() && plan.ended.is_empty());
    }

    #[test]
    fn a_contradiction_closes_and_stands_until_the_next_fact() {
        let facts = [held(1, "a", 10, Some(30)), held(2, "b", 30, None)];
        let plan = state(&facts, &object("c"), 20, None, 1);
        assert_eq!(
            plan.outcome,
            Outcome::Stated {
                valid_until: Some(30),
                supersedes: Some(FactId(1))
            }
        );
        assert_eq!(
            (plan.retired, plan.ended),
            (vec![1], vec![Ended { row: 1, until: 20 }])
        );
        assert_eq!(plan.recorded_ms, 5, "the clock went back");
    }

    #[test]
    fn at_the_same_moment_the_later_statement_wins() {
        let plan = state(&[held(1, "a", 10, None)], &object("b"), 10, None, 9);
        assert_eq!((plan.retired, plan.ended), (vec![1], vec![]));
        assert_eq!(plan.recorded_ms, 9);
    }

    #[test]
    fn saying_it_again_confirms_it_unless_it_ends_now() {
        let facts = [held(1, "a", 10, None)];
        assert_eq!(
            state(&facts, &object("a"), 50, None, 9).outcome,
            Outcome::Confirmed(FactId(1))
        );
        let plan = state(&facts, &object("a"), 50, Some(60), 9);
        assert_eq!(
            plan.outcome,
            Outcome::Stated {
                valid_until: Some(60),
                supersedes: Some(FactId(1))
            }
        );
    }

    #[test]
    fn closing_finds_only_what_holds() {
        let facts = [held(1, "a", 10, Some(30))];
        assert_eq!(close(&facts, &object("a"), 30, 9).outcome, Outcome::Nothing);
        assert_eq!(close(&facts, &object("b"), 20, 9).outcome, Outcome::Nothing);
        let plan = close(&facts, &object("a"), 20, 9);
        assert_eq!(
            (plan.outcome, plan.ended),
            (Outcome::Closed(FactId(1)), vec![Ended { row: 1, until: 20 }])
        );
        assert_eq!(
            close(&facts, &object("a"), 10, 9).ended,
            [Ended { row: 1, until: 10 }]
        );
    }

    #[test]
    fn doubt_is_the_rest_of_confidence() {
        assert_eq!(
            [doubt(1.0), doubt(0.75), doubt(0.0), doubt(7.0)],
            [0, 250, 1000, 0]
        );
    }
}
