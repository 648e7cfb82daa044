// Calls from the host: tools, hooks, timers, and answers to what the skill asked for.
(function (op, use) {
  'use strict';
  const g = globalThis;
  const { parse, stringify } = JSON;
  const { DOMException } = g;
  const settled = op('call.settled');
  const text = (value) => String(value).toWellFormed();

  const bundle = () => (g.__skill && g.__skill.default) || g.__skill || g;
  const hookOf = (skill, name) =>
    typeof skill[name] === 'function' ? skill[name] : typeof g[name] === 'function' ? g[name] : undefined;
  const toolsOf = () => {
    const skill = bundle();
    return Array.isArray(skill.tools) ? skill.tools : Array.isArray(g.tools) ? g.tools : [];
  };
  const isTool = (tool) => tool && typeof tool.name === 'string' && typeof tool.execute === 'function';
  const asText = (value) => {
    if (value === undefined || value === null) return 'null';
    if (typeof value === 'object') return stringify(value) ?? 'null';
    return text(value);
  };
  const asJson = (value) => stringify(value) ?? 'null';
  const settle = async (id, promise, format) => {
    let value;
    try { value = format(await promise); } catch (error) { settled(id, 'rejected', use('console').failure(error)); return; }
    settled(id, 'ok', value);
  };
  const run = (id, format, produce) => {
    let value;
    try {
      value = produce();
      if (value !== null && (typeof value === 'object' || typeof value === 'function') && typeof value.then === 'function') {
        settle(id, value, format);
        return;
      }
      value = format(value);
    } catch (error) { settled(id, 'threw', use('console').failure(error)); return; }
    settled(id, 'ok', value);
  };
  const HOOKS = [
    'init', 'start', 'stop', 'onLoad', 'onTick', 'onSync', 'onPing', 'onError', 'onRpc', 'onDisconnect', 'publishState',
    'onCronTrigger', 'onServerEvent', 'onHookTriggered', 'onWebhookRequest', 'onSessionStart', 'onSessionEnd',
    'onSetupStart', 'onSetupSubmit', 'onSetupCancel', 'onListOptions', 'onSetOption',
    'onOAuthComplete', 'onOAuthRevoked', 'onAuthComplete', 'onAuthRevoked',
  ];
  const dispatch = (kind, id, name, payload) => {
    switch (kind) {
      case 'tool': {
        const tool = toolsOf().find((candidate) => isTool(candidate) && candidate.name === name);
        if (tool) run(id, asText, () => tool.execute(parse(payload)));
        else settled(id, 'missing', name);
        return;
      }
      case 'hook': {
        const skill = bundle();
        const hook = hookOf(skill, name);
        if (hook) run(id, asJson, () => hook.apply(skill, parse(payload)));
        else settled(id, 'ok', 'null');
        return;
      }
      case 'describe': {
        run(id, asJson, () => ({
          defined: Boolean(g.__skill) || g.tools !== undefined || HOOKS.some((hook) => typeof g[hook] === 'function'),
          hooks: HOOKS.filter((hook) => hookOf(bundle(), hook)),
          tools: toolsOf().filter(isTool).map((tool) => ({
            name: text(tool.name), description: text(tool.description ?? ''),
            inputSchema: tool.inputSchema ?? tool.input_schema ?? {},
          })),
        }));
        return;
      }
      case 'timer': use('timers').fire(id); return;
      case 'settle': use('async').settle(id, name, payload); return;
    }
  };
  const domException = (message, name) => new DOMException(message, name);
  return { dispatch, domException };
})
