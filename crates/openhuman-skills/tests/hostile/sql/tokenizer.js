// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all("SELECT fts3_tokenizer('simple', x'0000000000000000')")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
