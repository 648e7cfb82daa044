use serde_json::json;

use super::*;

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

fn build(sets: Vec<(usize, Toolset)>, old: &Catalog) -> Catalog {
    let found = sets
        .into_iter()
        .map(|(owner, set)| Found::fresh(owner, None, set, HashMap::new()));
    Catalog::build(old.revision + 1, found.collect(), old)
}

#[test]
fn only_running_toolsets_are_listed_and_the_order_is_stable() {
    let sets = vec![
        (0, set("b", true, &["x"])),
        (0, set("a", true, &["y", "y"])),
        (1, set("c", false, &["z"])),
    ];
    let catalog = build(sets, &Catalog::default());
    let names: Vec<_> = catalog.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["a__y", "b__x"]);
    assert_eq!(catalog.toolsets.len(), 3);
    assert_eq!(catalog.tools[0].input_schema, json!({"type": "object"}));
    assert_eq!(
        catalog.tools[0].wire().get(),
        r#"{"description":"","inputSchema":{"type":"object"},"name":"a__y"}"#
    );
    let sync: Value = serde_json::from_str(&catalog.sync_text()).unwrap();
    assert_eq!(
        sync["tools"][2],
        json!({"skillId": "c", "name": "C", "status": "offline", "tools": ["z"]})
    );
}

#[test]
fn routes_answer_with_the_documented_reasons() {
    let long = "t".repeat(80);
    let sets = vec![(7, set("a", true, &["y", &long])), (0, set("c", false, &["z"]))];
    let catalog = build(sets, &Catalog::default());
    let route = catalog.route("a__y").ok().unwrap();
    assert_eq!(
        (route.owner, route.toolset, route.tool.tool.as_str()),
        (7, "a", "y")
    );
    let listed = catalog.tools[1].name.clone();
    assert_eq!(listed.len(), name::MAX_NAME);
    for requested in [listed, format!("a__{long}")] {
        assert_eq!(catalog.route(&requested).ok().unwrap().tool.tool, long);
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
    let sets = vec![(0, set("a", true, &["x"])), (1, set("a", true, &["y"]))];
    let catalog = build(sets, &Catalog::default());
    assert_eq!(catalog.toolsets.len(), 1);
    assert_eq!(catalog.tools[0].tool, "x");
}

#[test]
fn what_did_not_change_is_shared_with_the_snapshot_before() {
    let first = build(
        vec![(0, set("a", true, &["x", "y z"])), (0, set("b", true, &["x"]))],
        &Catalog::default(),
    );
    let same = build(
        vec![(0, set("b", true, &["x"])), (0, set("a", true, &["x", "y z"]))],
        &first,
    );
    assert!(same.same_content(&first));

    let stopped = build(
        vec![
            (0, set("a", false, &["x", "y z"])),
            (0, set("b", true, &["x", "new"])),
        ],
        &first,
    );
    assert!(!stopped.same_content(&first));
    let lists = |catalog: &Catalog| Arc::clone(&catalog.toolsets[0].list);
    assert!(
        Arc::ptr_eq(&lists(&stopped), &lists(&first)),
        "a status has nothing to do with the tools"
    );
    assert!(Arc::ptr_eq(
        &stopped.toolsets[1].tools()[0],
        &first.toolsets[1].tools()[0]
    ));
    assert_eq!(stopped.tools.len(), 2);

    let mut changed = set("a", true, &["x", "y z"]);
    changed.tools[0].description = "other".into();
    let changed = build(vec![(0, changed), (0, set("b", true, &["x"]))], &first);
    assert_eq!(changed.tools[0].description, "other");
    assert!(Arc::ptr_eq(
        &changed.toolsets[0].tools()[1],
        &first.toolsets[0].tools()[1]
    ));
}

#[test]
fn a_copied_short_name_moves_the_shortened_tool_and_not_the_copy() {
    let first = build(vec![(0, set("a", true, &["b c"]))], &Catalog::default());
    let short = first.tools[0].name.clone();
    let (_, copy) = name::split(&short).unwrap();
    let both = build(vec![(0, set("a", true, &["b c", copy]))], &first);
    assert_eq!(both.route(&short).ok().unwrap().tool.tool, copy);
    let moved = both.tools.iter().find(|tool| tool.tool == "b c").unwrap();
    assert_ne!(moved.name, short);
    assert_eq!(both.route(&moved.name).ok().unwrap().tool.tool, "b c");
}
