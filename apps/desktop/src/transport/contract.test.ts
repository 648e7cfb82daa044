import { clearMocks, mockIPC } from '@tauri-apps/api/mocks';
import { afterEach, describe, expect, it } from 'vitest';
import { MockTransport } from './mock';
import { TauriTransport } from './tauri';
import { type CoreEvent, CoreError, type Transport } from './types';

/** A transport to a core with `echo`, `refuse`, the stream `count`, and events that the test pushes. */
interface Fixture {
  transport: Transport;
  push: (event: CoreEvent) => void;
}

const REFUSAL = { code: -32000, message: 'The password is wrong.', data: { kind: 'wrong_password' } };

function mockFixture(): Fixture {
  const transport = new MockTransport({
    calls: {
      echo: (params) => params,
      refuse: () => {
        throw new CoreError(REFUSAL.code, REFUSAL.message, REFUSAL.data.kind);
      },
    },
    streams: {
      count: async (params, emit) => {
        for (let n = 1; n <= Number(params.to); n += 1) {
          await Promise.resolve();
          emit({ type: 'n', n });
        }
      },
    },
  });
  return { transport, push: (event) => transport.push(event) };
}

/** The shell's side of the IPC: commands, and channels that deliver their frames late. */
function tauriFixture(): Fixture {
  let subscriber: ((frame: unknown) => void) | undefined;
  mockIPC((command, payload) => {
    const { method, params, onEvent } = payload as {
      method: string;
      params: Record<string, unknown>;
      onEvent: { id: number };
    };
    const send = onEvent && channelSender(onEvent.id);
    if (command === 'core_subscribe') {
      subscriber = send;
      return null;
    }
    if (command === 'core_rpc' && method === 'echo') return params;
    if (command === 'core_stream' && method === 'count') {
      // The command answers before its events are delivered, as it happens in a real window.
      setTimeout(() => {
        for (let n = 1; n <= Number(params.to); n += 1) send({ frame: 'event', event: { type: 'n', n } });
        send({ frame: 'end' });
      }, 0);
      return null;
    }
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- this is what Tauri's IPC rejects with
    throw method === 'refuse' ? REFUSAL : { code: -32601, message: `There is no method ${method}.` };
  });
  return { transport: new TauriTransport(), push: (event) => subscriber?.({ frame: 'event', event }) };
}

function channelSender(id: number): (message: unknown) => void {
  let index = 0;
  const internals = (window as unknown as { __TAURI_INTERNALS__: { runCallback: (id: number, data: unknown) => void } })
    .__TAURI_INTERNALS__;
  return (message) => internals.runCallback(id, { index: index++, message });
}

afterEach(clearMocks);

describe.each([
  ['MockTransport', mockFixture],
  ['TauriTransport', tauriFixture],
])('%s keeps the transport contract', (_name, fixture) => {
  it('answers a call', async () => {
    const { transport } = fixture();
    await expect(transport.call('echo', { a: 1 })).resolves.toEqual({ a: 1 });
  });

  it('rejects with the reason of the core', async () => {
    const { transport } = fixture();
    const error = await transport.call('refuse').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CoreError);
    expect(error).toMatchObject({ code: -32000, message: 'The password is wrong.', reason: 'wrong_password' });
  });

  it('names a method that does not exist', async () => {
    const { transport } = fixture();
    await expect(transport.call('nothing')).rejects.toThrow('There is no method nothing.');
    await expect(transport.stream('nothing', {}, () => undefined)).rejects.toThrow('There is no method nothing.');
  });

  it('has delivered every event of a stream, in order, when the stream resolves', async () => {
    const { transport } = fixture();
    const seen: unknown[] = [];
    await transport.stream('count', { to: 5 }, (event) => seen.push(event.n));
    expect(seen).toEqual([1, 2, 3, 4, 5]);
  });

  it('hands over events until the subscription ends', async () => {
    const { transport, push } = fixture();
    const seen: string[] = [];
    const stop = await transport.subscribe((event) => seen.push(event.type));
    push({ type: 'socket.status' });
    stop();
    push({ type: 'skill.status' });
    expect(seen).toEqual(['socket.status']);
  });
});
