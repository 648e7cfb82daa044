// The skill's database.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const exec = op('db.exec');
  const query = op('db.query');
  const kvGet = op('db.kvGet');
  const kvSet = op('db.kvSet');
  const db = {
    exec: (sql, params) => exec(String(sql), params),
    get: (sql, params) => { const rows = parse(query(String(sql), params, true)); return rows.length ? rows[0] : null; },
    all: (sql, params) => parse(query(String(sql), params, false)),
    kvGet: (key) => { const json = kvGet(String(key)); return json === undefined || json === null ? null : parse(json); },
    kvSet: (key, value) => { kvSet(String(key), stringify(value) ?? 'null'); },
  };
  return { db };
})
