import { act, render } from '@testing-library/react';
import userEvent from '@testing-library/user-event';

import { Root } from '../Root';
import { createSession } from '../core/session';
import { createStore } from '../state/store';
import type { MockTransport } from '../transport/mock';

/** Renders the whole window over a transport, as it is before the core has answered. */
export function renderStarting(transport: MockTransport) {
  document.title = 'OpenHuman';
  document.documentElement.lang = 'en';
  const store = createStore(transport);
  const session = createSession(store, transport);
  const view = render(<Root store={store} core={{ transport, session }} />);
  return { ...view, store, session, user: userEvent.setup() };
}

/** Renders the whole window and waits for the core's first answer. */
export async function renderWindow(transport: MockTransport) {
  const rendered = renderStarting(transport);
  await act(() => rendered.session.start());
  return rendered;
}
