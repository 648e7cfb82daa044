// expect: ok /./ | throws /./
// after: any
JSON.stringify = () => 'not json {'; JSON.parse = () => ({ rows: 'x' });
state.set('a', { b: 1 }); return [db.all('SELECT 1 AS one'), state.get('a')];
