// Evaluates one snippet and describes what came of it as JSON: the same code runs in node and in a skill.
(function () {
  'use strict';
  const describe = (value, depth = 0) => {
    if (value === undefined) return { $: 'undefined' };
    if (typeof value === 'bigint') return { $: 'bigint', value: String(value) };
    if (typeof value === 'symbol') return { $: 'symbol', value: String(value) };
    if (typeof value === 'function') return { $: 'function', name: value.name };
    if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) return { $: 'number', value: Object.is(value, -0) ? '-0' : String(value) };
    if (typeof value === 'string') return value.isWellFormed?.() === false || /[\ud800-\udfff]/.test(value) ? { $: 'units', value: Array.from({ length: value.length }, (_, at) => value.charCodeAt(at)) } : value;
    if (typeof value !== 'object' || value === null) return value;
    if (depth > 8) return { $: 'deep' };
    const inner = (each) => describe(each, depth + 1);
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    if (tag === 'DOMException') return { $: tag, name: value.name, code: value.code };
    if (tag === 'Error' || value instanceof Error) return { $: 'Error', name: value.name };
    if (tag === 'Date') return { $: tag, value: Number.isNaN(value.getTime()) ? 'NaN' : value.toISOString() };
    if (tag === 'RegExp') return { $: tag, value: String(value), lastIndex: value.lastIndex };
    if (tag === 'Map') return { $: tag, value: [...value].map(inner) };
    if (tag === 'Set') return { $: tag, value: [...value].map(inner) };
    if (tag === 'ArrayBuffer') return { $: tag, value: [...new Uint8Array(value)] };
    if (ArrayBuffer.isView(value)) return { $: tag, value: tag === 'DataView' ? [value.byteOffset, value.byteLength] : [...value].map(inner) };
    if (['Number', 'String', 'Boolean', 'BigInt'].includes(tag)) return { $: tag, value: inner(value.valueOf()) };
    if (Array.isArray(value)) return Array.from({ length: value.length }, (_, at) => (at in value ? inner(value[at]) : { $: 'hole' }));
    const object = Object.fromEntries(Object.keys(value).map((key) => [key, inner(value[key])]));
    return tag === 'Object' ? object : { $: tag, ...object };
  };
  const describeError = (error) => ({ error: error instanceof Error || Object.prototype.toString.call(error) === '[object DOMException]' ? error.name : { thrown: describe(error) } });
  return async (snippet) => {
    let late;
    const limit = new Promise((resolve) => { late = setTimeout(() => resolve({ error: 'it did not end' }), 5000); });
    const run = (async () => {
      try { return { value: describe(await (0, eval)(snippet)) }; } catch (error) { return describeError(error); }
    })();
    const answer = await Promise.race([run, limit]);
    clearTimeout(late);
    return JSON.stringify(answer);
  };
})()
