import { createRoot } from 'react-dom/client';
import { Root } from './Root';
import { createSession } from './core/session';
import { createStore } from './state/store';
import { TauriTransport, reportPainted } from './transport/tauri';
import './styles.css';

const container = document.getElementById('root');
if (!container) throw new Error('index.html has no element with the id "root"');

const transport = new TauriTransport();
const store = createStore(transport);
const session = createSession(store, transport);

// The skeleton is drawn first; the core is asked afterwards.
createRoot(container).render(<Root store={store} core={{ transport, session }} />);
reportPainted();
void session.start();
