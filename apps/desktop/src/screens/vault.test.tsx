import { screen } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { violationsOf } from '../testing/axe';
import { mockCore, snapshotWith } from '../testing/mockCore';
import { renderStarting, renderWindow } from '../testing/render';
import { MockTransport } from '../transport/mock';

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

  it('creates the vault and opens the chat; the passphrase does not enter the state', async () => {
    const core = absent();
    const { user, store } = await renderWindow(core);
    await user.type(screen.getByLabelText('Passphrase'), PASSPHRASE);
    await user.type(screen.getByLabelText('Repeat the passphrase'), `${PASSPHRASE}{Enter}`);
    expect(await screen.findByLabelText('Message')).toHaveFocus();
    expect(core.log.at(-1)).toEqual({ method: 'openhuman.vault_create', params: { password: PASSPHRASE } });
    expect(JSON.stringify(store.getState())).not.toContain(PASSPHRASE);
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
