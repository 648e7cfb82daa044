//! What the statements that change something do.

use serde_json::{Map, Value, json};

use super::super::database::{Database, Properties, Refusal, Relation, text};
use super::Parameters;
use super::asking::distinct;

pub(super) fn add(database: &mut Database, name: &str, p: &Parameters<'_>) -> Result<(), Refusal> {
    match name {
        "add_entities" => {
            for row in p.list("rows") {
                let row = row.as_object().unwrap();
                database
                    .entities
                    .entry(text(row, "key").to_owned())
                    .or_insert_with(|| row.clone());
            }
        }
        "retire" => {
            for fact in &mut database.facts {
                if fact.subject == p.text("subject") && p.list("rows").contains(fact.get("row")) {
                    fact.set(json!({"retired": p.int("now")}).as_object().unwrap());
                }
            }
        }
        "end" => {
            for row in p.list("rows") {
                let mut copies: Vec<Relation> = database
                    .facts
                    .iter()
                    .filter(|fact| fact.subject == p.text("subject") && fact.get("row") == &row["row"])
                    .cloned()
                    .collect();
                for copy in &mut copies {
                    let set = json!({"row": row["next"], "until": row["until"], "recorded": p.int("now"), "retired": null});
                    copy.set(set.as_object().unwrap());
                }
                database.facts.extend(copies);
            }
        }
        "state" => {
            let (subject, object) = (p.text("subject"), p.text("object"));
            if database.entities.contains_key(subject) && database.entities.contains_key(object) {
                let mut fact = Relation {
                    subject: subject.to_owned(),
                    object: object.to_owned(),
                    properties: Map::new(),
                };
                fact.set(p.map("set"));
                database.facts.push(fact);
            }
        }
        "add_evidence" => {
            let set = p.map("set");
            database
                .evidence
                .entry(text(set, "key").to_owned())
                .or_insert_with(|| set.clone());
        }
        "add_mention" => {
            let set = p.map("set");
            if database.entities.contains_key(p.text("entity")) {
                let key = text(set, "key").to_owned();
                database
                    .episodes
                    .entry(key.clone())
                    .or_insert_with(|| set.clone());
                database.mentions.insert((key, p.text("entity").to_owned()));
            }
        }
        "add_alias" => {
            let key = text(p.map("set"), "key").to_owned();
            if database.aliases.contains_key(&key) {
                return Err(Refusal::client("Schema.ConstraintValidationFailed", &key));
            }
            if database.entities.contains_key(p.text("entity")) {
                database
                    .aliases
                    .insert(key, (p.map("set").clone(), p.text("entity").to_owned()));
            }
        }
        other => panic!("{other}"),
    }
    Ok(())
}

pub(super) fn forget(database: &mut Database, name: &str, p: &Parameters<'_>) -> Vec<Vec<Value>> {
    let before = database.mentions.len();
    let count = |database: &Database| vec![vec![json!(before - database.mentions.len())]];
    match name {
        "forget_facts" => database.facts.retain(|fact| {
            text(&fact.properties, "ns") != p.text("ns") || !p.list("facts").contains(fact.get("fact"))
        }),
        "forget_evidence" => database
            .evidence
            .retain(|_, one| text(one, "ns") != p.text("ns") || !p.list("facts").contains(&one["fact"])),
        "forget_mentions_of" => {
            database
                .mentions
                .retain(|(_, entity)| !p.texts("keys").contains(&entity.as_str()));
            return count(database);
        }
        "forget_entities" => {
            for key in p.texts("keys") {
                database.entities.remove(key);
                database.aliases.retain(|_, (_, entity)| entity != key);
                // DETACH.
                database
                    .facts
                    .retain(|fact| fact.subject != key && fact.object != key);
                database.mentions.retain(|(_, entity)| entity != key);
            }
        }
        "forget_told" => {
            let told = |one: &Properties| {
                text(one, "ns") == p.text("ns") && text(one, p.text("field")) == p.text("value")
            };
            let facts = distinct(
                database
                    .evidence
                    .values()
                    .filter(|one| told(one))
                    .map(|one| one["fact"].clone()),
            );
            database.evidence.retain(|_, one| !told(one));
            return facts;
        }
        "forget_mentions_in" => {
            let episodes = &database.episodes;
            database.mentions.retain(|(episode, _)| {
                let episode = &episodes[episode];
                text(episode, "ns") != p.text("ns") || text(episode, p.text("field")) != p.text("value")
            });
            return count(database);
        }
        "forget_episodes" => {
            let mentions = &database.mentions;
            database.episodes.retain(|key, episode| {
                text(episode, "ns") != p.text("ns") || mentions.iter().any(|(episode, _)| episode == key)
            });
        }
        "forget_space" => {
            database.spaces.remove(p.text("ns"));
        }
        other => panic!("{other}"),
    }
    Vec::new()
}
