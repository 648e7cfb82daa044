// The managed connection of the skill. Its token never gets here: the host puts it into requests.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const get = op('oauth.get');
  const send = op('oauth.fetch');
  const end = op('oauth.revoke');
  const oauth = {
    getCredential: () => parse(get()),
    fetch: (path, options) => send(String(path), stringify(options ?? null)),
    revoke: () => end(),
  };
  return { oauth };
})
