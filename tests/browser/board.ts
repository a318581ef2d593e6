// What the tests share: the board as a person finds it.

import { type Page, expect } from '@playwright/test';

/** The first headline, which the scenario's published figures are about. */
export const HEADLINE = 'no_holder';
/** A day whose figure was published: 551 children without a social worker. */
export const PUBLISHED = { day: '2018-01-31', value: '551' };

export const PAGES = {
  board: '/',
  'a past day': `/?as_of=${PUBLISHED.day}`,
  'one number': `/?tile=${HEADLINE}`,
};

export function needed(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`set ${name}: see playwright.config.ts`);
  return value;
}

/** Opens a page of the board, and waits until its numbers are there. */
export async function open(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await expect(page.locator('.value__number').first()).toBeVisible({ timeout: 60_000 });
  // Charts stand only once their past was read and they know their width.
  await expect(page.locator('svg .chart__line').first()).toBeAttached();
}

/** A tile's number as it stands. */
export function valueOf(page: Page, tile: string) {
  return page.locator(`[data-tile="${tile}"] .value__number`).first();
}

/** The address of the first team in the table of teams. */
export async function aTeam(page: Page): Promise<{ name: string; address: string }> {
  const link = page.locator('.data a[href*="team="]').first();
  return { name: await link.innerText(), address: (await link.getAttribute('href')) ?? '' };
}
