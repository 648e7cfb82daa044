import type { DocumentInfo, Found, Item } from '../core/memory';
import type { CallHandler } from '../transport/mock';

/** A passage that was found; `over` replaces parts of it. */
export function foundWith(over: Partial<Found['hit']> = {}, related = true): Found {
  return {
    related,
    hit: {
      document_id: 'd1', chunk_id: 1, namespace: 'default', key: 'staking.md', title: 'Staking plan', source: 'notes/staking.md',
      heading: ['Plan', 'Operators'], text: 'Stake a third of the ETH with two independent operators, and review the yield every quarter.',
      created_ms: Date.UTC(2026, 9, 2), score: 0.91, signals: { vector: 0.62, text: 4.1, matched_terms: 2 }, ...over,
    },
  };
}

export function documentWith(over: Partial<DocumentInfo> = {}): DocumentInfo {
  return {
    id: 'd1', namespace: 'default', key: 'staking.md', title: 'Staking plan', source: 'notes/staking.md',
    updated_ms: Date.UTC(2026, 9, 2), bytes: 2048, chunks: 3, ...over,
  };
}

export function itemWith(over: Partial<Item> = {}): Item {
  return {
    id: 1, origin: 'user', kind: 'preference', text: 'Answers in metric units', confidence: 1, evidence: 1, pinned: false,
    last_ms: Date.UTC(2026, 9, 2), ...over,
  };
}

/** The methods behind the memory of a mock core, over lists that they change. */
export function mockMemory(state: { found?: Found[]; documents?: DocumentInfo[]; items?: Item[] }): Record<string, CallHandler> {
  let documents = state.documents ?? [];
  let items = state.items ?? [];
  return {
    'openhuman.memory_context': () => ({ text: '', tokens: 0, passages: [], found: state.found ?? [] }),
    'openhuman.memory_list_documents': () => ({ count: documents.length, documents }),
    'openhuman.memory_delete_document': ({ document_id }) => {
      documents = documents.filter(({ id }) => id !== document_id);
      return { deleted: true };
    },
    'openhuman.memory_forget': () => ({
      documents_removed: 1, documents_changed: 2, sessions_removed: 0, session_lines: 3, facts: 0, entities: 0, originals: 0,
      working_items: 0, backups: ['/home/ana/backup/memory.db'], left: [],
    }),
    'openhuman.memory_profile_list': () => ({ items }),
    'openhuman.memory_profile_remember': ({ kind, text }) => {
      items = [...items, itemWith({ id: items.length + 10, kind: kind as Item['kind'], text: String(text) })];
      return {};
    },
    'openhuman.memory_profile_pin': ({ id, pinned }) => {
      items = items.map((item) => (item.id === id ? { ...item, pinned: pinned === true } : item));
      return { changed: true };
    },
    'openhuman.memory_profile_close': ({ id }) => {
      items = items.filter((item) => item.id !== id);
      return { changed: true };
    },
  };
}
