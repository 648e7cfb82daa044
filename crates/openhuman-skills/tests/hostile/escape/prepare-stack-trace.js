// expect: ok /^none$/
const seen = []; Error.prepareStackTrace = (e, frames) => { for (const f of frames || []) { try { seen.push(typeof f.getFunction === 'function' ? f.getFunction() : null, typeof f.getThis === 'function' ? f.getThis() : null); } catch (x) {} } return 'replaced'; };
try { db.exec('not sql'); } catch (e) { String(e.stack); }
return seen.filter((x) => typeof x === 'function' && /host|dispatch/.test(x.name)).length ? 'frames' : 'none';
