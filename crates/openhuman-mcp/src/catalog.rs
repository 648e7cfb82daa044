//! One immutable picture of every toolset.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::name;
use crate::tool::{Annotations, CallError, Toolset};

/// A snapshot of everything the hub offers. It never changes; the hub replaces it.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Grows by one with each change.
    pub revision: u64,
    /// Every registered toolset, running or not, ordered by id.
    pub toolsets: Vec<Toolset>,
    /// The tools of the running toolsets, under the names clients use.
    pub tools: Vec<CatalogTool>,
    by_name: HashMap<String, (usize, usize)>,
    by_id: HashMap<String, usize>,
    owners: Vec<usize>,
}

/// A tool that can be called now.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogTool {
    /// `skillId__toolName`, at most 48 characters of `[A-Za-z0-9_-]`.
    pub name: String,
    /// The id of its toolset.
    pub toolset: String,
    /// The bare name.
    pub tool: String,
    /// A short name for people.
    pub title: Option<String>,
    /// What it does.
    pub description: String,
    /// An object schema.
    pub input_schema: Value,
    /// What it may do to the world.
    pub annotations: Annotations,
}

/// Where a call has to go.
pub(crate) struct Route<'a> {
    pub(crate) owner: usize,
    pub(crate) toolset: &'a str,
    pub(crate) tool: &'a str,
}

impl Catalog {
    /// Builds a snapshot. Each toolset comes with the index of its provider; of two toolsets with one id
    /// and of two tools with one name the first one counts.
    pub(crate) fn build(revision: u64, found: Vec<(usize, Toolset)>) -> Self {
        let mut seen = HashSet::new();
        let mut kept: Vec<(usize, Toolset)> = Vec::with_capacity(found.len());
        for (owner, mut toolset) in found {
            if !seen.insert(toolset.id.clone()) {
                tracing::warn!(toolset = %toolset.id, "a toolset with this id exists already; the later one is ignored");
                continue;
            }
            let mut tools = HashSet::new();
            toolset.tools.retain(|tool| tools.insert(tool.name.clone()));
            kept.push((owner, toolset));
        }
        kept.sort_by(|left, right| left.1.id.cmp(&right.1.id));

        let pairs: Vec<(&str, &str)> = kept
            .iter()
            .flat_map(|(_, set)| set.tools.iter().map(|tool| (set.id.as_str(), tool.name.as_str())))
            .collect();
        let mut names = name::assign(&pairs).into_iter();
        let mut catalog = Self {
            revision,
            ..Self::default()
        };
        for (index, (_, set)) in kept.iter().enumerate() {
            catalog.by_id.insert(set.id.clone(), index);
            for (position, (tool, name)) in set.tools.iter().zip(names.by_ref()).enumerate() {
                catalog.by_name.insert(name.clone(), (index, position));
                if set.running {
                    catalog.tools.push(CatalogTool {
                        name,
                        toolset: set.id.clone(),
                        tool: tool.name.clone(),
                        title: tool.title.clone(),
                        description: tool.description.clone(),
                        input_schema: object_schema(&tool.input_schema),
                        annotations: tool.annotations,
                    });
                }
            }
        }
        (catalog.owners, catalog.toolsets) = kept.into_iter().unzip();
        catalog
    }

    /// Finds the tool a client means: by the listed name, or by `skillId__toolName` with the bare name even
    /// when the listed one was shortened.
    pub(crate) fn route(&self, requested: &str) -> Result<Route<'_>, CallError> {
        if let Some(&(index, position)) = self.by_name.get(requested) {
            return self.route_to(index, position);
        }
        let Some((id, tool)) = name::split(requested) else {
            return Err(CallError::InvalidName {
                name: excerpt(requested),
            });
        };
        let Some(&index) = self.by_id.get(id) else {
            return Err(CallError::ToolsetNotFound { id: excerpt(id) });
        };
        let set = &self.toolsets[index];
        match set.tools.iter().position(|candidate| candidate.name == tool) {
            Some(position) => self.route_to(index, position),
            None if !set.running => Err(not_running(set)),
            None => Err(CallError::ToolNotFound { tool: excerpt(tool) }),
        }
    }

    fn route_to(&self, index: usize, position: usize) -> Result<Route<'_>, CallError> {
        let set = &self.toolsets[index];
        if !set.running {
            return Err(not_running(set));
        }
        Ok(Route {
            owner: self.owners[index],
            toolset: &set.id,
            tool: &set.tools[position].name,
        })
    }

    /// Whether two snapshots say the same, whatever their revisions.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.toolsets == other.toolsets && self.owners == other.owners
    }
}

fn not_running(set: &Toolset) -> CallError {
    CallError::NotRunning {
        id: set.id.clone(),
        status: set.status.clone(),
    }
}

/// Names come from outside; an error text repeats at most this much of one.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 128;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}

fn object_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(map) if map.get("type").and_then(Value::as_str) == Some("object") => schema.clone(),
        Value::Object(map) if !map.contains_key("type") => {
            let mut map = map.clone();
            map.insert("type".into(), "object".into());
            Value::Object(map)
        }
        _ => json!({"type": "object"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ToolDefinition;

    fn set(id: &str, running: bool, tools: &[&str]) -> Toolset {
        Toolset {
            id: id.into(),
            name: id.to_uppercase(),
            status: if running { "connected" } else { "offline" }.into(),
            running,
            tools: tools
                .iter()
                .map(|tool| ToolDefinition::new(*tool, "", Value::Null))
                .collect(),
        }
    }

    #[test]
    fn only_running_toolsets_are_listed_and_the_order_is_stable() {
        let catalog = Catalog::build(
            3,
            vec![
                (0, set("b", true, &["x"])),
                (0, set("a", true, &["y", "y"])),
                (1, set("c", false, &["z"])),
            ],
        );
        let names: Vec<_> = catalog.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["a__y", "b__x"]);
        assert_eq!(catalog.toolsets.len(), 3);
        assert_eq!(catalog.tools[0].input_schema, json!({"type": "object"}));
    }

    #[test]
    fn routes_answer_with_the_documented_reasons() {
        let long = "t".repeat(80);
        let catalog = Catalog::build(
            1,
            vec![(7, set("a", true, &["y", &long])), (0, set("c", false, &["z"]))],
        );
        let route = catalog.route("a__y").ok().unwrap();
        assert_eq!((route.owner, route.toolset, route.tool), (7, "a", "y"));
        let listed = catalog.tools[1].name.clone();
        assert_eq!(listed.len(), name::MAX_NAME);
        for requested in [listed, format!("a__{long}")] {
            assert_eq!(catalog.route(&requested).ok().unwrap().tool, long);
        }
        let reason = |name: &str| catalog.route(name).err().map(|error| error.to_string()).unwrap();
        assert_eq!(
            reason("nope"),
            "Invalid tool name: nope. Expected format: skillId__toolName"
        );
        assert_eq!(reason("q__y"), "Skill 'q' not found");
        assert_eq!(reason("c__z"), "Skill 'c' is not running (status: offline)");
        assert_eq!(reason("c__q"), "Skill 'c' is not running (status: offline)");
        assert_eq!(reason("a__q"), "Tool execution failed: Tool 'q' not found");
        assert!(reason(&"é".repeat(5000)).len() < 400, "long names are cut");
    }

    #[test]
    fn the_first_of_two_toolsets_with_one_id_counts() {
        let catalog = Catalog::build(1, vec![(0, set("a", true, &["x"])), (1, set("a", true, &["y"]))]);
        assert_eq!(catalog.toolsets.len(), 1);
        assert_eq!(catalog.tools[0].tool, "x");
    }
}
