// expect: ok /^(done|throws)/
// memory: 32
const out = [];
const a = new Uint8Array(16);
for (const [key, value] of [['length', 2 ** 40], ['byteLength', 2 ** 40], ['byteOffset', -8], ['buffer', {}]]) { try { Object.defineProperty(a, key, { value }); } catch (e) { out.push(e.name); } }
for (const f of [() => new TextDecoder().decode(a), () => crypto.getRandomValues(a), () => new Blob([a]).size, () => structuredClone(a), () => Array.from(a).length]) { try { out.push(typeof f()); } catch (e) { out.push(e.name); } }
class B extends ArrayBuffer { get byteLength() { return 2 ** 40; } }
try { out.push(new TextDecoder().decode(new B(8)).length); } catch (e) { out.push(e.name); }
return `done ${out}`;
