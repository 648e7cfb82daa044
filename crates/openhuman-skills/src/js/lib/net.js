// Requests that look synchronous to the skill.
(function (op) {
  'use strict';
  const { stringify } = JSON;
  const send = op('net.fetch');
  const fetch = (url, options) =>
    send(String(url).toWellFormed(), options === undefined || options === null ? null : stringify(options) ?? null);
  return { net: { fetch } };
})
