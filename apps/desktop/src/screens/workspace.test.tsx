import { act, screen, waitFor, within } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import { describeSocket, untilNextTry } from '../components/Connection';
import { formatMillis } from '../components/ToolCardView';
import { violationsOf } from '../testing/axe';
import { manualTurn, mockCore, playTurn, snapshotWith, sourceWith } from '../testing/mockCore';
import { renderWindow } from '../testing/render';

describe('the chat', () => {
  it('streams an answer with a tool card and its sources', async () => {
    const turn = manualTurn();
    const core = mockCore({ chat: turn.handler });
    const { user, container } = await renderWindow(core);
    await user.type(screen.getByLabelText('Message'), 'Draw a card{Enter}');

    expect(core.log.at(-1)).toMatchObject({ method: 'openhuman.chat_start', params: { message: 'Draw a card' } });
    expect(screen.getByLabelText('Message')).toHaveValue('');
    expect(screen.getByRole('log')).toHaveAttribute('aria-busy', 'true');

    act(() => {
      turn.emit({ type: 'recall', sources: [sourceWith()] });
      turn.emit({ type: 'tool.call', id: '1', name: 'oracle__draw', args: { deck: 'full' } });
    });
    const card = container.querySelector('[data-tool-card="oracle__draw"]');
    expect(card).toHaveAttribute('data-status', 'running');
    expect(screen.getByText('Using the tool draw')).toBeInTheDocument();
    expect(await violationsOf()).toEqual([]);

    act(() => {
      turn.emit({ type: 'tool.result', id: '1', name: 'oracle__draw', output: 'queen', success: true, millis: 1234 });
      turn.emit({ type: 'chat.delta', delta: 'You drew the **queen**.' });
      turn.emit({ type: 'chat.done', answer: 'You drew the **queen**.' });
    });
    await act(async () => {
      turn.end();
      await Promise.resolve();
    });
    expect(card).toHaveAttribute('data-status', 'succeeded');
    expect(card).toHaveTextContent('queen');
    expect(card).toHaveTextContent('1.2 s');
    expect(card).toHaveTextContent('"deck": "full"');
    expect(container.querySelector('[data-role=assistant] strong')).toHaveTextContent('queen');
    expect(screen.getByText('1 source from memory')).toBeVisible();
    expect(screen.getByText('The answer is complete')).toBeInTheDocument();
    for (const details of container.querySelectorAll('details')) details.open = true;
    expect(await violationsOf()).toEqual([]);
  });

  it('starts a new line with Shift+Enter and sends nothing empty', async () => {
    const core = mockCore();
    const { user } = await renderWindow(core);
    const input = screen.getByLabelText('Message');
    await user.type(input, '{Enter}  {Enter}');
    expect(screen.getByRole('button', { name: 'Send' })).toBeDisabled();
    await user.clear(input);
    await user.type(input, 'one{Shift>}{Enter}{/Shift}two');
    expect(input).toHaveValue('one\ntwo');
    expect(core.log.map(({ method }) => method)).not.toContain('openhuman.chat_start');
    await user.keyboard('{Enter}');
    expect(core.log).toContainEqual({
      method: 'openhuman.chat_start',
      params: { thread_id: expect.any(String) as string, message: 'one\ntwo' },
    });
  });

  it('stops an answer and keeps what was said', async () => {
    const turn = manualTurn();
    const core = mockCore({ chat: turn.handler });
    const { user, container } = await renderWindow(core);
    await user.type(screen.getByLabelText('Message'), 'Count{Enter}');
    act(() => {
      turn.emit({ type: 'chat.delta', delta: 'One, two' });
      turn.emit({ type: 'tool.call', id: '1', name: 'x__y', args: {} });
    });
    await user.click(screen.getByRole('button', { name: 'Stop' }));
    expect(core.log.at(-1)?.method).toBe('openhuman.chat_cancel');
    await act(async () => {
      turn.emit({ type: 'chat.error', message: 'cancelled', error_type: 'cancelled' });
      turn.end();
      await Promise.resolve();
    });
    expect(screen.getByText('You stopped this answer.')).toBeVisible();
    expect(screen.getByText('One, two')).toBeVisible();
    expect(container.querySelector('[data-tool-card]')).toHaveAttribute('data-status', 'stopped');
    expect(await violationsOf()).toEqual([]);
  });

  it('shows an error and sends the prompt again on request', async () => {
    let attempts = 0;
    const core = mockCore({
      chat: (params, emit) => {
        attempts += 1;
        const message = 'The model is not reachable.';
        return playTurn([
          attempts === 1
            ? { type: 'chat.error', message, error_type: 'provider' }
            : { type: 'chat.done', answer: 'Here I am.' },
        ])(params, emit);
      },
    });
    const { user } = await renderWindow(core);
    await user.type(screen.getByLabelText('Message'), 'Hello?{Enter}');
    expect(await screen.findByRole('alert')).toHaveTextContent('The model is not reachable.');
    expect(await violationsOf()).toEqual([]);
    await user.click(screen.getByRole('button', { name: 'Try again' }));
    expect(await screen.findByText('Here I am.')).toBeVisible();
    expect(screen.queryByRole('alert')).toBeNull();
    expect(within(screen.getByRole('log')).getAllByText('Hello?')).toHaveLength(1);
  });

  it('loads the counters of the memory again after a turn', async () => {
    const core = mockCore();
    const { user } = await renderWindow(core);
    await user.type(screen.getByLabelText('Message'), 'Remember this{Enter}');
    await screen.findByText('No chat is scripted.');
    await waitFor(() => expect(core.log.at(-1)?.method).toBe('openhuman.app_state_snapshot'));
  });

  it('keeps a failed prompt while another answer runs', async () => {
    const turn = manualTurn();
    let attempts = 0;
    const core = mockCore({
      chat: (params, emit) => {
        attempts += 1;
        if (attempts > 1) return turn.handler(params, emit);
        return playTurn([{ type: 'chat.error', message: 'No.', error_type: 'network' }])(params, emit);
      },
    });
    const { user } = await renderWindow(core);
    await user.type(screen.getByLabelText('Message'), 'First{Enter}');
    await screen.findByRole('alert');
    await user.type(screen.getByLabelText('Message'), 'Second{Enter}');
    await user.click(screen.getByRole('button', { name: 'Try again' }));
    expect(attempts).toBe(2);
    expect(within(screen.getByRole('log')).getByText('First')).toBeVisible();
  });

  it('treats the answer as untrusted text', async () => {
    const answer = '<img src=x onerror="alert(1)"> ![cat](https://tracker.example/cat.png) [site](https://site.example)';
    const { user, container } = await renderWindow(mockCore({ chat: playTurn([{ type: 'chat.done', answer }]) }));
    await user.type(screen.getByLabelText('Message'), 'Hi{Enter}');
    expect(await screen.findByText('[image: cat]')).toBeVisible();
    const body = container.querySelector('[data-role=assistant]');
    expect(body?.querySelector('img, script, a, iframe')).toBeNull();
    expect(screen.getByTitle('Copy https://site.example')).toBeVisible();
  });

  it('keeps conversations apart', async () => {
    const { user } = await renderWindow(mockCore({ chat: playTurn([{ type: 'chat.done', answer: 'Noted.' }]) }));
    await user.type(screen.getByLabelText('Message'), 'First{Enter}');
    await screen.findByText('Noted.');
    await user.click(screen.getByRole('button', { name: 'New chat' }));
    expect(screen.getByText('What is on your mind?')).toBeVisible();
    await user.click(within(screen.getByRole('navigation', { name: 'Chats' })).getByText('First'));
    expect(screen.getByText('Noted.')).toBeVisible();
  });
});

describe('the side panel', () => {
  it('shows skills with status and tools, the model and the memory', async () => {
    await renderWindow(mockCore());
    const skills = screen.getByRole('region', { name: /Skills/ });
    expect(within(skills).getByText('Prices')).toBeVisible();
    expect(within(skills).getByRole('list', { name: 'Tools of Prices' })).toHaveTextContent('get_pricelist_assets');
    expect(screen.getByRole('region', { name: 'Model' })).toHaveTextContent('gpt-4.1-mini');
    expect(screen.getByRole('region', { name: 'Memory' })).toHaveTextContent('12');
    expect(await violationsOf()).toEqual([]);
  });

  it('says which skill waits for its account, and keeps what skills publish out of the state', async () => {
    const [prices] = snapshotWith().skills;
    if (!prices) throw new Error('the mock core has no skill');
    const waiting = { ...prices, connection_status: 'setup_required', state: { token: 'skill-private' } };
    const { store } = await renderWindow(mockCore({ snapshot: snapshotWith({ skills: [waiting] }) }));
    expect(screen.getByRole('region', { name: /Skills/ })).toHaveTextContent('setup required');
    expect(JSON.stringify(store.getState())).not.toContain('skill-private');
  });

  it('says that no model is connected and how to connect one', async () => {
    await renderWindow(mockCore({ snapshot: snapshotWith({ model: { name: 'extractive', configured: false } }) }));
    const model = screen.getByRole('region', { name: 'Model' });
    expect(model).toHaveTextContent('Extractive: no model connected');
    expect(model).toHaveTextContent('OPENAI_API_KEY');
  });

  it('adds a note to memory', async () => {
    const core = mockCore();
    const { user } = await renderWindow(core);
    const memory = screen.getByRole('region', { name: 'Memory' });
    await user.click(within(memory).getByText('Add a note'));
    await user.click(within(memory).getByRole('button', { name: 'Save the note' }));
    expect(within(memory).getByRole('alert')).toHaveTextContent('A note needs a title and a text.');
    await user.type(within(memory).getByLabelText('Title'), 'Tea');
    await user.type(within(memory).getByLabelText('Text'), 'Four minutes.');
    await user.click(within(memory).getByRole('button', { name: 'Save the note' }));
    expect(await within(memory).findByRole('status')).toHaveTextContent('“Tea” is in memory.');
    expect(memory).toHaveTextContent('13');
  });
});

describe('the header', () => {
  it('follows the connection and announces it', async () => {
    const core = mockCore();
    const { container } = await renderWindow(core);
    const pill = container.querySelector('[data-connection]');
    expect(pill).toHaveTextContent('Server connection: Disconnected');
    act(() => core.push({ type: 'socket.status', socket: { status: 'reconnecting', error: 'refused', next_try_ms: 30_000 } }));
    expect(pill).toHaveAttribute('data-connection', 'reconnecting');
    expect(pill).toHaveTextContent('Reconnecting in 30 s');
    expect(within(pill as HTMLElement).getByRole('status')).toHaveTextContent('Server connection: Reconnecting, refused');
    act(() => core.push({ type: 'socket.status', socket: { status: 'connected', socket_id: 'abc' } }));
    expect(pill).toHaveTextContent('Connected');
    expect(await violationsOf()).toEqual([]);
  });

  it('counts down to the next try', () => {
    const socket = { status: 'reconnecting', error: 'refused', next_try_ms: 4200 } as const;
    const left = (now: number) => describeSocket(socket, untilNextTry(socket, 1_000, now)).label;
    expect([1_000, 4_300, 9_000].map(left)).toEqual(['Reconnecting in 5 s', 'Reconnecting in 1 s', 'Reconnecting']);
    // A state that was asked for late still knows when the attempt is due.
    expect(untilNextTry({ ...socket, next_try_at_ms: 5_200 }, 4_000, 4_500)).toBe(700);
    expect(describeSocket({ status: 'error' }, 0).detail).toBe('The server gave no reason.');
  });

  it('opens the side panel with the keyboard on a narrow window', async () => {
    const { user } = await renderWindow(mockCore());
    const toggle = screen.getByRole('button', { name: 'Side panel' });
    expect(toggle).toHaveAttribute('aria-expanded', 'false');
    toggle.focus();
    await user.keyboard('{Enter}');
    expect(toggle).toHaveAttribute('aria-expanded', 'true');
  });

  it('writes nothing to the web storage', async () => {
    const write = vi.spyOn(Storage.prototype, 'setItem');
    const { user } = await renderWindow(mockCore());
    await user.type(screen.getByLabelText('Message'), 'Hello{Enter}');
    await screen.findByText('No chat is scripted.');
    expect(write).not.toHaveBeenCalled();
  });
});

it('formats durations', () => {
  expect([0.4, 12, 999, 1000, 61_240].map(formatMillis)).toEqual(['0 ms', '12 ms', '999 ms', '1.0 s', '61.2 s']);
});
