//! Order among what a walk reached.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::model::{Edge, FactId, Node, Subgraph};

/// One link that a walk followed, in the order of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step<K> {
    /// How many steps after the start.
    pub(crate) depth: u8,
    pub(crate) from: K,
    pub(crate) to: K,
    /// In thousandths.
    pub(crate) doubt: i64,
    pub(crate) fact: FactId,
    /// From the object to the subject.
    pub(crate) backwards: bool,
}

/// Puts the steps of a walk together: entities once with the least depth and cost, facts once.
pub(crate) fn assemble<K: Clone + Eq + Hash>(
    start: &[K],
    steps: &[Step<K>],
    mut name: impl FnMut(&K) -> String,
) -> Subgraph {
    let mut reached: HashMap<&K, (u8, i64)> = start.iter().map(|key| (key, (0, 0))).collect();
    // A walk is at most three steps long, so costs are settled after as many rounds.
    for _ in 0..3 {
        for step in steps {
            let Some((_, cost)) = reached.get(&step.from).copied() else {
                continue;
            };
            let entry = reached.entry(&step.to).or_insert((step.depth, i64::MAX));
            entry.0 = entry.0.min(step.depth);
            entry.1 = entry.1.min(cost + step.doubt);
        }
    }
    let mut order: Vec<(&K, u8, i64, String)> = reached
        .into_iter()
        .map(|(key, (depth, cost))| (key, depth, cost, name(key)))
        .collect();
    order.sort_by(|a, b| (a.1, a.2, &a.3).cmp(&(b.1, b.2, &b.3)));
    let place: HashMap<&K, usize> = order
        .iter()
        .enumerate()
        .map(|(place, node)| (node.0, place))
        .collect();
    let mut edges: BTreeMap<FactId, Edge> = BTreeMap::new();
    for step in steps {
        let (Some(from), Some(to)) = (place.get(&step.from), place.get(&step.to)) else {
            continue;
        };
        let (subject, object) = if step.backwards {
            (*to, *from)
        } else {
            (*from, *to)
        };
        let confidence = 1.0 - step.doubt as f32 / 1000.0;
        edges.entry(step.fact).or_insert(Edge {
            fact: step.fact,
            subject,
            object,
            confidence,
        });
    }
    let nodes = order
        .into_iter()
        .map(|(_, depth, cost, name)| Node {
            name,
            depth,
            cost: cost as f32 / 1000.0,
        })
        .collect();
    Subgraph {
        nodes,
        edges: edges.into_values().collect(),
    }
}

/// How likely a walker is at each of `nodes` places who starts at `restart`, follows an edge at random by its weight,
/// in both directions, and begins anew every so often (with probability `1 - damping`). The sum is 1, unless
/// `restart` is empty. Cost: `rounds` passes over the edges; 15 are enough for a ranking.
pub fn personalised_pagerank(
    nodes: usize,
    edges: &[(usize, usize, f32)],
    restart: &[(usize, f32)],
    damping: f32,
    rounds: usize,
) -> Vec<f32> {
    let total: f32 = restart.iter().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        return vec![0.0; nodes];
    }
    let mut home = vec![0.0; nodes];
    for (node, weight) in restart {
        home[*node] += weight / total;
    }
    let mut strength = vec![0.0f32; nodes];
    for (a, b, weight) in edges {
        strength[*a] += weight;
        strength[*b] += weight;
    }
    let mut rank = home.clone();
    for _ in 0..rounds {
        let mut next = vec![0.0; nodes];
        for (a, b, weight) in edges {
            next[*b] += rank[*a] * weight / strength[*a];
            next[*a] += rank[*b] * weight / strength[*b];
        }
        // Who stands where nothing leads on begins anew.
        let stuck: f32 = rank
            .iter()
            .zip(&strength)
            .filter(|(_, strength)| **strength == 0.0)
            .map(|(rank, _)| rank)
            .sum();
        for (next, home) in next.iter_mut().zip(&home) {
            *next = damping * (*next + stuck * home) + (1.0 - damping) * home;
        }
        rank = next;
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_is_a_distribution_and_falls_with_distance() {
        let edges = [(0, 1, 1.0), (1, 2, 1.0), (2, 3, 1.0)];
        let rank = personalised_pagerank(5, &edges, &[(0, 2.0)], 0.5, 50);
        assert!((rank.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{rank:?}");
        assert!(
            rank[0] > rank[2] && rank[1] > rank[2] && rank[2] > rank[3] && rank[3] > 0.0,
            "{rank:?}"
        );
        assert_eq!(rank[4], 0.0);
        assert_eq!(personalised_pagerank(2, &[], &[], 0.5, 3), [0.0, 0.0]);
        let alone = personalised_pagerank(2, &[], &[(1, 1.0)], 0.5, 30);
        assert!((alone[1] - 1.0).abs() < 1e-4, "{alone:?}");
    }

    #[test]
    fn a_cheaper_detour_lowers_the_cost_and_not_the_depth() {
        let step = |depth, from, to, doubt, fact| Step {
            depth,
            from,
            to,
            doubt,
            fact: FactId(fact),
            backwards: false,
        };
        let steps = [
            step(1, 'a', 'b', 0, 1),
            step(1, 'a', 'c', 900, 2),
            step(2, 'b', 'c', 100, 3),
        ];
        let graph = assemble(&['a'], &steps, char::to_string);
        let c = graph.nodes.iter().find(|node| node.name == "c").unwrap();
        assert_eq!((c.depth, c.cost), (1, 0.1));
        assert_eq!(graph.edges.len(), 3);
    }

    #[test]
    fn a_step_back_keeps_subject_and_object() {
        let steps = [Step {
            depth: 1,
            from: 'a',
            to: 'b',
            doubt: 0,
            fact: FactId(1),
            backwards: true,
        }];
        let graph = assemble(&['a'], &steps, char::to_string);
        let edge = &graph.edges[0];
        assert_eq!(
            (
                graph.nodes[edge.subject].name.as_str(),
                graph.nodes[edge.object].name.as_str()
            ),
            ("b", "a")
        );
    }
}
