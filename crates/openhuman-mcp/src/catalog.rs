//! One immutable picture of every toolset.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::time::Instant;

use crate::error::CallError;
use crate::name;
use crate::search::Index;
use crate::tool::{ToolDefinition, Toolset};

mod entry;

pub use entry::CatalogTool;
use entry::make_object_schema;

/// A snapshot of everything the hub offers. It never changes; the hub replaces it. What did not change is shared
/// between one snapshot and the next, with the texts and the compiled schemas.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Grows by one with each change.
    pub revision: u64,
    /// Every registered toolset, running or not, ordered by id.
    pub toolsets: Vec<Arc<CatalogToolset>>,
    /// The tools of the running toolsets, under the names clients use.
    pub tools: Vec<Arc<CatalogTool>>,
    by_id: HashMap<String, usize>,
    /// The tools that have another name than `skillId__toolName`.
    shortened: HashMap<String, (usize, usize)>,
    /// When the hub began to collect this.
    pub(crate) noticed: Option<Instant>,
    pub(crate) index: OnceLock<Index>,
}

/// A toolset in a [`Catalog`].
#[derive(Debug)]
pub struct CatalogToolset {
    /// The skill id.
    pub id: String,
    /// The name shown to people.
    pub name: String,
    /// The status that `tool:sync` reports.
    pub status: String,
    /// Whether calls are accepted now.
    pub running: bool,
    pub(crate) owner: usize,
    version: Option<u64>,
    /// Its line of `tool:sync`.
    pub(crate) sync: String,
    list: Arc<ToolList>,
}

/// The tools of a toolset, which outlive a change of its status.
#[derive(Debug, Default)]
struct ToolList {
    tools: Vec<Arc<CatalogTool>>,
    by_tool: HashMap<String, usize>,
    /// The bare names as a JSON list.
    names: String,
    /// Whether every tool is listed as `skillId__toolName`, which nothing else can change.
    plain: bool,
}

/// Where a call has to go.
pub(crate) struct Route<'a> {
    pub(crate) owner: usize,
    pub(crate) toolset: &'a str,
    pub(crate) tool: &'a CatalogTool,
}

/// A toolset as its provider listed it.
pub(crate) struct Found {
    /// The index of the provider.
    owner: usize,
    /// What the provider says changes with it.
    version: Option<u64>,
    set: Listed,
}

enum Listed {
    Fresh {
        set: Toolset,
        /// The output schemas by tool name, where there are any.
        outputs: HashMap<String, Value>,
    },
    /// It has the version it had in the snapshot before.
    Kept(Arc<CatalogToolset>),
}

impl Found {
    pub(crate) fn fresh(
        owner: usize,
        version: Option<u64>,
        set: Toolset,
        outputs: HashMap<String, Value>,
    ) -> Self {
        Self {
            owner,
            version,
            set: Listed::Fresh { set, outputs },
        }
    }

    pub(crate) fn kept(set: Arc<CatalogToolset>) -> Self {
        Self {
            owner: set.owner,
            version: set.version,
            set: Listed::Kept(set),
        }
    }

    fn id(&self) -> &str {
        match &self.set {
            Listed::Fresh { set, .. } => &set.id,
            Listed::Kept(set) => &set.id,
        }
    }

    fn has_tool(&self, name: &str) -> bool {
        match &self.set {
            Listed::Fresh { set, .. } => set.tools.iter().any(|tool| tool.name == name),
            Listed::Kept(set) => set.list.by_tool.contains_key(name),
        }
    }

    /// The tools that have to be listed under another name than `skillId__toolName`. What is kept has none.
    fn foreign(&self) -> impl Iterator<Item = (&str, &str)> {
        let tools = match &self.set {
            Listed::Fresh { set, .. } => set.tools.as_slice(),
            Listed::Kept(_) => &[],
        };
        let pairs = tools.iter().map(move |tool| (self.id(), tool.name.as_str()));
        pairs.filter(|(id, tool)| !name::is_direct(id, tool))
    }
}

impl CatalogToolset {
    fn says_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.list, &other.list)
            && self.sync == other.sync
            && self.running == other.running
            && self.owner == other.owner
    }

    /// Its tools, in the order of the provider.
    pub fn tools(&self) -> &[Arc<CatalogTool>] {
        &self.list.tools
    }
}

impl Catalog {
    /// Builds a snapshot from what the providers listed and from the one before. Of two toolsets with one id and of
    /// two tools with one name the first one counts.
    pub(crate) fn build(revision: u64, found: Vec<Found>, old: &Self) -> Self {
        let mut drafts = drafts(found);
        drafts.sort_by(|left, right| left.id().cmp(right.id()));
        let foreign = foreign_names(&drafts);
        let mut catalog = Self {
            revision,
            ..Self::default()
        };
        for draft in drafts {
            let index = catalog.toolsets.len();
            let before = old.toolset(draft.id());
            let set = toolset(draft, before, &foreign);
            if !set.list.plain {
                for (position, tool) in set.tools().iter().enumerate() {
                    if !name::is_direct(&set.id, &tool.tool) {
                        catalog.shortened.insert(tool.name.clone(), (index, position));
                    }
                }
            }
            if set.running {
                catalog.tools.extend(set.tools().iter().cloned());
            }
            catalog.by_id.insert(set.id.clone(), index);
            catalog.toolsets.push(set);
        }
        catalog
    }

    fn toolset(&self, id: &str) -> Option<&Arc<CatalogToolset>> {
        self.by_id.get(id).and_then(|index| self.toolsets.get(*index))
    }

    /// The toolset as it is here, if its provider says that it still is like that.
    pub(crate) fn still(&self, id: &str, owner: usize, version: u64) -> Option<&Arc<CatalogToolset>> {
        self.toolset(id)
            .filter(|set| set.owner == owner && set.version == Some(version) && set.list.plain)
    }

    /// Finds the tool a client means: by the listed name, or by `skillId__toolName` with the bare name even
    /// when the listed one was shortened.
    pub(crate) fn route(&self, requested: &str) -> Result<Route<'_>, CallError> {
        if let Some(&(index, position)) = self.shortened.get(requested) {
            return route_to(&self.toolsets[index], position);
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
        match set.list.by_tool.get(tool) {
            Some(&position) => route_to(set, position),
            None if !set.running => Err(not_running(set)),
            None => Err(CallError::ToolNotFound { tool: excerpt(tool) }),
        }
    }

    /// The tool with that listed name, if it can be called now.
    pub fn tool(&self, name: &str) -> Option<&CatalogTool> {
        self.route(name).ok().map(|route| route.tool)
    }

    /// Whether two snapshots say the same, whatever their revisions.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.toolsets.len() == other.toolsets.len()
            && self
                .toolsets
                .iter()
                .zip(&other.toolsets)
                .all(|(left, right)| Arc::ptr_eq(left, right) || left.says_the_same(right))
    }

    /// The payload of `tool:sync`, put together from the kept lines.
    pub(crate) fn sync_text(&self) -> String {
        let mut text = String::from("{\"tools\":[");
        join(&mut text, self.toolsets.iter().map(|set| set.sync.as_str()));
        text.push_str("]}");
        text
    }
}

/// Writes the parts with commas between them.
pub(crate) fn join<'a>(text: &mut String, parts: impl Iterator<Item = &'a str>) {
    for (index, part) in parts.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(part);
    }
}

/// The first of each id, with the first of each name, and schemas that are objects.
fn drafts(found: Vec<Found>) -> Vec<Found> {
    let mut seen = HashSet::new();
    let mut kept: Vec<Found> = Vec::with_capacity(found.len());
    for mut one in found {
        if !seen.insert(one.id().to_owned()) {
            tracing::warn!(toolset = %one.id(), "a toolset with this id exists already; the later one is ignored");
            continue;
        }
        if let Listed::Fresh { set, .. } = &mut one.set {
            if has_doubles(&set.tools) {
                let mut names = HashSet::new();
                set.tools.retain(|tool| names.insert(tool.name.clone()));
            }
            for tool in &mut set.tools {
                make_object_schema(&mut tool.input_schema);
            }
        }
        kept.push(one);
    }
    kept
}

fn has_doubles(tools: &[ToolDefinition]) -> bool {
    let mut names = HashSet::with_capacity(tools.len());
    !tools.iter().all(|tool| names.insert(tool.name.as_str()))
}

type ForeignNames = HashMap<(String, String), String>;

fn foreign_names(drafts: &[Found]) -> ForeignNames {
    let foreign: Vec<_> = drafts.iter().flat_map(Found::foreign).collect();
    if foreign.is_empty() {
        return HashMap::new();
    }
    let taken = |candidate: &str| {
        name::split(candidate).is_some_and(|(id, tool)| {
            name::is_direct(id, tool)
                && drafts
                    .binary_search_by(|draft| draft.id().cmp(id))
                    .is_ok_and(|at| drafts[at].has_tool(tool))
        })
    };
    name::shorten(foreign, taken)
        .into_iter()
        .map(|((id, tool), name)| ((id.to_owned(), tool.to_owned()), name))
        .collect()
}

/// The toolset of the snapshot before where nothing changed, its tools where only the status did, and each tool that
/// is still the same.
fn toolset(
    draft: Found,
    before: Option<&Arc<CatalogToolset>>,
    foreign: &ForeignNames,
) -> Arc<CatalogToolset> {
    let (owner, version) = (draft.owner, draft.version);
    let (set, mut outputs) = match draft.set {
        Listed::Kept(set) => return set,
        Listed::Fresh { set, outputs } => (set, outputs),
    };
    let name_of = |tool: &str| {
        name::direct(&set.id, tool).unwrap_or_else(|| {
            foreign
                .get(&(set.id.clone(), tool.to_owned()))
                .cloned()
                .unwrap_or_default()
        })
    };
    let is_same = |old: &CatalogTool, new: &ToolDefinition, outputs: &HashMap<String, Value>| {
        old.is(new, outputs.get(&new.name)) && (foreign.is_empty() || old.name == name_of(&new.name))
    };
    let all_same = before.filter(|before| {
        before.tools().len() == set.tools.len()
            && before
                .tools()
                .iter()
                .zip(&set.tools)
                .all(|(old, new)| is_same(old, new, &outputs))
    });
    if let Some(before) = all_same
        && before.owner == owner
        && before.version == version
        && before.name == set.name
        && before.status == set.status
        && before.running == set.running
    {
        return Arc::clone(before);
    }
    let list = match all_same {
        Some(before) => Arc::clone(&before.list),
        None => {
            let tools = set.tools.into_iter().map(|definition| {
                let kept = before.and_then(|before| {
                    let old = &before.list.tools[*before.list.by_tool.get(&definition.name)?];
                    is_same(old, &definition, &outputs).then(|| Arc::clone(old))
                });
                kept.unwrap_or_else(|| {
                    let name = name_of(&definition.name);
                    let output = outputs.remove(&definition.name);
                    Arc::new(CatalogTool::new(&set.id, name, definition, output))
                })
            });
            Arc::new(tool_list(&set.id, tools.collect()))
        }
    };
    let text = |text: &str| Value::from(text).to_string();
    let sync = format!(
        "{{\"skillId\":{},\"name\":{},\"status\":{},\"tools\":{}}}",
        text(&set.id),
        text(&set.name),
        text(&set.status),
        list.names
    );
    Arc::new(CatalogToolset {
        id: set.id,
        name: set.name,
        status: set.status,
        running: set.running,
        owner,
        version,
        sync,
        list,
    })
}

fn tool_list(id: &str, tools: Vec<Arc<CatalogTool>>) -> ToolList {
    let by_tool = tools
        .iter()
        .enumerate()
        .map(|(position, tool)| (tool.tool.clone(), position))
        .collect();
    let names: Vec<&str> = tools.iter().map(|tool| tool.tool.as_str()).collect();
    ToolList {
        names: serde_json::to_string(&names).unwrap_or_else(|_| "[]".into()),
        plain: tools.iter().all(|tool| name::is_direct(id, &tool.tool)),
        by_tool,
        tools,
    }
}

fn route_to(set: &CatalogToolset, position: usize) -> Result<Route<'_>, CallError> {
    if !set.running {
        return Err(not_running(set));
    }
    Ok(Route {
        owner: set.owner,
        toolset: &set.id,
        tool: &set.list.tools[position],
    })
}

fn not_running(set: &CatalogToolset) -> CallError {
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

#[cfg(test)]
mod tests;
