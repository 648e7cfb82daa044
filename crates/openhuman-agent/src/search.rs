//! Search among many tools by what they are for: BM25 over names, descriptions and parameter names.
//!
//! When the definitions of all tools would take more than a twentieth of the model's window, the model is offered
//! `find_tools` instead, and each search adds what it finds to the tools on offer, behind those that were there, so
//! that a provider's prompt cache stays good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::message::ToolSpec;
use crate::ports::estimate_tokens;

/// The name of the tool that searches.
pub const FIND_TOOLS: &str = "find_tools";
/// Tools that one search gives.
const FOUND: usize = 8;
/// The share of the window that definitions may take: one part of this many.
const SHARE: u64 = 20;
/// How strongly a repeated word counts, and how strongly long descriptions are held back.
const K: f32 = 1.2;
const B: f32 = 0.75;
/// What a word in a name is worth, compared with one in a description.
const NAME: u32 = 4;

/// About how many tokens the definitions of these tools take.
pub fn definition_tokens(tools: &[ToolSpec]) -> u64 {
    tools
        .iter()
        .map(|tool| {
            let schema = estimate_tokens(&tool.parameters.to_string());
            estimate_tokens(&tool.name) + estimate_tokens(&tool.description) + schema + 8
        })
        .sum()
}

/// Whether these tools are too many for a window of so many tokens.
pub(crate) fn is_needed(tools: &[ToolSpec], window: u64) -> bool {
    definition_tokens(tools) > window / SHARE
}

/// The tools of one moment, prepared for search.
#[derive(Debug)]
pub struct ToolIndex {
    tools: Vec<ToolSpec>,
    /// For each word the tools that have it, with the weight it has there.
    words: HashMap<String, Vec<(u32, f32)>>,
}

impl ToolIndex {
    /// Prepares `tools`; about 10 µs for each.
    pub fn new(tools: Vec<ToolSpec>) -> ToolIndex {
        let mut counts: Vec<(HashMap<String, u32>, f32)> = Vec::with_capacity(tools.len());
        for tool in &tools {
            let mut words: HashMap<String, u32> = HashMap::new();
            let mut add = |text: &str, weight: u32| {
                for_words(text, |word| *words.entry(word.to_owned()).or_default() += weight);
            };
            add(&tool.name, NAME);
            add(&tool.description, 1);
            if let Some(properties) = tool.parameters.get("properties").and_then(Value::as_object) {
                properties.keys().for_each(|name| add(name, 1));
            }
            let length: u32 = words.values().sum();
            counts.push((words, length as f32));
        }
        let total: f32 = counts.iter().map(|(_, length)| length).sum();
        let average = (total / counts.len().max(1) as f32).max(1.0);
        let mut words: HashMap<String, Vec<(u32, f32)>> = HashMap::new();
        for (at, (tool, length)) in (0u32..).zip(counts) {
            for (word, count) in tool {
                let count = count as f32;
                let weight = count * (K + 1.0) / (count + K * (1.0 - B + B * length / average));
                words.entry(word).or_default().push((at, weight));
            }
        }
        let all = tools.len() as f32;
        for tools in words.values_mut() {
            let having = tools.len() as f32;
            let rarity = ((all - having + 0.5) / (having + 0.5)).ln_1p();
            tools.iter_mut().for_each(|(_, weight)| *weight *= rarity);
        }
        ToolIndex { tools, words }
    }

    /// How many tools there are.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The tool of this name.
    pub fn tool(&self, name: &str) -> Option<&ToolSpec> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// The tools that fit best, best first; of equal ones in their order. Empty when no word fits.
    pub fn search(&self, query: &str, limit: usize) -> Vec<&ToolSpec> {
        let mut asked: Vec<String> = Vec::new();
        for_words(query, |word| {
            if asked.len() < 32 && !asked.iter().any(|known| known == word) {
                asked.push(word.to_owned());
            }
        });
        let mut scores = vec![0f32; self.tools.len()];
        for (at, weight) in asked.iter().filter_map(|word| self.words.get(word)).flatten() {
            if let Some(score) = usize::try_from(*at).ok().and_then(|at| scores.get_mut(at)) {
                *score += weight;
            }
        }
        let mut best: Vec<(usize, f32)> = Vec::with_capacity(limit + 1);
        for (at, score) in scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0) {
            if best.len() >= limit && best.last().is_none_or(|(_, least)| score <= *least) {
                continue;
            }
            let place = best.partition_point(|(_, better)| *better >= score);
            best.insert(place, (at, score));
            best.truncate(limit);
        }
        best.into_iter()
            .filter_map(|(at, _)| self.tools.get(at))
            .collect()
    }
}

/// Lower-case words of letters and digits; names are taken apart at signs and capitals, plurals lose their `s`.
fn for_words(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    let mut was_lower = false;
    let mut end = |word: &mut String| {
        if word.len() > 4 && word.ends_with('s') && !word.ends_with("ss") {
            word.pop();
        }
        if !word.is_empty() {
            each(word);
        }
        word.clear();
    };
    for c in text.chars() {
        if !c.is_alphanumeric() {
            end(&mut word);
            was_lower = false;
            continue;
        }
        if c.is_uppercase() && was_lower {
            end(&mut word);
        }
        was_lower = c.is_lowercase();
        word.extend(c.to_lowercase());
    }
    end(&mut word);
}

/// The tool that searches, for `count` tools.
pub(crate) fn find_tools(count: usize) -> ToolSpec {
    ToolSpec {
        name: FIND_TOOLS.to_owned(),
        description: format!(
            "Searches {count} further tools by what they are for. The tools found can be called right after it. Search \
             before saying that something cannot be done."
        ),
        parameters: json!({
            "type": "object",
            "properties": {"query": {"type": "string", "description": "what the tool should do, in a few words"}},
            "required": ["query"],
        }),
        read_only: true,
    }
}

/// What the model reads about a search, and the tools to offer from now on.
pub(crate) fn find(index: &ToolIndex, arguments: &Value) -> (String, Vec<ToolSpec>) {
    let query = arguments.get("query").and_then(Value::as_str).unwrap_or_default();
    let found: Vec<ToolSpec> = index.search(query, FOUND).into_iter().cloned().collect();
    if found.is_empty() {
        return (format!("no tool fits `{query}`; try other words"), found);
    }
    let entry = |tool: &ToolSpec| json!({"name": tool.name, "description": tool.description});
    let list: Vec<Value> = found.iter().map(entry).collect();
    (Value::Array(list).to_string(), found)
}

/// The latest index, kept as long as the tools stay the same.
#[derive(Default)]
pub(crate) struct IndexCache {
    kept: Mutex<Option<(u64, Arc<ToolIndex>)>>,
}

impl IndexCache {
    pub(crate) fn index(&self, tools: Vec<ToolSpec>) -> Arc<ToolIndex> {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        for tool in &tools {
            (&tool.name, &tool.description, tool.read_only).hash(&mut hasher);
        }
        let print = hasher.finish();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((known, index)) if *known == print && index.len() == tools.len() => Arc::clone(index),
            _ => {
                let index = Arc::new(ToolIndex::new(tools));
                *kept = Some((print, Arc::clone(&index)));
                index
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, description: &str) -> ToolSpec {
        ToolSpec {
            name: name.to_owned(),
            description: description.to_owned(),
            parameters: json!({"type": "object", "properties": {"recipient": {}}}),
            read_only: true,
        }
    }

    fn names(index: &ToolIndex, query: &str) -> Vec<String> {
        index
            .search(query, 3)
            .iter()
            .map(|tool| tool.name.clone())
            .collect()
    }

    #[test]
    fn what_fits_best_comes_first() {
        let mut tools: Vec<ToolSpec> = (0..500)
            .map(|n| {
                spec(
                    &format!("misc__tool_{n}"),
                    "Does something with records of a list.",
                )
            })
            .collect();
        tools.push(spec("mail__sendMessage", "Sends an e-mail to one person."));
        tools.push(spec("calendar__list_events", "Lists the events of a day."));
        let index = ToolIndex::new(tools);
        assert_eq!(names(&index, "send a message")[0], "mail__sendMessage");
        assert_eq!(names(&index, "EVENT of today")[0], "calendar__list_events");
        assert_eq!(
            names(&index, "record"),
            ["misc__tool_0", "misc__tool_1", "misc__tool_2"]
        );
        assert!(names(&index, "xylophone ?! é").is_empty() && names(&index, "").is_empty());
        assert!(ToolIndex::new(Vec::new()).search("a", 3).is_empty());
    }

    #[test]
    fn the_share_of_the_window_decides() {
        let tools = vec![spec("a__b", "c"); 10];
        let tokens = definition_tokens(&tools);
        assert!(is_needed(&tools, tokens * 20 - 1) && !is_needed(&tools, tokens * 20 + 20));
    }

    #[test]
    fn an_index_is_made_again_only_when_the_tools_change() {
        let cache = IndexCache::default();
        let first = cache.index(vec![spec("a__b", "c")]);
        assert!(Arc::ptr_eq(&first, &cache.index(vec![spec("a__b", "c")])));
        assert!(!Arc::ptr_eq(&first, &cache.index(vec![spec("a__b", "d")])));
    }
}
