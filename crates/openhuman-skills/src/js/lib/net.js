// Requests that look synchronous to the skill.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const send = op('net.fetch');
  const request = (url, options) => stringify({ url: String(url), options: options ?? null });
  return { net: { fetch: (url, options) => parse(send(request(url, options))) }, request };
})
