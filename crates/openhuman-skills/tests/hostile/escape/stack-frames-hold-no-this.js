// expect: ok /^0$/
const seen = []; Error.prepareStackTrace = (e, frames) => { for (const f of frames || []) { try { seen.push(f.getThis()); } catch (x) {} try { seen.push(f.getEvalOrigin()); } catch (x) {} } return 'replaced'; };
try { db.exec('not sql'); } catch (e) { String(e.stack); }
return String(seen.filter((x) => x && typeof x === 'object' && x !== globalThis).length);
