// expect: ok /./ | throws /./ | timeout
// after: any
const found = []; Error.prepareStackTrace = (e, frames) => { for (const f of frames || []) { try { const fn = f.getFunction(); if (typeof fn === 'function') found.push(fn); } catch (x) {} } return 'replaced'; };
try { db.exec('not sql'); } catch (e) { String(e.stack); }
for (const fn of found) for (const kind of ['tool', 'hook', 'timer', 'settle', 'describe', 'ok', 'threw', 0, {}]) for (let id = 0; id < 300; id++) { try { fn(kind, id, 'step', '{}'); } catch (e) {} }
return 'forged nothing';
