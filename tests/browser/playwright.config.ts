// The browser is Debian's (tests/servers/chromium); Playwright downloads none.
//   BOARD              where the board of a running demo is, past 5 February 2018
//   BOARD_PID          the process that serves it, to be stopped and continued
//   SIGN_IN_BOARD      where a board is that has users; SIGN_IN_USER and SIGN_IN_PASSWORD are one who sees rows
import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: '.',
  outputDir: process.env['RESULTS'] ?? 'results',
  timeout: 120_000,
  expect: { timeout: 15_000 },
  // The tests share one board, and one of them stops it.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  reporter: 'list',
  use: {
    baseURL: process.env['BOARD'] ?? 'http://127.0.0.1:9465',
    locale: 'en-GB',
    timezoneId: 'America/New_York',
    viewport: { width: 1440, height: 900 },
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      // Chromium's own sandbox does not run as root, as in a container.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
  },
  projects: [
    { name: 'board', testMatch: /.*\.spec\.ts/ },
    { name: 'screenshots', testMatch: 'screenshots.ts' },
  ],
});
