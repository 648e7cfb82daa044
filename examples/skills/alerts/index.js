// Alerts: a schedule that fires every minute, and reminders it checks.
//
// Schedules are kept in the skill's database and are armed again when the skill starts.

var SCHEDULE = 'every-minute';
var KEPT_ROWS = 1000;

function init() {
  db.exec('CREATE TABLE IF NOT EXISTS alerts_log (id INTEGER PRIMARY KEY, fired_at TEXT NOT NULL, schedule TEXT NOT NULL)');
  db.exec('CREATE TABLE IF NOT EXISTS alerts (name TEXT PRIMARY KEY, message TEXT NOT NULL, at TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0)');
}

function start() {
  // Six fields in UTC: second minute hour day-of-month month day-of-week.
  // Registering the same schedule again changes nothing.
  cron.register(SCHEDULE, '0 * * * * *');
}

// The host calls this with the id of the schedule that fired.
function onCronTrigger(schedule) {
  var now = new Date().toISOString();
  db.exec('INSERT INTO alerts_log (fired_at, schedule) VALUES (?, ?)', [now, schedule]);
  db.exec('DELETE FROM alerts_log WHERE id <= (SELECT max(id) FROM alerts_log) - ?', [KEPT_ROWS]);
  db.all('SELECT name, message FROM alerts WHERE done = 0 AND at <= ?', [now]).forEach(function (alert) {
    db.exec('UPDATE alerts SET done = 1 WHERE name = ?', [alert.name]);
    try {
      platform.notify(alert.name, alert.message);
    } catch (error) {
      // The user may not have granted notifications; the alert is in the list either way.
      console.warn('cannot notify:', error.message);
    }
  });
  state.set('last_fired', now);
}

function setAlert(args) {
  var name = String(args.name || '').trim();
  var message = String(args.message || '').trim();
  var at = new Date(args.at);
  if (!name || !message || isNaN(at.getTime())) {
    return JSON.stringify({ success: false, error: 'An alert needs a name, a message and a time such as 2026-01-31T12:00:00Z.' });
  }
  db.exec(
    'INSERT INTO alerts (name, message, at) VALUES (?, ?, ?) ' +
      'ON CONFLICT(name) DO UPDATE SET message = excluded.message, at = excluded.at, done = 0',
    [name, message, at.toISOString()]
  );
  return JSON.stringify({ success: true, alert: { name: name, message: message, at: at.toISOString() } });
}

function listAlerts() {
  return JSON.stringify({
    success: true,
    schedules: cron.list(),
    alerts: db.all('SELECT name, message, at, done FROM alerts ORDER BY at').map(function (alert) {
      return { name: alert.name, message: alert.message, at: alert.at, done: alert.done === 1 };
    }),
    log: db.all('SELECT fired_at, schedule FROM alerts_log ORDER BY id DESC LIMIT 20'),
  });
}

globalThis.__skill = {
  default: {
    init: init,
    start: start,
    onCronTrigger: onCronTrigger,
    tools: [
      {
        name: 'list_alerts',
        description: 'Lists the alerts that are set and the last times the schedule fired.',
        inputSchema: { type: 'object', properties: {} },
        execute: listAlerts,
      },
      {
        name: 'set_alert',
        description: 'Sets an alert that notifies the user at a time. An alert with the same name is replaced.',
        inputSchema: {
          type: 'object',
          properties: {
            name: { type: 'string', description: 'A short name.' },
            message: { type: 'string', description: 'What to say.' },
            at: { type: 'string', description: 'When, as an ISO 8601 time.' },
          },
          required: ['name', 'message', 'at'],
        },
        execute: setAlert,
      },
    ],
  },
};
