import '@testing-library/jest-dom/vitest';
import { cleanup, configure } from '@testing-library/react';
import { afterEach } from 'vitest';

// Patience for a busy machine.
configure({ asyncUtilTimeout: 20_000 });

afterEach(cleanup);
