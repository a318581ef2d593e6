// The pictures of the README: tests/browser/screenshots runs this over a demo.
import { expect, test } from '@playwright/test';
import { HEADLINE, aTeam, needed, open } from './board';

const FOLDER = new URL('../../deploy/screenshots/', import.meta.url).pathname;

test.use({ deviceScaleFactor: 1 });

test('the whole board, live', async ({ page }) => {
  await open(page, '/');
  await page.waitForTimeout(1500);
  // Down to whether the work can be carried; the tables below are long.
  const clip = { x: 0, y: 0, width: 1440, height: 1640 };
  await page.screenshot({ path: `${FOLDER}board.png`, fullPage: true, clip });
});

test('a team, in dark', async ({ page }) => {
  await open(page, '/');
  const { address } = await aTeam(page);
  await open(page, `${address}&theme=dark`);
  await page.screenshot({ path: `${FOLDER}team-dark.png` });
});

test('a past day, as known then', async ({ page }) => {
  await open(page, '/?as_of=2018-10-17');
  await page.screenshot({ path: `${FOLDER}past-day.png` });
});

test('one number', async ({ page }) => {
  await open(page, `/?tile=${HEADLINE}&as_of=2018-10-17`);
  await page.screenshot({ path: `${FOLDER}number.png` });
});

test('a phone', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, '/');
  await page.screenshot({ path: `${FOLDER}phone.png` });
});

test('a board that is not up to date', async ({ page }) => {
  await open(page, '/');
  const server = Number(needed('BOARD_PID'));
  process.kill(server, 'SIGSTOP');
  try {
    await expect(page.locator('[data-fresh="late"]')).toBeVisible({ timeout: 30_000 });
    await page.screenshot({ path: `${FOLDER}stale.png` });
  } finally {
    process.kill(server, 'SIGCONT');
  }
});
