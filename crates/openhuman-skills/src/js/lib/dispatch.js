// Calls from the host: tools, hooks, timers, and answers to what the skill asked for.
(function (op, use) {
  'use strict';
  const g = globalThis;
  const { stringify } = JSON;
  const { isArray } = Array;
  const settled = op('call.settled');
  const text = (value) => String(value).toWellFormed();

  const bundle = () => (g.__skill && g.__skill.default) || g.__skill || g;
  const hookOf = (skill, name) =>
    typeof skill[name] === 'function' ? skill[name] : typeof g[name] === 'function' ? g[name] : undefined;
  const toolsOf = () => {
    const skill = bundle();
    return isArray(skill.tools) ? skill.tools : isArray(g.tools) ? g.tools : [];
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
  // The text of a value that is there; a promise settles its call later.
  const finish = (id, value, format) => {
    if (value !== null && (typeof value === 'object' || typeof value === 'function') && typeof value.then === 'function') {
      settle(id, value, format);
      return undefined;
    }
    return format(value);
  };
  const threw = (id, error) => { settled(id, 'threw', use('console').failure(error)); };

  // Each of these returns the result as text, or nothing when the call is or will be settled otherwise.
  // A tool of a bundle that is shaped as most are was called by the host itself (raw/tools.rs); this is for the others.
  const tool = (id, name, args) => {
    try {
      const tools = toolsOf();
      for (let index = 0; index < tools.length; index++) {
        const candidate = tools[index];
        if (isTool(candidate) && candidate.name === name) return finish(id, candidate.execute(args), asText);
      }
    } catch (error) { return threw(id, error); }
    return settled(id, 'missing', name);
  };
  const finished = (id, value) => {
    try { return finish(id, value, asText); } catch (error) { return threw(id, error); }
  };
  const hook = (id, name, args) => {
    try {
      const skill = bundle();
      const found = hookOf(skill, name);
      return found ? finish(id, found.apply(skill, args), asJson) : 'null';
    } catch (error) { return threw(id, error); }
  };
  const HOOKS = [
    'init', 'start', 'stop', 'onLoad', 'onTick', 'onSync', 'onPing', 'onError', 'onRpc', 'onDisconnect', 'publishState',
    'onCronTrigger', 'onServerEvent', 'onHookTriggered', 'onWebhookRequest', 'onSessionStart', 'onSessionEnd',
    'onSetupStart', 'onSetupSubmit', 'onSetupCancel', 'onListOptions', 'onSetOption',
    'onOAuthComplete', 'onOAuthRevoked', 'onAuthComplete', 'onAuthRevoked',
  ];
  const describe = (id) => {
    try {
      return asJson({
        defined: Boolean(g.__skill) || g.tools !== undefined || HOOKS.some((name) => typeof g[name] === 'function'),
        hooks: HOOKS.filter((name) => hookOf(bundle(), name)),
        tools: toolsOf().filter(isTool).map((candidate) => ({
          name: text(candidate.name), description: text(candidate.description ?? ''),
          inputSchema: candidate.inputSchema ?? candidate.input_schema ?? {},
        })),
      });
    } catch (error) { return threw(id, error); }
  };
  const timer = (id) => { use('timers').fire(id); };
  const answer = (id, how, value) => { use('async').settle(id, how, value); };
  return { tool, finish: finished, threw, hook, describe, timer, answer };
})
