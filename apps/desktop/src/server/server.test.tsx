import { act, screen, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { violationsOf } from '../testing/axe';
import { CHALLENGE, LOGIN_LINK, type MockOptions, mockCore, snapshotWith } from '../testing/mockCore';
import { renderWindow } from '../testing/render';
import { CoreError } from '../transport/types';

/** The window with the screen of the server open. */
async function openServer(options: MockOptions = {}) {
  const core = mockCore(options);
  const rendered = await renderWindow(core);
  const places = screen.getByRole('navigation', { name: 'Places' });
  await rendered.user.click(within(places).getByRole('button', { name: 'Server' }));
  return { ...rendered, core };
}

const URL_FIELD = 'Server address';

describe('logging in with a link', () => {
  it('shows the code of this device and takes the link that answers it', async () => {
    const { user, core, store } = await openServer();
    const main = within(screen.getByRole('main'));
    await user.type(main.getByLabelText(URL_FIELD), 'nowhere{Enter}');
    expect(main.getByRole('alert')).toHaveTextContent('Type the server address');
    await user.clear(main.getByLabelText(URL_FIELD));
    await user.type(main.getByLabelText(URL_FIELD), 'https://server.example{Enter}');
    expect(await main.findByText(CHALLENGE)).toBeVisible();
    expect(core.log).toContainEqual({ method: 'openhuman.auth_login_start', params: { url: 'https://server.example' } });
    expect(main.getByText(/4:5\d|5:00/)).toBeVisible();
    expect(await violationsOf()).toEqual([]);

    const link = main.getByLabelText(/paste it here/);
    await user.type(link, 'openhuman://auth?token=oht1_other{Enter}');
    expect(await main.findByRole('alert')).toHaveTextContent('has not asked to log in');
    expect(link).toHaveValue('');
    await user.clear(link);
    await user.type(link, `${LOGIN_LINK}{Enter}`);
    expect(await main.findByRole('button', { name: 'Disconnect' })).toBeVisible();
    expect(main.queryByLabelText(URL_FIELD)).not.toBeInTheDocument();
    expect(JSON.stringify(store.getState())).not.toContain('oht1_');
  });

  it('can be cancelled, and ends the login in the core', async () => {
    const { user, core } = await openServer();
    const main = within(screen.getByRole('main'));
    await user.type(main.getByLabelText(URL_FIELD), 'https://server.example{Enter}');
    await user.click(await main.findByRole('button', { name: 'Cancel' }));
    expect(await main.findByLabelText(URL_FIELD)).toBeVisible();
    expect(core.log.map(({ method }) => method)).toContain('openhuman.auth_login_cancel');
  });

  it('says what became of a link that the system handed over', async () => {
    const { core, container, user } = await openServer();
    act(() => core.push({ type: 'link.opened', kind: 'login', ok: false, message: 'this device has not asked to log in' }));
    const told = container.querySelector('[data-opened-link=refused]');
    expect(told).toHaveTextContent('The link was not used: this device has not asked to log in');
    expect(await violationsOf()).toEqual([]);
    await user.click(within(told as HTMLElement).getByRole('button', { name: 'Close' }));
    expect(container.querySelector('[data-opened-link]')).toBeNull();
    act(() => core.push({ type: 'link.opened', kind: 'login', ok: true }));
    expect(container.querySelector('[data-opened-link=ok]')).toHaveTextContent('You are logged in.');
  });
});

describe('logging in with a token', () => {
  it('connects; the token does not enter the state', async () => {
    const { user, core, store } = await openServer();
    const main = within(screen.getByRole('main'));
    await user.click(main.getByRole('button', { name: 'With a login token' }));
    await user.type(main.getByLabelText(URL_FIELD), 'https://server.example{Enter}');
    expect(main.getByRole('alert')).toHaveTextContent('Type the login token');
    await user.type(main.getByLabelText('Login token'), 'oht1_secret{Enter}');
    expect(await main.findByRole('button', { name: 'Disconnect' })).toBeVisible();
    expect(core.log).toContainEqual({
      method: 'openhuman.socket_connect',
      params: { url: 'https://server.example', login_token: 'oht1_secret' },
    });
    expect(JSON.stringify(store.getState())).not.toContain('oht1_secret');
  });

  it('stays while it is under way, so that a refused login can be corrected', async () => {
    let refuse: (reason: Error) => void = () => undefined;
    const { user, core } = await openServer({
      calls: {
        'openhuman.socket_connect': () =>
          new Promise((_, reject) => {
            refuse = reject;
          }),
      },
    });
    const main = within(screen.getByRole('main'));
    await user.click(main.getByRole('button', { name: 'With a login token' }));
    const address = main.getByLabelText(URL_FIELD);
    await user.type(address, 'https://server.example');
    await user.type(main.getByLabelText('Login token'), 'oht1_used{Enter}');
    act(() => core.push({ type: 'socket.status', socket: { status: 'connecting' } }));
    await act(async () => {
      core.push({ type: 'socket.status', socket: { status: 'error', error: 'refused' } });
      refuse(new CoreError(-32000, 'The login token was used already.'));
      await Promise.resolve();
    });
    expect(await main.findByText('The login token was used already.')).toBeVisible();
    expect(address).toBeInTheDocument();
    expect(address).toHaveValue('https://server.example');
  });
});

describe('the connection', () => {
  const reconnecting = { status: 'reconnecting', backend: 'https://server.example', error: 'connection refused' } as const;

  it('shows the state, its reason, the countdown and the figures', async () => {
    const { container, core, user } = await openServer({
      snapshot: snapshotWith({ socket: { ...reconnecting, next_try_at_ms: Date.now() + 29_500 } }),
      calls: {
        'openhuman.socket_report': () => ({
          link: {
            backend: 'https://server.example', connections: 3, frames_received: 1200, bytes_received: 5_300_000,
            frames_sent: 7, bytes_sent: 900, pending_acks: 0, waiting: 0, lost_events: 4, lost_skill_events: 4,
            last_disconnect: 'ping timeout',
          },
        }),
      },
    });
    const state = container.querySelector('[data-link-state]');
    expect(state).toHaveAttribute('data-link-state', 'reconnecting');
    expect(state).toHaveTextContent(/Reconnecting in (29|30) s/);
    expect(container.querySelector('[data-link-reason]')).toHaveTextContent('connection refused');
    await user.click(await screen.findByText('What went over it'));
    expect(screen.getByText('ping timeout')).toBeVisible();
    expect(screen.getByText('1,200 frames, 5.1 MiB')).toBeVisible();
    expect(await violationsOf()).toEqual([]);
    await user.click(screen.getByRole('button', { name: 'Stop connecting' }));
    expect(core.log.map(({ method }) => method)).toContain('openhuman.socket_disconnect');
    expect(await screen.findByLabelText(URL_FIELD)).toBeVisible();
  });

  it('stays connected when the server reports an error, and says so', async () => {
    const { container, core } = await openServer();
    act(() =>
      core.push({ type: 'socket.status', socket: { status: 'connected', error: 'the model is overloaded', lost_events: 12 } }),
    );
    expect(container.querySelector('[data-link-state]')).toHaveAttribute('data-link-state', 'connected');
    expect(container.querySelector('[data-link-reason]')).toHaveTextContent('the model is overloaded');
    expect(screen.getByText(/12 messages of the server were dropped/)).toBeVisible();
  });

  it('connects again without a token where a login is kept, and logs out', async () => {
    let backends = ['https://server.example', 'https://other.example'];
    const { user, core, container } = await openServer({
      calls: {
        'openhuman.auth_sessions': () => ({ backends }),
        'openhuman.auth_logout': ({ url }) => {
          backends = backends.filter((known) => known !== url);
          return { was_logged_in: true };
        },
      },
    });
    await screen.findByText('https://other.example');
    const kept = () => container.querySelector('[data-session="https://server.example"]') as HTMLElement;
    await user.click(within(kept()).getByRole('button', { name: 'Connect' }));
    expect(core.log).toContainEqual({ method: 'openhuman.socket_connect', params: { url: 'https://server.example' } });
    expect(within(kept()).queryByRole('button', { name: 'Connect' })).not.toBeInTheDocument();
    expect(await violationsOf()).toEqual([]);
    const other = container.querySelector('[data-session="https://other.example"]') as HTMLElement;
    await user.click(within(other).getByRole('button', { name: 'Log out' }));
    await screen.findByText('https://server.example', { selector: 'li span' });
    expect(container.querySelectorAll('[data-session]')).toHaveLength(1);
  });
});
