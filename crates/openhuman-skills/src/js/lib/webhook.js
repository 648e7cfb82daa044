// Requests from outside that the skill answers with onWebhookRequest.
(function (op) {
  'use strict';
  const { parse } = JSON;
  const register = op('webhook.register');
  const unregister = op('webhook.unregister');
  const list = op('webhook.list');
  const optional = (value) => (value === undefined || value === null ? null : String(value));
  const webhook = {
    register: (uuid, name, backendId) => register(String(uuid), optional(name), optional(backendId)),
    unregister: (uuid) => unregister(String(uuid)),
    list: () => parse(list()),
  };
  if (op('webhook.hasTunnels')()) {
    const create = op('webhook.createTunnel');
    const all = op('webhook.listTunnels');
    const remove = op('webhook.deleteTunnel');
    webhook.createTunnel = (name, description) => parse(create(String(name), optional(description)));
    webhook.listTunnels = () => parse(all());
    webhook.deleteTunnel = (id) => remove(String(id));
  }
  return { webhook };
})
