// Notes: a database, published state, and two tools.
//
// A skill is one plain script. It sets `globalThis.__skill = { default: skill }`; the host calls the hooks and
// tools of `skill`. Host functions such as `db.all` are synchronous: just use what they return.

var MAX_RESULTS = 20;

// Runs once after the script is loaded. Create tables here; `IF NOT EXISTS` makes it safe at every start.
function init() {
  db.exec(
    'CREATE TABLE IF NOT EXISTS notes (' +
      'id INTEGER PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, created TEXT NOT NULL)'
  );
}

// Runs after `init`, with the credentials the user connected (none for this skill).
function start() {
  publishCount();
}

// What is published with `state.set` appears in the host's snapshot of the skill, and survives a restart.
function publishCount() {
  state.set('notes', db.get('SELECT count(*) AS n FROM notes').n);
}

// Tools answer with a JSON string. A failure the model can act on is a result too, not an exception.
function failure(message) {
  return JSON.stringify({ success: false, error: message });
}

function addNote(args) {
  var title = String(args.title || '').trim();
  var text = String(args.text || '').trim();
  if (!title || !text) {
    return failure('A note needs a title and a text.');
  }
  var created = new Date().toISOString();
  // Values go in as parameters, never into the SQL text.
  db.exec('INSERT INTO notes (title, text, created) VALUES (?, ?, ?)', [title, text, created]);
  publishCount();
  return JSON.stringify({ success: true, note: { title: title, text: text, created: created } });
}

// `%` and `_` are wildcards of LIKE; here they are meant literally.
function escapeLike(word) {
  return word.replace(/[\\%_]/g, '\\$&');
}

function findNotes(args) {
  var words = String(args.query || '').toLowerCase().match(/[\p{L}\p{N}]+/gu) || [];
  words = words.slice(0, 10);
  var where = words.map(function () {
    return "(lower(title) LIKE ? ESCAPE '\\' OR lower(text) LIKE ? ESCAPE '\\')";
  });
  var params = [];
  words.forEach(function (word) {
    var pattern = '%' + escapeLike(word) + '%';
    params.push(pattern, pattern);
  });
  // Notes that hold any of the words; those that hold more of them come first. No words: the newest notes.
  var score = where.length ? where.join(' + ') : '1';
  var rows = db.all(
    'SELECT title, text, created, (' + score + ') AS score FROM notes ' +
      (where.length ? 'WHERE score > 0 ' : '') +
      'ORDER BY score DESC, id DESC LIMIT ' + MAX_RESULTS,
    params
  );
  var notes = rows.map(function (row) {
    return { title: row.title, text: row.text, created: row.created };
  });
  return JSON.stringify({ success: true, count: notes.length, notes: notes });
}

globalThis.__skill = {
  default: {
    init: init,
    start: start,
    tools: [
      {
        name: 'add_note',
        description: 'Keeps a note with a title and a text.',
        inputSchema: {
          type: 'object',
          properties: {
            title: { type: 'string', description: 'A short title.' },
            text: { type: 'string', description: 'What to remember.' },
          },
          required: ['title', 'text'],
        },
        execute: addNote,
      },
      {
        name: 'find_notes',
        description: 'Finds notes that hold words of the query; the newest notes when it is empty.',
        inputSchema: {
          type: 'object',
          properties: { query: { type: 'string', description: 'Words to look for.' } },
        },
        execute: findNotes,
      },
    ],
  },
};
