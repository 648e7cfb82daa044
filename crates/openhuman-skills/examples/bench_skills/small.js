// A small skill in the style of the published ones: a few synchronous tools, published state, options, a schedule.
var __skill_bundle = (() => {
  var CONFIG = { serverUrl: 'https://api.example.com', interval: 10, notify: true };
  var counters = { calls: 0, ticks: 0, events: 0, failures: 0 };

  function publish() {
    state.setPartial({
      connection_status: 'connected',
      auth_status: 'authenticated',
      is_initialized: true,
      calls: counters.calls,
      lastSyncTime: Date.now(),
    });
  }

  function init() {
    var saved = state.get('config');
    if (saved) Object.assign(CONFIG, saved);
  }

  function start() {
    publish();
    return { status: 'complete' };
  }

  function stop() {
    state.set('config', CONFIG);
  }

  function onCronTrigger(id) {
    counters.ticks += 1;
    return id;
  }

  function onServerEvent(event, data) {
    counters.events += 1;
    return { event: event, data: data };
  }

  function onListOptions() {
    return {
      options: [
        { name: 'interval', type: 'select', label: 'Interval', value: String(CONFIG.interval), options: [
          { label: '10 seconds', value: '10' }, { label: 'a minute', value: '60' },
        ] },
        { name: 'notify', type: 'boolean', label: 'Notifications', value: CONFIG.notify },
      ],
    };
  }

  function onSetOption(change) {
    if (change.name === 'interval') CONFIG.interval = Number(change.value) || 10;
    if (change.name === 'notify') CONFIG.notify = Boolean(change.value);
    state.set('config', CONFIG);
  }

  function answer(value) {
    return JSON.stringify({ success: true, value: value });
  }

  var tools = [
    {
      name: 'add',
      description: 'Adds one to a number and counts the call.',
      inputSchema: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] },
      execute: function (args) { counters.calls += 1; return String(args.n + 1); },
    },
    {
      name: 'stats',
      description: 'What was counted so far.',
      inputSchema: { type: 'object', properties: {} },
      execute: function () { return answer(counters); },
    },
    {
      name: 'wait',
      description: 'Waits in a synchronous host call.',
      inputSchema: { type: 'object', properties: {} },
      execute: function () { return answer(delay.wait()); },
    },
    {
      name: 'get',
      description: 'Fetches an address and tells the status.',
      inputSchema: { type: 'object', properties: { url: { type: 'string' } }, required: ['url'] },
      execute: function (args) {
        var response = net.fetch(args.url, { method: 'GET', headers: { Accept: 'text/plain' }, timeout: 60 });
        return response.body;
      },
    },
    {
      name: 'note',
      description: 'Keeps a row in the database.',
      inputSchema: { type: 'object', properties: { text: { type: 'string' } } },
      execute: function (args) {
        db.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)');
        db.exec('INSERT INTO notes (text) VALUES (?)', [args.text]);
        return answer(db.get('SELECT count(*) AS n FROM notes').n);
      },
    },
    {
      name: 'schedule',
      description: 'Registers schedules.',
      inputSchema: { type: 'object', properties: { count: { type: 'number' } } },
      execute: function (args) {
        for (var i = 0; i < args.count; i += 1) cron.register('s' + i, '0 * * * * *');
        return answer(cron.list().length);
      },
    },
  ];
  var skill = {
    info: { id: 'small', name: 'Small', version: '1.0.0' },
    tools: tools, init: init, start: start, stop: stop, onCronTrigger: onCronTrigger,
    onServerEvent: onServerEvent, onListOptions: onListOptions, onSetOption: onSetOption,
  };
  return { default: skill };
})();
globalThis.__skill = { default: __skill_bundle.default };
