//! Every statement that is ever sent. Texts of the user are parameters, never part of a statement.
//!
//! Entities and values are nodes `OhEntity` whose `key` is made of namespace, class and canonical name; facts are
//! relationships `RELATES_TO`, one for each version; sources are nodes `OhEvidence` and `OhEpisode`.

/// Run once for each connection; they do nothing the second time.
pub(super) const CONSTRAINTS: [&str; 5] = [
    "CREATE CONSTRAINT oh_space IF NOT EXISTS FOR (n:OhSpace) REQUIRE n.ns IS UNIQUE",
    "CREATE CONSTRAINT oh_entity IF NOT EXISTS FOR (n:OhEntity) REQUIRE n.key IS UNIQUE",
    "CREATE CONSTRAINT oh_alias IF NOT EXISTS FOR (n:OhAlias) REQUIRE n.key IS UNIQUE",
    "CREATE CONSTRAINT oh_evidence IF NOT EXISTS FOR (n:OhEvidence) REQUIRE n.key IS UNIQUE",
    "CREATE CONSTRAINT oh_episode IF NOT EXISTS FOR (n:OhEpisode) REQUIRE n.key IS UNIQUE",
];

/// Writing to the node locks it until the transaction ends, so writers of one namespace come one after another.
pub(super) const LOCK: &str = "MERGE (n:OhSpace {ns: $ns}) ON CREATE SET n.next = 1 \
     SET n.next = n.next + $count RETURN n.next - $count";

pub(super) const RESOLVE: &str = "UNWIND $keys AS key OPTIONAL MATCH (e:OhEntity {key: key}) \
     OPTIONAL MATCH (:OhAlias {key: key})-[:NAMES]->(named:OhEntity) \
     RETURN key, coalesce(e.key, named.key)";

pub(super) const ADD_ENTITIES: &str =
    "UNWIND $rows AS row MERGE (e:OhEntity {key: row.key}) ON CREATE SET e += row";

pub(super) const HELD: &str = "MATCH (:OhEntity {key: $subject})-[r:RELATES_TO {predicate: $predicate, single: $single}]->(o:OhEntity) \
     WHERE r.retired IS NULL AND ($single OR o.key = $object) \
     RETURN r.row, r.fact, o.key, r.from, r.until, r.recorded";

pub(super) const RETIRE: &str = "UNWIND $rows AS row \
     MATCH (:OhEntity {key: $subject})-[r:RELATES_TO {row: row}]->(:OhEntity) SET r.retired = $now";

pub(super) const END: &str = "UNWIND $rows AS row \
     MATCH (s:OhEntity {key: $subject})-[r:RELATES_TO {row: row.row}]->(o:OhEntity) \
     CREATE (s)-[c:RELATES_TO]->(o) \
     SET c = properties(r), c.row = row.next, c.until = row.until, c.recorded = $now, c.retired = null";

pub(super) const STATE: &str = "MATCH (s:OhEntity {key: $subject}), (o:OhEntity {key: $object}) CREATE (s)-[r:RELATES_TO]->(o) SET r = $set";

pub(super) const ADD_EVIDENCE: &str = "MERGE (v:OhEvidence {key: $set.key}) ON CREATE SET v += $set";

pub(super) const ADD_MENTION: &str = "MATCH (e:OhEntity {key: $entity}) \
     MERGE (p:OhEpisode {key: $set.key}) ON CREATE SET p += $set MERGE (p)-[:MENTIONS]->(e)";

pub(super) const ADD_ALIAS: &str =
    "MATCH (e:OhEntity {key: $entity}) CREATE (a:OhAlias)-[:NAMES]->(e) SET a = $set";

pub(super) const FACTS: &str = "MATCH (s:OhEntity)-[r:RELATES_TO {ns: $ns}]->(o:OhEntity) \
     WHERE ($subject IS NULL OR s.key = $subject) AND ($predicate IS NULL OR r.predicate = $predicate) \
     AND ($objects IS NULL OR o.key IN $objects) AND all(word IN $words WHERE word IN r.words) \
     AND ($valid IS NULL OR (r.from <= $valid AND (r.until IS NULL OR r.until > $valid))) \
     AND (($known IS NULL AND r.retired IS NULL) \
     OR ($known IS NOT NULL AND r.recorded <= $known AND (r.retired IS NULL OR r.retired > $known))) \
     RETURN r.fact, s.name, r.predicate, o.is_entity, o.name, r.single, r.text, r.from, r.until, r.recorded, \
     r.retired, r.confidence, r.supersedes ORDER BY r.from, r.fact, r.row LIMIT $limit";

pub(super) const SOURCES: &str = "MATCH (v:OhEvidence {ns: $ns}) \
     WHERE v.fact IN $facts AND ($known IS NULL OR v.recorded <= $known) \
     RETURN v.fact, v.document, v.chunk, v.session, v.skill ORDER BY v.fact, v.ordinal";

pub(super) const ENTITIES: &str = "MATCH (e:OhEntity {ns: $ns, is_entity: true}) \
     WHERE ($key IS NULL OR e.key = $key) AND e.canonical > $after \
     WITH e ORDER BY e.canonical LIMIT $limit OPTIONAL MATCH (a:OhAlias)-[:NAMES]->(e) \
     WITH e, collect(a) AS names ORDER BY e.canonical \
     RETURN e.name, e.created, [a IN names | [a.canonical, a.name]]";

pub(super) const MENTIONS: &str = "MATCH (p:OhEpisode)-[:MENTIONS]->(e:OhEntity {key: $entity}) \
     RETURN e.name, p.document, p.chunk, p.session, p.skill \
     ORDER BY p.document, p.chunk, p.session, p.skill LIMIT $limit";

pub(super) const NAMES: &str = "MATCH (e:OhEntity) WHERE e.key IN $keys RETURN e.key, e.name";

pub(super) const STEP: &str = "UNWIND $nodes AS node MATCH (a:OhEntity {key: node}) \
     CALL { WITH a MATCH (a)-[r:RELATES_TO]-(b:OhEntity {is_entity: true}) WHERE r.retired IS NULL \
     AND ($valid IS NULL OR (r.from <= $valid AND (r.until IS NULL OR r.until > $valid))) \
     RETURN r, b ORDER BY r.doubt, r.row LIMIT $fan_out } \
     RETURN a.key, b.key, b.name, r.doubt, r.fact, startNode(r) <> a";

pub(super) const STATS: &str = "OPTIONAL MATCH (e:OhEntity {ns: $ns, is_entity: true}) WITH count(e) AS entities \
     OPTIONAL MATCH (:OhEntity)-[r:RELATES_TO {ns: $ns}]->(:OhEntity) WHERE r.retired IS NULL \
     WITH entities, count(r) AS facts, sum(CASE WHEN r IS NOT NULL AND r.until IS NULL THEN 1 ELSE 0 END) AS open \
     OPTIONAL MATCH (:OhEpisode {ns: $ns})-[m:MENTIONS]->(:OhEntity) RETURN entities, facts, open, count(m)";

pub(super) const FACTS_OF: &str =
    "MATCH (e:OhEntity)-[r:RELATES_TO]-(:OhEntity) WHERE e.key IN $keys RETURN DISTINCT r.fact";

pub(super) const FORGET_FACTS: &str =
    "MATCH (:OhEntity)-[r:RELATES_TO {ns: $ns}]->(:OhEntity) WHERE r.fact IN $facts DELETE r";

pub(super) const FORGET_EVIDENCE: &str = "MATCH (v:OhEvidence {ns: $ns}) WHERE v.fact IN $facts DELETE v";

pub(super) const FORGET_MENTIONS_OF: &str =
    "MATCH (:OhEpisode)-[m:MENTIONS]->(e:OhEntity) WHERE e.key IN $keys DELETE m RETURN count(*)";

pub(super) const FORGET_ENTITIES: &str = "MATCH (e:OhEntity) WHERE e.key IN $keys \
     OPTIONAL MATCH (a:OhAlias)-[:NAMES]->(e) DETACH DELETE a, e";

pub(super) const FORGET_TOLD: &str = "MATCH (v:OhEvidence {ns: $ns}) WHERE v[$field] = $value \
     WITH v, v.fact AS fact DELETE v RETURN DISTINCT fact";

pub(super) const STILL_TOLD: &str =
    "MATCH (v:OhEvidence {ns: $ns}) WHERE v.fact IN $facts RETURN DISTINCT v.fact";

pub(super) const FORGET_MENTIONS_IN: &str = "MATCH (p:OhEpisode {ns: $ns})-[m:MENTIONS]->(:OhEntity) \
     WHERE p[$field] = $value DELETE m RETURN count(*)";

pub(super) const ENTITIES_WITH: &str = "MATCH (e:OhEntity {ns: $ns}) OPTIONAL MATCH (a:OhAlias)-[:NAMES]->(e) \
     WITH e, collect(a.name) AS names WHERE any(name IN names + [e.name] WHERE toLower(name) CONTAINS $phrase) \
     RETURN e.key";

pub(super) const FACTS_WITH: &str = "MATCH (:OhEntity)-[r:RELATES_TO {ns: $ns}]->(:OhEntity) \
     WHERE toLower(r.text) CONTAINS $phrase RETURN DISTINCT r.fact";

pub(super) const ALL_ENTITIES: &str = "MATCH (e:OhEntity {ns: $ns}) RETURN e.key";

pub(super) const ORPHANS: &str = "MATCH (e:OhEntity {ns: $ns}) \
     WHERE NOT (e)-[:RELATES_TO]-(:OhEntity) AND NOT (:OhEpisode)-[:MENTIONS]->(e) RETURN e.key";

pub(super) const FORGET_EPISODES: &str =
    "MATCH (p:OhEpisode {ns: $ns}) WHERE NOT (p)-[:MENTIONS]->(:OhEntity) DELETE p";

pub(super) const FORGET_SPACE: &str = "MATCH (n:OhSpace {ns: $ns}) DELETE n";
