//! The texts of the statements and the types of their parameters.

/// `s` text, `i` whole number, `b` flag, `o` map; `l` before it a list, `?` after it may be null.
pub(super) struct Statement {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    pub(super) parameters: &'static str,
    pub(super) reads: bool,
}

pub(super) const STATEMENTS: &[Statement] = &[
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
