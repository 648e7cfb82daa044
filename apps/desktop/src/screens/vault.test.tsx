import { act, screen, waitFor } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import { violationsOf } from '../testing/axe';
import { RECOVERY_KEY, mockCore, snapshotWith } from '../testing/mockCore';
import { renderStarting, renderWindow } from '../testing/render';
import { MockTransport } from '../transport/mock';
import { CoreError } from '../transport/types';

const PASSPHRASE = 'correct horse battery';

describe('the window before the core answers', () => {
  it('shows a skeleton', async () => {
    renderStarting(mockCore());
    expect(screen.getByRole('status')).toHaveTextContent('OpenHuman is starting.');
    expect(await violationsOf()).toEqual([]);
  });

  it('says why the core did not start and tries again', async () => {
    let broken = true;
    const core = new MockTransport({
      calls: {
        'openhuman.app_state_snapshot': () => {
          if (broken) throw new Error('The data folder is in use.');
          return snapshotWith({ vault: 'locked' });
        },
      },
    });
    const { user } = await renderWindow(core);
    expect(screen.getByRole('alert')).toHaveTextContent('The data folder is in use.');
    expect(await violationsOf()).toEqual([]);
    broken = false;
    await user.click(screen.getByRole('button', { name: 'Try again' }));
    expect(await screen.findByRole('heading', { name: 'Unlock your vault' })).toBeVisible();
  });
});

describe('the first run', () => {
  const absent = () => mockCore({ snapshot: snapshotWith({ vault: 'absent' }) });

  it('explains the vault and that it cannot be reset', async () => {
    await renderWindow(absent());
    expect(screen.getByRole('heading', { name: 'Create your vault' })).toBeVisible();
    expect(screen.getByText('It cannot be reset.')).toBeVisible();
    expect(screen.getByLabelText('Passphrase')).toHaveFocus();
    expect(await violationsOf()).toEqual([]);
  });

  it('refuses a short passphrase and two that differ, without calling the core', async () => {
    const core = absent();
    const { user } = await renderWindow(core);
    await user.type(screen.getByLabelText('Passphrase'), 'short{Enter}');
    expect(screen.getByRole('alert')).toHaveTextContent('Use at least 8 characters.');
    await user.clear(screen.getByLabelText('Passphrase'));
    await user.type(screen.getByLabelText('Passphrase'), PASSPHRASE);
    await user.type(screen.getByLabelText('Repeat the passphrase'), 'something else{Enter}');
    expect(screen.getByRole('alert')).toHaveTextContent('The two passphrases are not the same.');
    expect(screen.getByLabelText('Repeat the passphrase')).toBeInvalid();
    expect(await violationsOf()).toEqual([]);
    expect(core.log.map(({ method }) => method)).not.toContain('openhuman.vault_create');
  });

  it('creates the vault, shows its recovery key once, and opens the chat', async () => {
    const core = absent();
    const { user, store } = await renderWindow(core);
    await user.type(screen.getByLabelText('Passphrase'), PASSPHRASE);
    await user.type(screen.getByLabelText('Repeat the passphrase'), `${PASSPHRASE}{Enter}`);
    expect(await screen.findByRole('heading', { name: 'Keep your recovery key' })).toBeVisible();
    const created = core.log.find(({ method }) => method === 'openhuman.vault_create');
    expect(created?.params).toEqual({ password: PASSPHRASE, recovery_key: true });
    // Everything else that happens to the core meanwhile does not take the key away.
    core.push({ type: 'skill.status' });
    await waitFor(() => expect(store.getState().app.snapshot?.vault).toBe('unlocked'));
    for (const group of RECOVERY_KEY.split('-')) expect(screen.getByText(group, { exact: false })).toBeVisible();
    expect(await violationsOf()).toEqual([]);

    await user.type(screen.getByLabelText('Type its last group to go on'), 'WRONG{Enter}');
    expect(screen.getByRole('alert')).toHaveTextContent('These are not the last 4 characters.');
    await user.clear(screen.getByLabelText('Type its last group to go on'));
    await user.type(screen.getByLabelText('Type its last group to go on'), 't7v8{Enter}');
    expect(await screen.findByLabelText('Message')).toHaveFocus();
    const state = JSON.stringify(store.getState());
    expect(state).not.toContain(PASSPHRASE);
    expect(state).not.toContain('T7V8');
    expect(document.body.textContent).not.toContain('T7V8');
  });

  it('creates the vault without a recovery key when none is wanted', async () => {
    const core = absent();
    const { user } = await renderWindow(core);
    await user.click(screen.getByLabelText(/Make a recovery key/));
    await user.type(screen.getByLabelText('Passphrase'), PASSPHRASE);
    await user.type(screen.getByLabelText('Repeat the passphrase'), `${PASSPHRASE}{Enter}`);
    expect(await screen.findByLabelText('Message')).toHaveFocus();
    expect(core.log.find(({ method }) => method === 'openhuman.vault_create')?.params.recovery_key).toBe(false);
  });

  it('says what to do when the disk is full, and stays on the form', async () => {
    const full = () => {
      throw new CoreError(-32000, 'there is no room left for /home/vault.ohv', 'disk_full');
    };
    const core = mockCore({ snapshot: snapshotWith({ vault: 'absent' }), calls: { 'openhuman.vault_create': full } });
    const { user } = await renderWindow(core);
    await user.type(screen.getByLabelText('Passphrase'), PASSPHRASE);
    await user.type(screen.getByLabelText('Repeat the passphrase'), `${PASSPHRASE}{Enter}`);
    expect(await screen.findByRole('alert')).toHaveTextContent('The disk is full');
    expect(screen.getByLabelText('Passphrase')).toHaveValue(PASSPHRASE);
    expect(await violationsOf()).toEqual([]);
  });
});

describe('unlocking', () => {
  it('says that the passphrase is wrong, then opens with the right one', async () => {
    const core = mockCore({ snapshot: snapshotWith({ vault: 'locked' }), passphrase: PASSPHRASE });
    const { user } = await renderWindow(core);
    expect(await violationsOf()).toEqual([]);
    const field = screen.getByLabelText('Passphrase');
    await user.type(field, 'a wrong one{Enter}');
    expect(await screen.findByRole('alert')).toHaveTextContent('This passphrase does not open the vault.');
    expect(field).toHaveFocus();
    expect(await violationsOf()).toEqual([]);
    await user.clear(field);
    await user.type(field, `${PASSPHRASE}{Enter}`);
    expect(await screen.findByLabelText('Message')).toBeVisible();
  });

  it('shows the passphrase on request', async () => {
    const { user } = await renderWindow(mockCore({ snapshot: snapshotWith({ vault: 'locked' }) }));
    const field = screen.getByLabelText('Passphrase');
    expect(field).toHaveAttribute('type', 'password');
    await user.click(screen.getByLabelText('Show the passphrase'));
    expect(field).toHaveAttribute('type', 'text');
  });
});

describe('unlocking after trouble', () => {
  const locked = (calls: Record<string, (params: Record<string, unknown>) => unknown>) =>
    mockCore({ snapshot: snapshotWith({ vault: 'locked' }), passphrase: PASSPHRASE, calls });

  it('counts down after too many wrong passphrases and lets the user try again', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    let waiting = true;
    const core = locked({
      'openhuman.vault_unlock': () => {
        if (!waiting) return snapshotWith();
        throw new CoreError(-32000, 'too many wrong passwords; try again in 4 s', 'too_many_attempts', {
          retryAfterMs: 4000,
        });
      },
    });
    const { user } = await renderWindow(core);
    await user.type(screen.getByLabelText('Passphrase'), `${PASSPHRASE}{Enter}`);
    const button = await screen.findByRole('button', { name: /Wait [34] s/ });
    expect(button).toBeDisabled();
    expect(screen.getByRole('status')).toHaveTextContent('Too many wrong passphrases came before.');
    expect(await violationsOf()).toEqual([]);
    act(() => {
      vi.advanceTimersByTime(4500);
    });
    waiting = false;
    await user.click(await screen.findByRole('button', { name: 'Unlock' }));
    expect(await screen.findByLabelText('Message')).toBeVisible();
    vi.useRealTimers();
  });

  it('offers to use an older copy of a database, and asks twice', async () => {
    let accepted: unknown;
    const core = locked({
      'openhuman.vault_unlock': () => {
        if (accepted) return snapshotWith();
        throw new CoreError(-32000, "the database 'memory' is not the one", 'rolled_back', { database: 'memory' });
      },
      'openhuman.vault_accept': (params) => {
        accepted = params;
        return { ok: true };
      },
    });
    const { user } = await renderWindow(core);
    await user.type(screen.getByLabelText('Passphrase'), `${PASSPHRASE}{Enter}`);
    expect(await screen.findByRole('alert')).toHaveTextContent('An older copy of “memory” was put back');
    expect(await violationsOf()).toEqual([]);
    await user.click(screen.getByRole('button', { name: 'Use this older copy' }));
    expect(accepted).toBeUndefined();
    await user.click(screen.getByRole('button', { name: /Yes, use it/ }));
    expect(await screen.findByLabelText('Message')).toBeVisible();
    expect(accepted).toEqual({ password: PASSPHRASE, database: 'memory' });
  });

  it.each([
    ['disk_full', 'The disk is full', undefined],
    ['read_only', 'The data folder cannot be written', undefined],
    ['page_corrupt', 'A part of “memory” is damaged', undefined],
    ['log_corrupt', 'The last changes of “memory” cannot be read', 'Give up the last changes'],
    ['notes_missing', 'The notes about your databases are gone', 'Accept all databases as they are'],
    ['busy', 'The data folder is in use', undefined],
  ])('says what %s means and what to do next', async (reason, title, wayOut) => {
    const core = locked({
      'openhuman.vault_unlock': () => {
        throw new CoreError(-32000, 'the exact words', reason, { database: 'memory' });
      },
    });
    const { user } = await renderWindow(core);
    await user.type(screen.getByLabelText('Passphrase'), `${PASSPHRASE}{Enter}`);
    const alert = await screen.findByRole('alert');
    expect(alert).toHaveTextContent(title);
    expect(alert).toHaveTextContent('the exact words');
    if (wayOut) expect(screen.getByRole('button', { name: wayOut })).toBeVisible();
    else expect(alert.querySelector('button')).toBeNull();
  });

  it('opens with the recovery key and sets a new passphrase', async () => {
    const core = locked({
      'openhuman.vault_recover': ({ recovery_key }) => {
        if (recovery_key !== RECOVERY_KEY) throw new CoreError(-32000, 'it does not fit', 'wrong_recovery_key');
        return snapshotWith();
      },
    });
    const { user, store } = await renderWindow(core);
    await user.click(screen.getByRole('button', { name: 'I lost the passphrase' }));
    expect(screen.getByRole('heading', { name: 'Open with the recovery key' })).toBeVisible();
    expect(await violationsOf()).toEqual([]);
    await user.type(screen.getByLabelText('Recovery key'), 'NOT-THIS-ONE');
    await user.type(screen.getByLabelText('New passphrase'), PASSPHRASE);
    await user.type(screen.getByLabelText('Repeat the new passphrase'), `${PASSPHRASE}{Enter}`);
    expect(await screen.findByRole('alert')).toHaveTextContent('it does not fit');
    expect(screen.getByLabelText('Recovery key')).toBeInvalid();
    await user.clear(screen.getByLabelText('Recovery key'));
    await user.type(screen.getByLabelText('Recovery key'), `${RECOVERY_KEY}{Enter}`);
    expect(await screen.findByLabelText('Message')).toBeVisible();
    expect(JSON.stringify(store.getState())).not.toContain(RECOVERY_KEY);
  });
});

it('counts down at once when wrong passphrases came before this start', async () => {
  const core = mockCore({
    snapshot: snapshotWith({ vault: 'locked' }),
    calls: { 'openhuman.vault_status': () => ({ exists: true, open: false, memory_locked: true, excluded_from_dumps: true, waiting_ms: 1_200 }) },
  });
  const { user, container } = await renderWindow(core);
  await waitFor(() => expect(container.querySelector('[data-wait]')).not.toBeNull());
  expect(screen.getByRole('button', { name: /Wait \d s/ })).toBeDisabled();
  expect(await violationsOf()).toEqual([]);
  expect(core.log.map(({ method }) => method)).not.toContain('openhuman.vault_unlock');
  await user.type(screen.getByLabelText('Passphrase'), 'correct horse battery');
  const unlock = await screen.findByRole('button', { name: 'Unlock' });
  await waitFor(() => expect(unlock).toBeEnabled());
  await user.click(unlock);
  expect(await screen.findByLabelText('Message')).toBeVisible();
});

describe('the vault while it is open', () => {
  it('changes the passphrase when the old one is right', async () => {
    const changed: unknown[] = [];
    const core = mockCore({
      calls: {
        'openhuman.vault_change_password': (params) => {
          if (params.password !== PASSPHRASE) throw new CoreError(-32000, 'wrong', 'wrong_password');
          changed.push(params);
          return { ok: true };
        },
      },
    });
    const { user } = await renderWindow(core);
    await user.click(screen.getByRole('button', { name: 'Vault' }));
    expect(await violationsOf()).toEqual([]);
    const current = screen.getByLabelText('Current passphrase');
    await user.type(current, 'not it');
    await user.type(screen.getByLabelText('New passphrase'), 'four unrelated words');
    await user.type(screen.getByLabelText('Repeat the new passphrase'), 'four unrelated words{Enter}');
    expect(await screen.findByRole('alert')).toHaveTextContent('This is not the passphrase of the vault.');
    await user.clear(current);
    await user.type(current, `${PASSPHRASE}{Enter}`);
    expect(await screen.findByText(/opens with the new passphrase/)).toBeVisible();
    expect(changed).toEqual([{ password: PASSPHRASE, new_password: 'four unrelated words' }]);
    expect(current).toHaveValue('');
  });

  it('makes a new recovery key and shows it once', async () => {
    const core = mockCore({
      calls: { 'openhuman.vault_create_recovery_key': () => ({ recovery_key: RECOVERY_KEY, replaced: true }) },
    });
    const { user } = await renderWindow(core);
    await user.click(screen.getByRole('button', { name: 'Vault' }));
    await user.type(screen.getByLabelText('Passphrase'), `${PASSPHRASE}{Enter}`);
    expect(await screen.findByText('The earlier recovery key opens nothing any more.')).toBeVisible();
    await user.type(screen.getByLabelText('Type its last group to go on'), 'T7V8{Enter}');
    expect(screen.getByText(/The new recovery key opens the vault/)).toBeVisible();
    expect(document.body.textContent).not.toContain('T7V8');
  });
});
