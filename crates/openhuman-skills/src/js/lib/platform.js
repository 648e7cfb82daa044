// The machine the skill runs on.
(function (op) {
  'use strict';
  const os = op('platform.os');
  const env = op('platform.env');
  const notify = op('platform.notify');
  const platform = {
    os: () => os(),
    env: (key) => env(String(key)),
    notify: (title, body) => { notify(String(title), body === undefined || body === null ? '' : String(body)); },
  };
  return { platform };
})
