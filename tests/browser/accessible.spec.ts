// WCAG 2.2 AA as far as a program can tell, in light and dark, on a desk and in a hand.

import AxeBuilder from '@axe-core/playwright';
import { type Page, expect, test } from '@playwright/test';
import { PAGES, aTeam, open } from './board';

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

async function violations(page: Page): Promise<string[]> {
  const found = await new AxeBuilder({ page }).withTags(TAGS).analyze();
  return found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)}`));
}

const LOOKS = [
  { colorScheme: 'light', size: 'desktop', pages: PAGES },
  { colorScheme: 'dark', size: 'phone', pages: PAGES },
  { colorScheme: 'dark', size: 'desktop', pages: { board: '/' } },
  { colorScheme: 'light', size: 'phone', pages: { board: '/' } },
] as const;

for (const { colorScheme, size, pages } of LOOKS) {
  test.describe(`${colorScheme}, ${size}`, () => {
    test.use({ colorScheme, viewport: SIZES[size] });

    for (const [name, address] of Object.entries(pages)) {
      test(`nothing is in the way on ${name}`, async ({ page }) => {
        await open(page, address);
        expect(await violations(page)).toEqual([]);
      });
    }

    test('nothing is in the way where nothing is known', async ({ page }) => {
      // As the server tells of a silent feed; how that comes about is the server's own test.
      await page.route('**/api/view*', async (route) => {
        const response = await route.fetch();
        const view = await response.json();
        view.fresh = { ...view.fresh, state: 'stale', says: 'The feed of cases is silent.', feeds: [] };
        for (const section of view.sections) {
          for (const tile of section.tiles) {
            Object.assign(tile, { value: null, unknown: view.fresh.says, tier: null, change: null });
          }
        }
        await route.fulfill({ response, json: view });
      });
      await page.route('**/api/live*', (route) => route.abort());
      await page.goto('/');
      await expect(page.locator('[data-fresh="late"]')).toBeVisible();
      expect(await violations(page)).toEqual([]);
    });
  });
}

test('nothing is in the way on a team and where there is a fault', async ({ page }) => {
  await open(page, '/');
  const { address } = await aTeam(page);
  await open(page, address);
  expect(await violations(page)).toEqual([]);
  await page.goto('/?team=no-such-team');
  await expect(page.getByRole('alert')).toBeVisible();
  expect(await violations(page)).toEqual([]);
});

// 320 CSS pixels are a laptop at 400 %: what scrolls in two directions cannot be read there.
for (const width of [320, 390, 768]) {
  test(`the page does not scroll sideways at ${width} pixels`, async ({ page }) => {
    await page.setViewportSize({ width, height: 800 });
    for (const address of Object.values(PAGES)) {
      await open(page, address);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide, address).toBeLessThanOrEqual(width);
    }
  });
}

test('the controls are a button away on a phone', async ({ page }) => {
  await page.setViewportSize(SIZES.phone);
  await open(page, '/');
  await expect(page.getByLabel('Service', { exact: true })).toBeHidden();
  await page.getByRole('button', { name: /Change/ }).click();
  await expect(page.getByLabel('Service', { exact: true })).toBeVisible();
  expect(await violations(page)).toEqual([]);
});

test('text may be spaced and enlarged without a loss', async ({ page }) => {
  await open(page, '/');
  await page.evaluate(() => {
    // As WCAG 1.4.12 has it. Through the object model, which the page's policy does not concern.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }');
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  });
  const lost = await page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('.tile__title, .tile__value, .tier, .section__lead')]
      .filter((element) => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflow !== 'visible')
      .map((element) => element.textContent),
  );
  expect(lost).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(1440);
});

test('live numbers are not read out one by one', async ({ page }) => {
  await open(page, '/');
  const live = page.locator('[aria-live], [role="status"], [role="alert"]');
  await expect(live).toHaveCount(1);
  const said = await live.innerText();
  await page.waitForTimeout(8000);
  expect(await live.innerText()).toBe(said);
});
