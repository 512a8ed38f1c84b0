import { defineConfig } from 'vite';

/** One page per group of people; each loads only what it needs. */
const pages = ['index', 'live', 'wallet', 'till', 'docs'];

export default defineConfig({
  appType: 'mpa',
  server: { proxy: { '/v1': 'http://127.0.0.1:8420' } },
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    // Swagger UI alone; nobody but the reader of /docs loads it.
    chunkSizeWarningLimit: 1_700,
    rolldownOptions: { input: Object.fromEntries(pages.map((page) => [page, `${page}.html`])) },
  },
});
