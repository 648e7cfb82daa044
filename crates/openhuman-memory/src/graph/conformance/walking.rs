//! Walks: depth, both directions, caps, cost, time.

use super::{Bench, Case, Failure, Outcome, holds, same, strings};
use crate::graph::model::{Assertion, Object, Subgraph, Walk};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a_walk_reaches_as_far_as_its_depth",
        body: depth,
    },
    Case {
        name: "a_walk_takes_at_most_three_steps",
        body: three,
    },
    Case {
        name: "a_walk_goes_in_both_directions",
        body: both_directions,
    },
    Case {
        name: "a_walk_from_nowhere_is_empty",
        body: nowhere,
    },
    Case {
        name: "a_walk_of_no_steps_is_its_start",
        body: no_steps,
    },
    Case {
        name: "a_walk_does_not_pass_through_values",
        body: values,
    },
    Case {
        name: "a_walk_ends_in_circles",
        body: circles,
    },
    Case {
        name: "the_fan_out_takes_the_surest",
        body: fan_out,
    },
    Case {
        name: "the_limit_holds",
        body: limit,
    },
    Case {
        name: "doubt_adds_up_on_the_way",
        body: cost,
    },
    Case {
        name: "a_walk_at_a_time_follows_what_held_then",
        body: at_a_time,
    },
    Case {
        name: "a_walk_ignores_what_is_not_believed_any_more",
        body: believed,
    },
    Case {
        name: "a_walk_may_start_at_several_places",
        body: several,
    },
    Case {
        name: "a_fact_is_walked_along_once",
        body: once,
    },
];

fn walk(bench: &Bench<'_>, start: &str, change: impl FnOnce(&mut Walk)) -> Result<Subgraph, Failure> {
    let mut walk = Walk::from(bench.namespace.as_str(), start);
    change(&mut walk);
    Ok(bench.store.walk(&walk)?)
}

fn names(graph: &Subgraph) -> Vec<String> {
    graph.nodes.iter().map(|node| node.name.clone()).collect()
}

fn chain(bench: &Bench<'_>) -> Outcome {
    for pair in ["ab", "bc", "cd", "de"] {
        bench.knows(&pair[..1], &pair[1..])?;
    }
    Ok(())
}

fn depth(bench: &Bench<'_>) -> Outcome {
    chain(bench)?;
    for (depth, reached) in [
        (1, &["a", "b"][..]),
        (2, &["a", "b", "c"]),
        (3, &["a", "b", "c", "d"]),
    ] {
        let graph = walk(bench, "A", |walk| walk.depth = depth)?;
        same(names(&graph), strings(reached))?;
        same(graph.edges.len(), reached.len() - 1)?;
    }
    Ok(())
}

fn three(bench: &Bench<'_>) -> Outcome {
    chain(bench)?;
    same(
        names(&walk(bench, "a", |walk| walk.depth = 9)?),
        strings(&["a", "b", "c", "d"]),
    )
}

fn both_directions(bench: &Bench<'_>) -> Outcome {
    bench.knows("a", "b")?;
    bench.knows("c", "b")?;
    let graph = walk(bench, "a", |_| ())?;
    same(names(&graph), strings(&["a", "b", "c"]))?;
    let ends = |place: usize| graph.nodes.get(place).map_or("", |node| node.name.as_str());
    let edges: Vec<(&str, &str)> = graph
        .edges
        .iter()
        .map(|edge| (ends(edge.subject), ends(edge.object)))
        .collect();
    same(edges, vec![("a", "b"), ("c", "b")])
}

fn nowhere(bench: &Bench<'_>) -> Outcome {
    chain(bench)?;
    same(walk(bench, "Zoe", |_| ())?, Subgraph::default())
}

fn no_steps(bench: &Bench<'_>) -> Outcome {
    chain(bench)?;
    let graph = walk(bench, "a", |walk| walk.depth = 0)?;
    same((names(&graph), graph.edges.len()), (strings(&["a"]), 0))
}

fn values(bench: &Bench<'_>) -> Outcome {
    for who in ["a", "b"] {
        bench.assert(Assertion::one(who, "born", Object::value("1815"), 0), 1)?;
    }
    same(names(&walk(bench, "a", |_| ())?), strings(&["a"]))
}

fn circles(bench: &Bench<'_>) -> Outcome {
    for pair in ["ab", "bc", "ca", "aa"] {
        bench.knows(&pair[..1], &pair[1..])?;
    }
    let graph = walk(bench, "a", |_| ())?;
    same(names(&graph), strings(&["a", "b", "c"]))?;
    same(
        graph.nodes.iter().map(|node| node.depth).collect::<Vec<_>>(),
        vec![0, 1, 1],
    )
}

fn doubtful(bench: &Bench<'_>, who: &str, whom: &str, confidence: f32) -> Outcome {
    let assertion = Assertion::many(who, "knows", Object::entity(whom), 0);
    bench.assert(
        Assertion {
            confidence,
            ..assertion
        },
        1,
    )?;
    Ok(())
}

fn fan_out(bench: &Bench<'_>) -> Outcome {
    for (whom, confidence) in [("b", 0.2), ("c", 0.9), ("d", 0.5), ("e", 1.0)] {
        doubtful(bench, "a", whom, confidence)?;
    }
    let graph = walk(bench, "a", |walk| {
        walk.fan_out = 2;
        walk.depth = 1;
    })?;
    same(names(&graph), strings(&["a", "e", "c"]))
}

fn limit(bench: &Bench<'_>) -> Outcome {
    for n in 0..30 {
        bench.knows("a", &format!("b{n}"))?;
    }
    let graph = walk(bench, "a", |walk| {
        walk.fan_out = 30;
        walk.limit = 10;
    })?;
    same((graph.edges.len(), graph.nodes.len()), (10, 11))
}

fn cost(bench: &Bench<'_>) -> Outcome {
    doubtful(bench, "a", "b", 0.75)?;
    doubtful(bench, "b", "c", 0.5)?;
    doubtful(bench, "a", "c", 0.125)?;
    let graph = walk(bench, "a", |_| ())?;
    let costs: Vec<(String, u8, f32)> = graph
        .nodes
        .into_iter()
        .map(|node| (node.name, node.depth, node.cost))
        .collect();
    same(
        costs,
        vec![("a".into(), 0, 0.0), ("b".into(), 1, 0.25), ("c".into(), 1, 0.75)],
    )
}

fn at_a_time(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.lives("Paris", 20, 2)?;
    same(
        names(&walk(bench, "Ada", |walk| walk.valid_at = Some(15))?),
        strings(&["Ada", "London"]),
    )?;
    same(
        names(&walk(bench, "Ada", |walk| walk.valid_at = Some(25))?),
        strings(&["Ada", "Paris"]),
    )?;
    same(
        names(&walk(bench, "Ada", |walk| walk.valid_at = Some(5))?),
        strings(&["Ada"]),
    )?;
    same(
        names(&walk(bench, "Ada", |_| ())?),
        strings(&["Ada", "London", "Paris"]),
    )
}

fn believed(bench: &Bench<'_>) -> Outcome {
    bench.lives("London", 10, 1)?;
    bench.lives("Paris", 10, 2)?;
    same(names(&walk(bench, "Ada", |_| ())?), strings(&["Ada", "Paris"]))
}

fn several(bench: &Bench<'_>) -> Outcome {
    bench.knows("a", "b")?;
    bench.knows("c", "d")?;
    let graph = walk(bench, "a", |walk| {
        walk.start = strings(&["a", "c", "A", "nobody"]);
    })?;
    same(names(&graph), strings(&["a", "c", "b", "d"]))
}

fn once(bench: &Bench<'_>) -> Outcome {
    bench.knows("a", "b")?;
    bench.knows("b", "a")?;
    bench.assert(Assertion::many("a", "likes", Object::entity("b"), 0), 1)?;
    let graph = walk(bench, "a", |_| ())?;
    same((graph.nodes.len(), graph.edges.len()), (2, 3))?;
    holds(
        graph.edges.windows(2).all(|pair| pair[0].fact < pair[1].fact),
        "edges are sorted by fact",
    )
}
