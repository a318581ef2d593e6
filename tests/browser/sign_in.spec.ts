import { readFile } from 'node:fs/promises';
import AxeBuilder from '@axe-core/playwright';
import { expect, test } from '@playwright/test';
import { needed } from './board';

const board = (): string => needed('SIGN_IN_BOARD');

test('nobody sees anything before signing in, and then what they came for', async ({ page }) => {
  await page.goto(`${board()}/?theme=light&tile=no_holder`);
  await expect(page).toHaveURL(/\/sign-in\?/);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

  await page.getByLabel('User name').fill(needed('SIGN_IN_USER'));
  await page.getByLabel('Password').fill('not this one');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toBeFocused();
  await expect(page).toHaveTitle(/^Error/);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

  await page.getByLabel('Password').fill(needed('SIGN_IN_PASSWORD'));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(/tile=no_holder/);
  await expect(page.locator('.top__user')).toContainText(needed('SIGN_IN_USER'));
  const cookies = await page.context().cookies();
  expect(cookies).toHaveLength(1);
  expect(cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Strict' });

  await page.goto(`${board()}/?team=NT000007`);
  await page.getByRole('link', { name: 'Worklist of this team' }).click();
  await expect(page).toHaveURL(/\/worklist\?.*team=NT000007/);
  await expect(page.getByText('Who looks at them, and when, is recorded')).toBeVisible();
  const rows = page.getByRole('table', { name: 'Worklist' }).locator('tbody tr');
  // The first of a user's looks at rows also finds out what all her rows are.
  test.setTimeout(180_000);
  await expect(rows.first()).toBeVisible({ timeout: 90_000 });
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  const [list] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: /CSV/ }).click(),
  ]);
  const lines = (await readFile(await list.path(), 'utf8')).trim().split('\r\n');
  expect(lines).toHaveLength((await rows.count()) + 1);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await page.goto(`${board()}/`);
  await expect(page).toHaveURL(/\/sign-in/);
});
