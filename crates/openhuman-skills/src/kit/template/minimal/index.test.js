// @ts-check

test('greets by name', () => {
  expect(sim.call('greet', { name: 'Ada' })).toEqual({ greeting: 'Hello, Ada!', count: 1 });
});

test('counts, also over a restart', () => {
  sim.call('greet', { name: 'Ada' });
  sim.restart();
  expect(sim.call('greet', { name: 'Grace' }).count).toBe(2);
  expect(sim.state.greetings).toBe(2);
});
