//! What the statements that only read return.

use serde_json::{Value, json};

use super::super::database::{Database, Properties, Relation, text};
use super::Parameters;

pub(super) fn distinct(values: impl Iterator<Item = Value>) -> Vec<Vec<Value>> {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for value in values {
        if !rows.iter().any(|row| row[0] == value) {
            rows.push(vec![value]);
        }
    }
    rows
}

pub(super) fn ask(database: &Database, name: &str, p: &Parameters<'_>) -> Vec<Vec<Value>> {
    let ns = |properties: &Properties| {
        text(properties, "ns") == p.0.get("ns").and_then(Value::as_str).unwrap_or_default()
    };
    match name {
        "resolve" => p
            .texts("keys")
            .iter()
            .map(|key| {
                let named = database.aliases.get(*key).map(|(_, entity)| entity.as_str());
                let found = database.entities.contains_key(*key).then_some(*key).or(named);
                vec![json!(key), json!(found)]
            })
            .collect(),
        "held" => database
            .facts
            .iter()
            .filter(|fact| {
                fact.subject == p.text("subject")
                    && text(&fact.properties, "predicate") == p.text("predicate")
                    && *fact.get("single") == p.0["single"]
                    && fact.is_believed()
                    && (p.0["single"] == json!(true) || fact.object == p.text("object"))
            })
            .map(|fact| {
                let get = |name: &str| fact.get(name).clone();
                vec![
                    get("row"),
                    get("fact"),
                    json!(fact.object),
                    get("from"),
                    get("until"),
                    get("recorded"),
                ]
            })
            .collect(),
        "facts" => facts(database, p),
        "sources" => {
            let known = p.maybe("known").unwrap_or(i64::MAX);
            let mut found: Vec<&Properties> = database
                .evidence
                .values()
                .filter(|one| ns(one) && p.list("facts").contains(&one["fact"]))
                .filter(|one| one["recorded"].as_i64().unwrap() <= known)
                .collect();
            found.sort_by_key(|one| (one["fact"].as_i64(), one["ordinal"].as_i64()));
            found
                .into_iter()
                .map(|one| place(one["fact"].clone(), one))
                .collect()
        }
        "entities" => entities(database, p),
        "mentions" => {
            let Some(entity) = database.entities.get(p.text("entity")) else {
                return Vec::new();
            };
            let of_entity = database
                .mentions
                .iter()
                .filter(|(_, key)| key == p.text("entity"));
            let mut found: Vec<&Properties> = of_entity
                .map(|(episode, _)| &database.episodes[episode])
                .collect();
            found.sort_by_key(|one| {
                (
                    text(one, "document"),
                    one["chunk"].as_i64(),
                    text(one, "session"),
                    text(one, "skill"),
                )
            });
            found.truncate(p.int("limit") as usize);
            found
                .into_iter()
                .map(|one| place(entity["name"].clone(), one))
                .collect()
        }
        "names" => p
            .texts("keys")
            .iter()
            .filter_map(|key| Some(vec![json!(key), database.entities.get(*key)?["name"].clone()]))
            .collect(),
        "step" => p
            .texts("nodes")
            .iter()
            .flat_map(|node| step(database, node, p))
            .collect(),
        "stats" => {
            let entities = database
                .entities
                .values()
                .filter(|one| ns(one) && one["is_entity"] == json!(true));
            let believed: Vec<&Relation> = database
                .facts
                .iter()
                .filter(|fact| ns(&fact.properties) && fact.is_believed())
                .collect();
            let open = believed.iter().filter(|fact| fact.get("until").is_null()).count();
            let mentions = database
                .mentions
                .iter()
                .filter(|(episode, _)| ns(&database.episodes[episode]));
            vec![vec![
                json!(entities.count()),
                json!(believed.len()),
                json!(open),
                json!(mentions.count()),
            ]]
        }
        "facts_of" => distinct(
            database
                .facts
                .iter()
                .filter(|fact| {
                    p.texts("keys")
                        .iter()
                        .any(|key| [&fact.subject, &fact.object].contains(&&(*key).to_owned()))
                })
                .map(|fact| fact.get("fact").clone()),
        ),
        "still_told" => distinct(
            database
                .evidence
                .values()
                .filter(|one| ns(one) && p.list("facts").contains(&one["fact"]))
                .map(|one| one["fact"].clone()),
        ),
        "entities_with" => {
            let matches = |name: &str| name.to_lowercase().contains(p.text("phrase"));
            let by_alias = |key: &str| {
                database
                    .aliases
                    .values()
                    .any(|(alias, entity)| entity == key && matches(text(alias, "name")))
            };
            let found = database
                .entities
                .iter()
                .filter(|(key, one)| ns(one) && (matches(text(one, "name")) || by_alias(key)));
            found.map(|(key, _)| vec![json!(key)]).collect()
        }
        "facts_with" => distinct(
            database
                .facts
                .iter()
                .filter(|fact| ns(&fact.properties))
                .filter(|fact| {
                    text(&fact.properties, "text")
                        .to_lowercase()
                        .contains(p.text("phrase"))
                })
                .map(|fact| fact.get("fact").clone()),
        ),
        "all_entities" => database
            .entities
            .iter()
            .filter(|(_, one)| ns(one))
            .map(|(key, _)| vec![json!(key)])
            .collect(),
        "orphans" => {
            let found = database.entities.iter().filter(|(key, one)| {
                ns(one)
                    && !database
                        .facts
                        .iter()
                        .any(|fact| [&fact.subject, &fact.object].contains(key))
                    && !database.mentions.iter().any(|(_, entity)| entity == *key)
            });
            found.map(|(key, _)| vec![json!(key)]).collect()
        }
        other => panic!("{other}"),
    }
}

/// Something, and where it comes from.
fn place(first: Value, source: &Properties) -> Vec<Value> {
    let get = |name: &str| source[name].clone();
    vec![first, get("document"), get("chunk"), get("session"), get("skill")]
}

fn facts(database: &Database, p: &Parameters<'_>) -> Vec<Vec<Value>> {
    let mut found: Vec<&Relation> = database
        .facts
        .iter()
        .filter(|fact| text(&fact.properties, "ns") == p.text("ns"))
        .filter(|fact| p.0["subject"].is_null() || fact.subject == p.text("subject"))
        .filter(|fact| p.0["predicate"].is_null() || *fact.get("predicate") == p.0["predicate"])
        .filter(|fact| p.0["objects"].is_null() || p.texts("objects").contains(&fact.object.as_str()))
        .filter(|fact| {
            let words = fact.get("words").as_array().unwrap();
            p.list("words").iter().all(|word| words.contains(word))
        })
        .filter(|fact| fact.holds_at(p.maybe("valid")))
        .filter(|fact| match p.maybe("known") {
            None => fact.is_believed(),
            Some(time) => {
                fact.int("recorded") <= time && fact.get("retired").as_i64().is_none_or(|at| at > time)
            }
        })
        .collect();
    found.sort_by_key(|fact| (fact.int("from"), fact.int("fact"), fact.int("row")));
    found.truncate(p.int("limit") as usize);
    let row = |fact: &Relation| {
        let get = |name: &str| fact.get(name).clone();
        let (subject, object) = (
            &database.entities[&fact.subject],
            &database.entities[&fact.object],
        );
        vec![
            get("fact"),
            subject["name"].clone(),
            get("predicate"),
            object["is_entity"].clone(),
            object["name"].clone(),
            get("single"),
            get("text"),
            get("from"),
            get("until"),
            get("recorded"),
            get("retired"),
            get("confidence"),
            get("supersedes"),
        ]
    };
    found.into_iter().map(row).collect()
}

fn entities(database: &Database, p: &Parameters<'_>) -> Vec<Vec<Value>> {
    let mut found: Vec<(&String, &Properties)> = database
        .entities
        .iter()
        .filter(|(key, one)| {
            text(one, "ns") == p.text("ns")
                && one["is_entity"] == json!(true)
                && (p.0["key"].is_null() || *key == p.text("key"))
                && text(one, "canonical") > p.text("after")
        })
        .collect();
    found.sort_by_key(|(_, one)| text(one, "canonical"));
    found.truncate(p.int("limit") as usize);
    let row = |(key, one): (&String, &Properties)| {
        let of_entity = database.aliases.values().filter(|(_, entity)| entity == key);
        let aliases: Vec<Value> = of_entity
            .map(|(alias, _)| json!([alias["canonical"], alias["name"]]))
            .collect();
        vec![one["name"].clone(), one["created"].clone(), json!(aliases)]
    };
    found.into_iter().map(row).collect()
}

fn step(database: &Database, node: &str, p: &Parameters<'_>) -> Vec<Vec<Value>> {
    let mut found: Vec<(&Relation, &String)> = database
        .facts
        .iter()
        .filter(|fact| fact.is_believed() && fact.holds_at(p.maybe("valid")))
        .filter_map(|fact| {
            let other = if fact.subject == node {
                &fact.object
            } else if fact.object == node {
                &fact.subject
            } else {
                return None;
            };
            (database.entities[other]["is_entity"] == json!(true)).then_some((fact, other))
        })
        .collect();
    found.sort_by_key(|(fact, _)| (fact.int("doubt"), fact.int("row")));
    found.truncate(p.int("fan_out") as usize);
    let row = |(fact, other): (&Relation, &String)| {
        let get = |name: &str| fact.get(name).clone();
        let backwards = fact.subject != node;
        vec![
            json!(node),
            json!(other),
            database.entities[other]["name"].clone(),
            get("doubt"),
            get("fact"),
            json!(backwards),
        ]
    };
    found.into_iter().map(row).collect()
}
