// expect: ok /^\d+$/ | throws /./ | timeout
// memory: 64
// limit: 3000
let s = 'abcdefghijklmnopqrstuvwxyz'.repeat(400); for (let i = 0; i < 300000; i++) s = s + 'some more text for a rope, to make it long';
return String(s.charCodeAt(9) + JSON.stringify({ s }).length + new TextEncoder().encode(s).length);
