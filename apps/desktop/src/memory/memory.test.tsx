import { screen, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { violationsOf } from '../testing/axe';
import { mockCore } from '../testing/mockCore';
import { documentWith, foundWith, itemWith, mockMemory } from '../testing/mockMemory';
import { renderWindow } from '../testing/render';
import { whyFound } from './Search';

async function openMemory(state: Parameters<typeof mockMemory>[0], tab?: string) {
  const core = mockCore({ calls: mockMemory(state) });
  const rendered = await renderWindow(core);
  await rendered.user.click(within(screen.getByRole('navigation', { name: 'Places' })).getByRole('button', { name: 'Memory' }));
  if (tab) await rendered.user.click(within(screen.getByRole('navigation', { name: 'Memory' })).getByRole('button', { name: tab }));
  return { ...rendered, core, main: within(screen.getByRole('main')) };
}

describe('the memory', () => {
  it('finds passages and says why', async () => {
    const far = foundWith({ chunk_id: 2, title: 'Tea', source: '', signals: { vector: 0.1, text: 0, matched_terms: 0 } }, false);
    const { user, core, main, container } = await openMemory({ found: [foundWith(), far] });
    await user.type(main.getByRole('searchbox', { name: 'What to look for' }), 'staking operators{Enter}');
    expect(await main.findByRole('heading', { name: 'Staking plan' })).toBeVisible();
    expect(core.log).toContainEqual({ method: 'openhuman.memory_context', params: { query: 'staking operators', explain: true } });
    const reasons = [...container.querySelectorAll('[data-why]')].map((reason) => reason.textContent);
    expect(reasons).toEqual([
      'Its meaning is very near (0.62), and 2 of your words occur.',
      'Its meaning is far (0.10), and none of your words occurs. An answer would leave it out.',
    ]);
    expect(whyFound({ vector: 0.3, text: 1, matched_terms: 1 }, true)).toContain('near (0.30), and one of your words occurs.');
    expect(await violationsOf()).toEqual([]);
  });

  it('lists documents, the newest first, and forgets one after a second question', async () => {
    const newer = documentWith({ id: 'd2', key: 'tea.md', title: 'Tea', updated_ms: Date.UTC(2026, 10, 2), chunks: 1 });
    const { user, core, main, container } = await openMemory({ documents: [documentWith(), newer] }, 'Documents');
    await main.findByText('Tea');
    const keys = [...container.querySelectorAll<HTMLElement>('[data-document]')].map(({ dataset }) => dataset.document);
    expect(keys).toEqual(['tea.md', 'staking.md']);
    await user.click(main.getByRole('button', { name: 'Forget Tea' }));
    expect(core.log.map(({ method }) => method)).not.toContain('openhuman.memory_delete_document');
    expect(await violationsOf()).toEqual([]);
    await user.click(main.getByRole('button', { name: 'Forget it for good' }));
    expect(core.log).toContainEqual({
      method: 'openhuman.memory_delete_document',
      params: { namespace: 'default', document_id: 'd2' },
    });
    await main.findByText('Staking plan');
    expect(container.querySelectorAll('[data-document]')).toHaveLength(1);
  });

  it('adds to what is at hand, pins it, and ends it', async () => {
    const { user, core, main, container } = await openMemory({ items: [itemWith({ origin: 'calendar', text: 'Meets on Mondays' })] }, 'At hand');
    expect(await main.findByText('From calendar')).toBeVisible();
    await user.selectOptions(main.getByLabelText('What it is'), 'goal');
    await user.type(main.getByLabelText('What to have at hand'), 'Ship in spring{Enter}');
    expect(await main.findByRole('heading', { name: 'Goals' })).toBeVisible();
    expect(core.log).toContainEqual({ method: 'openhuman.memory_profile_remember', params: { kind: 'goal', text: 'Ship in spring' } });
    await user.click(main.getByRole('button', { name: 'Pin Ship in spring' }));
    expect(await main.findByRole('button', { name: 'Unpin Ship in spring' })).toBeVisible();
    expect(await violationsOf()).toEqual([]);
    await user.click(main.getByRole('button', { name: 'Meets on Mondays is not so any more' }));
    await main.findByText('Ship in spring');
    expect(container.querySelectorAll('[data-item]')).toHaveLength(1);
  });

  it('forgets everywhere after a second question, and names copies that still hold it', async () => {
    const { user, core, main, container } = await openMemory({}, 'Forget');
    await user.type(main.getByLabelText('Its name or words'), 'Mallory');
    await user.selectOptions(main.getByLabelText('What to forget'), 'person');
    await user.click(main.getByRole('button', { name: 'Forget…' }));
    expect(core.log.map(({ method }) => method)).not.toContain('openhuman.memory_forget');
    await user.click(main.getByRole('button', { name: 'Yes, forget it' }));
    expect(core.log).toContainEqual({ method: 'openhuman.memory_forget', params: { person: 'Mallory' } });
    const told = await main.findByText(/Forgotten: 1 documents removed, 2 documents changed, 3 places in chats/);
    expect(told).toHaveTextContent('A search of everything finds it nowhere.');
    expect(container.querySelector('[data-forgotten]')).toHaveTextContent('/home/ana/backup/memory.db');
    expect(await violationsOf()).toEqual([]);
  });
});
