//! Finding tools by what they do: for a model that cannot be shown thousands of them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::{Catalog, CatalogTool};

/// How many times a word of the name counts as much as one of the description.
const NAME_WEIGHT: u32 = 3;

/// How much longer descriptions are held against a tool (BM25's `b`), and how fast repeating a word stops to count
/// (its `k1`).
const LENGTH: f64 = 0.75;
const REPEAT: f64 = 1.2;

/// An index of one snapshot, made when it is first searched.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By word: the tools that have it, and how much it counts there.
    words: HashMap<String, Vec<(u32, f32)>>,
    tools: usize,
}

impl Index {
    fn of(tools: &[Arc<CatalogTool>]) -> Self {
        let mut lengths = Vec::with_capacity(tools.len());
        let mut counted: HashMap<String, Vec<(u32, u32)>> = HashMap::new();
        for (number, tool) in tools.iter().enumerate() {
            let Ok(number) = u32::try_from(number) else { break };
            let mut counts: HashMap<String, u32> = HashMap::new();
            let named = [
                tool.toolset.as_str(),
                &tool.tool,
                tool.title.as_deref().unwrap_or_default(),
            ];
            for word in named.into_iter().flat_map(words) {
                *counts.entry(word).or_default() += NAME_WEIGHT;
            }
            for word in words(&tool.description) {
                *counts.entry(word).or_default() += 1;
            }
            lengths.push(f64::from(counts.values().sum::<u32>()));
            for (word, count) in counts {
                counted.entry(word).or_default().push((number, count));
            }
        }
        let average = (lengths.iter().sum::<f64>() / lengths.len().max(1) as f64).max(1.0);
        let all = lengths.len() as f64;
        let weighed = counted.into_iter().map(|(word, found)| {
            let having = found.len() as f64;
            let rarity = (1.0 + (all - having + 0.5) / (having + 0.5)).ln();
            let weights = found.into_iter().map(|(tool, times)| {
                let times = f64::from(times);
                let length = lengths[tool as usize] / average;
                let weight = times * (REPEAT + 1.0) / (times + REPEAT * (1.0 - LENGTH + LENGTH * length));
                (tool, (rarity * weight) as f32)
            });
            (word, weights.collect())
        });
        Self {
            words: weighed.collect(),
            tools: lengths.len(),
        }
    }

    /// The best tools with their scores. Equal ones keep the order of the list.
    fn search(&self, query: &str, limit: usize) -> Vec<(u32, f32)> {
        let mut asked: Vec<String> = words(query).collect();
        asked.sort_unstable();
        asked.dedup();
        let mut scores = vec![0.0_f32; self.tools];
        for (tool, weight) in asked.iter().filter_map(|word| self.words.get(word)).flatten() {
            scores[*tool as usize] += weight;
        }
        let scored = (0_u32..).zip(scores).filter(|(_, score)| *score > 0.0);
        let mut best: Vec<(u32, f32)> = scored.collect();
        let order =
            |left: &(u32, f32), right: &(u32, f32)| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0));
        if best.len() > limit && limit > 0 {
            best.select_nth_unstable_by(limit - 1, order);
        }
        best.truncate(limit);
        best.sort_by(order);
        best
    }
}

impl Catalog {
    /// The tools that fit a few words best (BM25 over names, titles and descriptions), the best first. The first search
    /// of a snapshot makes its index.
    pub fn search(&self, query: &str, limit: usize) -> Vec<&Arc<CatalogTool>> {
        let index = self.index.get_or_init(|| Index::of(&self.tools));
        let found = index.search(query, limit).into_iter();
        found
            .filter_map(|(tool, _)| self.tools.get(tool as usize))
            .collect()
    }
}

/// The words of a text in lower case: runs of letters and digits, with `camelCase` taken apart.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).flat_map(parts)
}

fn parts(run: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut was_lower = false;
    for c in run.chars() {
        if c.is_uppercase() && was_lower {
            parts.push(std::mem::take(&mut part));
        }
        was_lower = c.is_lowercase() || c.is_numeric();
        part.extend(c.to_lowercase());
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::catalog::Found;
    use crate::{ToolDefinition, Toolset};

    fn catalog() -> Catalog {
        let tools = [
            ("send_email", "Sends a message to somebody"),
            ("listMessages", "Lists what is in the inbox, newest first"),
            ("search", "Finds mails by words"),
            ("weather", "Tells what the weather will be"),
        ];
        let set = Toolset {
            id: "mail".into(),
            name: "Mail".into(),
            status: "connected".into(),
            running: true,
            tools: tools
                .iter()
                .map(|(name, description)| ToolDefinition::new(*name, *description, serde_json::Value::Null))
                .collect(),
        };
        let found = Found::fresh(0, None, set, HashMap::new());
        Catalog::build(1, vec![found], &Catalog::default())
    }

    fn best(query: &str) -> Vec<String> {
        let catalog = catalog();
        let found = catalog.search(query, 2);
        found.iter().map(|tool| tool.tool.clone()).collect()
    }

    #[test]
    fn names_count_more_than_descriptions_and_case_does_not() {
        assert_eq!(best("EMAIL send"), ["send_email"]);
        assert_eq!(best("messages")[0], "listMessages");
        assert_eq!(best("what will the weather be")[0], "weather");
        assert_eq!(best("mail").len(), 2, "all four have it; two were asked for");
        assert!(best("nothing of it").iter().all(|tool| tool != "weather"));
        assert!(best("").is_empty() && catalog().search("mail", 0).is_empty());
    }
}
