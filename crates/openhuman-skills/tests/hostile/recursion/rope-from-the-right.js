// expect: ok /^\d+$/ | throws /./ | timeout
// memory: 64
// limit: 3000
let s = 'abcdefghijklmnopqrstuvwxyz'.repeat(400); for (let i = 0; i < 300000; i++) s = 'some more text for a rope, to make it long' + s;
const o = {}; o[s] = 1; return String(s.indexOf('z') + Object.keys(o)[0].length);
