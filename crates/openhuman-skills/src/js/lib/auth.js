// What the user entered for the skill, with placeholders in place of secrets.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const get = op('auth.get');
  const send = op('auth.fetch');
  const getCredential = () => parse(get());
  const auth = {
    getCredential,
    getMode: () => getCredential()?.mode ?? null,
    getCredentials: () => getCredential()?.credentials ?? null,
    fetch: (url, options) => send(String(url), stringify(options ?? null)),
  };
  return { auth };
})
