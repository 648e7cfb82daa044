import js from '@eslint/js';
import jsxA11y from 'eslint-plugin-jsx-a11y';
import reactHooks from 'eslint-plugin-react-hooks';
import globals from 'globals';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'src-tauri'] },
  js.configs.recommended,
  {
    files: ['src/**/*.{ts,tsx}', 'preview/**/*.{ts,tsx}'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      globals: globals.browser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { 'react-hooks': reactHooks, 'jsx-a11y': jsxA11y },
    rules: {
      ...reactHooks.configs.recommended.rules,
      ...jsxA11y.flatConfigs.strict.rules,
      // A scrollable region must be reachable with the keyboard.
      'jsx-a11y/no-noninteractive-tabindex': ['error', { tags: ['pre'], roles: ['log', 'tabpanel', 'region'] }],
      '@typescript-eslint/consistent-type-imports': 'error',
      'no-restricted-globals': [
        'error',
        { name: 'localStorage', message: 'The window stores nothing: state lives in the core.' },
        { name: 'sessionStorage', message: 'The window stores nothing: state lives in the core.' },
        { name: 'indexedDB', message: 'The window stores nothing: state lives in the core.' },
        { name: 'fetch', message: 'The window makes no network call: use the transport.' },
      ],
    },
  },
  {
    files: ['e2e/**/*.mjs', '*.config.{js,ts}'],
    extends: [tseslint.configs.base],
    languageOptions: { globals: globals.node },
  },
);
