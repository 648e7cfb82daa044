// expect: ok /^done 0/
const a = 'a'.repeat(4e6); return 'done ' + db.get('SELECT length(trim(?, ?)) AS n', [a, 'b'.repeat(1e6) + 'a']).n;
