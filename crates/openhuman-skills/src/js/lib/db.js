// The skill's database.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const exec = op('db.exec');
  const query = op('db.query');
  const kvGet = op('db.kvGet');
  const kvSet = op('db.kvSet');
  // Values that JSON has no number for come beside the rows: row, column, text.
  const rows = (json) => {
    const found = parse(json);
    if (isArray(found)) return found;
    for (const [row, column, text] of found.special) {
      found.rows[row][column] = text.endsWith('Infinity') ? Number(text) : BigInt(text);
    }
    return found.rows;
  };
  const db = {
    exec: (sql, params) => exec(String(sql), params),
    get: (sql, params) => { const found = rows(query(String(sql), params, true)); return found.length ? found[0] : null; },
    all: (sql, params) => rows(query(String(sql), params, false)),
    kvGet: (key) => { const json = kvGet(String(key)); return json === undefined || json === null ? null : parse(json); },
    kvSet: (key, value) => { kvSet(String(key), stringify(value) ?? 'null'); },
  };
  return { db };
})
