//! The statements that the imitation knows, with the types of their parameters. It has its own copy of them, so a
//! statement that changes has to be understood here again.

use serde_json::{Map, Value, json};

use super::database::{Database, Properties, Refusal, Relation, text};

/// `s` text, `i` whole number, `b` flag, `o` map; `l` before it a list, `?` after it may be null.
struct Statement {
    name: &'static str,
    text: &'static str,
    parameters: &'static str,
    reads: bool,
}

const STATEMENTS: &[Statement] = &[
    Statement {
        name: "lock",
        text: "MERGE (n:OhSpace {ns: $ns}) ON CREATE SET n.next = 1 SET n.next = n.next + $count RETURN \
             n.next - $count",
        parameters: "ns:s count:i",
        reads: false,
    },
    Statement {
        name: "resolve",
        text: "UNWIND $keys AS key OPTIONAL MATCH (e:OhEntity {key: key}) OPTIONAL MATCH (:OhAlias {key: \
             key})-[:NAMES]->(named:OhEntity) RETURN key, coalesce(e.key, named.key)",
        parameters: "keys:ls",
        reads: true,
    },
    Statement {
        name: "add_entities",
        text: "UNWIND $rows AS row MERGE (e:OhEntity {key: row.key}) ON CREATE SET e += row",
        parameters: "rows:lo",
        reads: false,
    },
    Statement {
        name: "held",
        text: "MATCH (:OhEntity {key: $subject})-[r:RELATES_TO {predicate: $predicate, single: \
             $single}]->(o:OhEntity) WHERE r.retired IS NULL AND ($single OR o.key = $object) RETURN \
             r.row, r.fact, o.key, r.from, r.until, r.recorded",
        parameters: "subject:s predicate:s single:b object:s",
        reads: true,
    },
    Statement {
        name: "retire",
        text: "UNWIND $rows AS row MATCH (:OhEntity {key: $subject})-[r:RELATES_TO {row: row}]->(:OhEntity) \
             SET r.retired = $now",
        parameters: "rows:li subject:s now:i",
        reads: false,
    },
    Statement {
        name: "end",
        text: "UNWIND $rows AS row MATCH (s:OhEntity {key: $subject})-[r:RELATES_TO {row: \
             row.row}]->(o:OhEntity) CREATE (s)-[c:RELATES_TO]->(o) SET c = properties(r), c.row = \
             row.next, c.until = row.until, c.recorded = $now, c.retired = null",
        parameters: "rows:lo subject:s now:i",
        reads: false,
    },
    Statement {
        name: "state",
        text: "MATCH (s:OhEntity {key: $subject}), (o:OhEntity {key: $object}) CREATE \
             (s)-[r:RELATES_TO]->(o) SET r = $set",
        parameters: "subject:s object:s set:o",
        reads: false,
    },
    Statement {
        name: "add_evidence",
        text: "MERGE (v:OhEvidence {key: $set.key}) ON CREATE SET v += $set",
        parameters: "set:o",
        reads: false,
    },
    Statement {
        name: "add_mention",
        text: "MATCH (e:OhEntity {key: $entity}) MERGE (p:OhEpisode {key: $set.key}) ON CREATE SET p += \
             $set MERGE (p)-[:MENTIONS]->(e)",
        parameters: "entity:s set:o",
        reads: false,
    },
    Statement {
        name: "add_alias",
        text: "MATCH (e:OhEntity {key: $entity}) CREATE (a:OhAlias)-[:NAMES]->(e) SET a = $set",
        parameters: "entity:s set:o",
        reads: false,
    },
    Statement {
        name: "facts",
        text: "MATCH (s:OhEntity)-[r:RELATES_TO {ns: $ns}]->(o:OhEntity) WHERE ($subject IS NULL OR s.key = \
             $subject) AND ($predicate IS NULL OR r.predicate = $predicate) AND ($objects IS NULL OR \
             o.key IN $objects) AND all(word IN $words WHERE word IN r.words) AND ($valid IS NULL OR \
             (r.from <= $valid AND (r.until IS NULL OR r.until > $valid))) AND (($known IS NULL AND \
             r.retired IS NULL) OR ($known IS NOT NULL AND r.recorded <= $known AND (r.retired IS NULL OR \
             r.retired > $known))) RETURN r.fact, s.name, r.predicate, o.is_entity, o.name, r.single, \
             r.text, r.from, r.until, r.recorded, r.retired, r.confidence, r.supersedes ORDER BY r.from, \
             r.fact, r.row LIMIT $limit",
        parameters: "ns:s subject:s? predicate:s? objects:ls? words:ls valid:i? known:i? limit:i",
        reads: true,
    },
    Statement {
        name: "sources",
        text: "MATCH (v:OhEvidence {ns: $ns}) WHERE v.fact IN $facts AND ($known IS NULL OR v.recorded <= \
             $known) RETURN v.fact, v.document, v.chunk, v.session, v.skill ORDER BY v.fact, v.ordinal",
        parameters: "ns:s facts:li known:i?",
        reads: true,
    },
    Statement {
        name: "entities",
        text: "MATCH (e:OhEntity {ns: $ns, is_entity: true}) WHERE ($key IS NULL OR e.key = $key) AND \
             e.canonical > $after WITH e ORDER BY e.canonical LIMIT $limit OPTIONAL MATCH \
             (a:OhAlias)-[:NAMES]->(e) WITH e, collect(a) AS names ORDER BY e.canonical RETURN e.name, \
             e.created, [a IN names | [a.canonical, a.name]]",
        parameters: "ns:s key:s? after:s limit:i",
        reads: true,
    },
    Statement {
        name: "mentions",
        text: "MATCH (p:OhEpisode)-[:MENTIONS]->(e:OhEntity {key: $entity}) RETURN e.name, p.document, \
             p.chunk, p.session, p.skill ORDER BY p.document, p.chunk, p.session, p.skill LIMIT $limit",
        parameters: "entity:s limit:i",
        reads: true,
    },
    Statement {
        name: "names",
        text: "MATCH (e:OhEntity) WHERE e.key IN $keys RETURN e.key, e.name",
        parameters: "keys:ls",
        reads: true,
    },
    Statement {
        name: "step",
        text: "UNWIND $nodes AS node MATCH (a:OhEntity {key: node}) CALL { WITH a MATCH \
             (a)-[r:RELATES_TO]-(b:OhEntity {is_entity: true}) WHERE r.retired IS NULL AND ($valid IS \
             NULL OR (r.from <= $valid AND (r.until IS NULL OR r.until > $valid))) RETURN r, b ORDER BY \
             r.doubt, r.row LIMIT $fan_out } RETURN a.key, b.key, b.name, r.doubt, r.fact, startNode(r) \
             <> a",
        parameters: "nodes:ls valid:i? fan_out:i",
        reads: true,
    },
    Statement {
        name: "stats",
        text: "OPTIONAL MATCH (e:OhEntity {ns: $ns, is_entity: true}) WITH count(e) AS entities OPTIONAL \
             MATCH (:OhEntity)-[r:RELATES_TO {ns: $ns}]->(:OhEntity) WHERE r.retired IS NULL WITH \
             entities, count(r) AS facts, sum(CASE WHEN r IS NOT NULL AND r.until IS NULL THEN 1 ELSE 0 \
             END) AS open OPTIONAL MATCH (:OhEpisode {ns: $ns})-[m:MENTIONS]->(:OhEntity) RETURN \
             entities, facts, open, count(m)",
        parameters: "ns:s",
        reads: true,
    },
    Statement {
        name: "facts_of",
        text: "MATCH (e:OhEntity)-[r:RELATES_TO]-(:OhEntity) WHERE e.key IN $keys RETURN DISTINCT r.fact",
        parameters: "keys:ls",
        reads: true,
    },
    Statement {
        name: "forget_facts",
        text: "MATCH (:OhEntity)-[r:RELATES_TO {ns: $ns}]->(:OhEntity) WHERE r.fact IN $facts DELETE r",
        parameters: "ns:s facts:li",
        reads: false,
    },
    Statement {
        name: "forget_evidence",
        text: "MATCH (v:OhEvidence {ns: $ns}) WHERE v.fact IN $facts DELETE v",
        parameters: "ns:s facts:li",
        reads: false,
    },
    Statement {
        name: "forget_mentions_of",
        text: "MATCH (:OhEpisode)-[m:MENTIONS]->(e:OhEntity) WHERE e.key IN $keys DELETE m RETURN count(*)",
        parameters: "keys:ls",
        reads: false,
    },
    Statement {
        name: "forget_entities",
        text: "MATCH (e:OhEntity) WHERE e.key IN $keys OPTIONAL MATCH (a:OhAlias)-[:NAMES]->(e) DETACH \
             DELETE a, e",
        parameters: "keys:ls",
        reads: false,
    },
    Statement {
        name: "forget_told",
        text: "MATCH (v:OhEvidence {ns: $ns}) WHERE v[$field] = $value WITH v, v.fact AS fact DELETE v \
             RETURN DISTINCT fact",
        parameters: "ns:s field:s value:s",
        reads: false,
    },
    Statement {
        name: "still_told",
        text: "MATCH (v:OhEvidence {ns: $ns}) WHERE v.fact IN $facts RETURN DISTINCT v.fact",
        parameters: "ns:s facts:li",
        reads: true,
    },
    Statement {
        name: "forget_mentions_in",
        text: "MATCH (p:OhEpisode {ns: $ns})-[m:MENTIONS]->(:OhEntity) WHERE p[$field] = $value DELETE m \
             RETURN count(*)",
        parameters: "ns:s field:s value:s",
        reads: false,
    },
    Statement {
        name: "entities_with",
        text: "MATCH (e:OhEntity {ns: $ns}) OPTIONAL MATCH (a:OhAlias)-[:NAMES]->(e) WITH e, \
             collect(a.name) AS names WHERE any(name IN names + [e.name] WHERE toLower(name) CONTAINS \
             $phrase) RETURN e.key",
        parameters: "ns:s phrase:s",
        reads: true,
    },
    Statement {
        name: "facts_with",
        text: "MATCH (:OhEntity)-[r:RELATES_TO {ns: $ns}]->(:OhEntity) WHERE toLower(r.text) CONTAINS \
             $phrase RETURN DISTINCT r.fact",
        parameters: "ns:s phrase:s",
        reads: true,
    },
    Statement {
        name: "all_entities",
        text: "MATCH (e:OhEntity {ns: $ns}) RETURN e.key",
        parameters: "ns:s",
        reads: true,
    },
    Statement {
        name: "orphans",
        text: "MATCH (e:OhEntity {ns: $ns}) WHERE NOT (e)-[:RELATES_TO]-(:OhEntity) AND NOT \
             (:OhEpisode)-[:MENTIONS]->(e) RETURN e.key",
        parameters: "ns:s",
        reads: true,
    },
    Statement {
        name: "forget_episodes",
        text: "MATCH (p:OhEpisode {ns: $ns}) WHERE NOT (p)-[:MENTIONS]->(:OhEntity) DELETE p",
        parameters: "ns:s",
        reads: false,
    },
    Statement {
        name: "forget_space",
        text: "MATCH (n:OhSpace {ns: $ns}) DELETE n",
        parameters: "ns:s",
        reads: false,
    },
];

type Table = (Vec<String>, Vec<Vec<Value>>);

pub(super) fn execute(
    database: &mut Database,
    statement: &str,
    parameters: &Value,
    read: bool,
) -> Result<Table, Refusal> {
    if statement.starts_with("CREATE CONSTRAINT oh_")
        && statement.ends_with(" IS UNIQUE")
        && *parameters == json!({})
    {
        return Ok((Vec::new(), Vec::new()));
    }
    let known = STATEMENTS.iter().find(|known| known.text == statement);
    let known = known.ok_or_else(|| Refusal::client("Statement.SyntaxError", statement))?;
    if read && !known.reads {
        return Err(Refusal::client("Statement.AccessMode", known.name));
    }
    let parameters = checked(known, parameters)?;
    let rows = run(database, known.name, &Parameters(parameters))?;
    let columns = rows.first().map_or(0, Vec::len);
    Ok(((0..columns).map(|n| format!("c{n}")).collect(), rows))
}

fn checked<'a>(statement: &Statement, parameters: &'a Value) -> Result<&'a Map<String, Value>, Refusal> {
    let wrong = |what: &str| {
        Refusal::client(
            "Statement.ParameterMissing",
            &format!("{}: {what}", statement.name),
        )
    };
    let object = parameters.as_object().ok_or_else(|| wrong("no map"))?;
    let expected: Vec<(&str, &str)> = statement
        .parameters
        .split(' ')
        .filter_map(|one| one.split_once(':'))
        .collect();
    if object.len() != expected.len() {
        return Err(wrong("other parameters"));
    }
    for (name, kind) in expected {
        let value = object.get(name).ok_or_else(|| wrong(name))?;
        if !fits(value, kind) {
            return Err(wrong(&format!("{name} is {value}")));
        }
    }
    Ok(object)
}

fn fits(value: &Value, kind: &str) -> bool {
    if let Some(kind) = kind.strip_suffix('?') {
        return value.is_null() || fits(value, kind);
    }
    if let Some(kind) = kind.strip_prefix('l') {
        return value
            .as_array()
            .is_some_and(|values| values.iter().all(|value| fits(value, kind)));
    }
    match kind {
        "s" => value.is_string(),
        "i" => value.is_i64(),
        "b" => value.is_boolean(),
        "o" => value.as_object().is_some_and(|map| {
            // Properties are plain values or lists of them.
            map.values().all(|value| !value.is_object())
        }),
        other => panic!("no type {other}"),
    }
}

struct Parameters<'a>(&'a Map<String, Value>);

impl Parameters<'_> {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn int(&self, name: &str) -> i64 {
        self.0[name].as_i64().unwrap()
    }

    fn maybe(&self, name: &str) -> Option<i64> {
        self.0[name].as_i64()
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn map(&self, name: &str) -> &Properties {
        self.0[name].as_object().unwrap()
    }
}

fn run(database: &mut Database, name: &str, p: &Parameters<'_>) -> Result<Vec<Vec<Value>>, Refusal> {
    let none = Vec::new();
    Ok(match name {
        "lock" => {
            let next = database.spaces.entry(p.text("ns").to_owned()).or_insert(1);
            *next += p.int("count");
            vec![vec![json!(*next - p.int("count"))]]
        }
        "add_entities" | "retire" | "end" | "state" | "add_evidence" | "add_mention" | "add_alias" => {
            add(database, name, p)?;
            none
        }
        "forget_facts" | "forget_evidence" | "forget_mentions_of" | "forget_entities" | "forget_told"
        | "forget_mentions_in" | "forget_episodes" | "forget_space" => forget(database, name, p),
        _ => ask(database, name, p),
    })
}

fn add(database: &mut Database, name: &str, p: &Parameters<'_>) -> Result<(), Refusal> {
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

fn forget(database: &mut Database, name: &str, p: &Parameters<'_>) -> Vec<Vec<Value>> {
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

fn distinct(values: impl Iterator<Item = Value>) -> Vec<Vec<Value>> {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for value in values {
        if !rows.iter().any(|row| row[0] == value) {
            rows.push(vec![value]);
        }
    }
    rows
}

fn ask(database: &Database, name: &str, p: &Parameters<'_>) -> Vec<Vec<Value>> {
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
