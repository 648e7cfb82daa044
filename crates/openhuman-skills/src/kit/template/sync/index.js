// @ts-check

const API = 'https://api.example.com/v1';

/**
 * The value of `{{secret:api_token}}` is put in on the way out; the skill never sees it.
 * @param {string} path
 */
function get(path) {
  const response = net.fetch(API + path, { headers: { authorization: 'Bearer {{secret:api_token}}' } });
  if (!response.ok) throw new Error(`the service answers ${response.status} ${response.statusText}`);
  return JSON.parse(response.body);
}

/** Copies what is new into the database; returns how many items that were. */
function sync() {
  const newest = db.get('SELECT max(updated) AS at FROM items')?.at ?? 0;
  const { items } = get(`/items?since=${newest}`);
  for (const item of items) {
    db.exec(
      `INSERT INTO items (id, title, updated) VALUES (?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET title = excluded.title, updated = excluded.updated`,
      [item.id, item.title, item.updated],
    );
  }
  state.setPartial({ connection_status: 'connected', last_sync: new Date().toISOString() });
  return items.length;
}

/** @type {Skill} */
const skill = {
  init() {
    db.exec('CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, title TEXT NOT NULL, updated INTEGER NOT NULL)');
  },

  start() {
    cron.register('sync', '0 */15 * * * *');
  },

  onCronTrigger() {
    const count = sync();
    console.info(`synced ${count} items`);
    if (count > 0) platform.notify('@NAME@', `${count} new items`);
  },

  tools: [
    {
      name: 'search_items',
      description: 'Finds items by a part of their title. Use it when the user asks about their items.',
      inputSchema: {
        type: 'object',
        properties: {
          query: { type: 'string', description: 'A part of the title' },
          limit: { type: 'integer', description: 'At most so many, 20 if left out' },
        },
        required: ['query'],
      },
      /** @param {{ query: string, limit?: number }} args */
      execute({ query, limit = 20 }) {
        const items = db.all('SELECT id, title FROM items WHERE instr(lower(title), lower(?)) ORDER BY updated DESC LIMIT ?', [query, limit]);
        return { items };
      },
    },
    {
      name: 'sync_now',
      description: 'Fetches new items at once instead of every 15 minutes.',
      execute() {
        return { synced: sync() };
      },
    },
  ],
};

globalThis.__skill = { default: skill };
