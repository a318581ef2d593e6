import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

// `npm run dev` shows the sources over the numbers of a running program: BOARD=http://127.0.0.1:9465 npm run dev
export default defineConfig({
  esbuild: { legalComments: 'none' },
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    // The page's policy allows no inline script, style or data URL.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  css: {
    preprocessorOptions: {
      scss: {
        quietDeps: true,
        loadPaths: [fileURLToPath(new URL('node_modules/govuk-frontend/dist', import.meta.url))],
      },
    },
  },
  server: { proxy: { '/api': process.env['BOARD'] ?? 'http://127.0.0.1:9465' } },
});
