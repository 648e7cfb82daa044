// @ts-check

const ITEMS = [
  { id: 'a', title: 'Stake in May', updated: 10 },
  { id: 'b', title: 'Buy bread', updated: 20 },
];

/** @param {any[]} items */
function prepare(items) {
  sim.secrets.set('api_token', 'api.example.com', 's3cret');
  sim.net.on('GET https://api.example.com/v1/items', { json: { items } }, { json: { items: [] } });
}

test('finds what was synced', () => {
  prepare(ITEMS);
  expect(sim.call('sync_now')).toEqual({ synced: 2 });
  expect(sim.call('search_items', { query: 'stake' })).toEqual({ items: [{ id: 'a', title: 'Stake in May' }] });
});

test('syncs every 15 minutes, asks for what is new, and says so once', () => {
  prepare(ITEMS);
  sim.clock.advance('30m');
  expect(sim.requests.map((request) => request.url)).toEqual([
    'https://api.example.com/v1/items?since=0',
    'https://api.example.com/v1/items?since=20',
  ]);
  expect(sim.notifications).toEqual([{ title: '@NAME@', body: '2 new items' }]);
  expect(sim.state.last_sync).toBe('2026-01-01T09:30:00.000Z');
});

test('the token goes out, and only there', () => {
  prepare([]);
  sim.call('sync_now');
  expect(sim.requests[0].headers.authorization).toBe('Bearer {{secret:api_token}}');
});

test('says what the service answers', () => {
  sim.secrets.set('api_token', 'api.example.com', 's3cret');
  sim.net.on('GET https://api.example.com/v1/items', { status: 503 });
  expect(() => sim.call('sync_now')).toThrow('the service answers 503');
});
