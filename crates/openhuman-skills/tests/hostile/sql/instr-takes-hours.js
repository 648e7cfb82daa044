// expect: ok /^done 0/
const a = 'a'.repeat(4e6); return 'done ' + db.get('SELECT instr(?, ?) AS n', [a, 'a'.repeat(2e6) + 'b']).n;
