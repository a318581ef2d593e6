import { readFile } from 'node:fs/promises';
import { type Download, type Page, expect, test } from '@playwright/test';
import { HEADLINE, PUBLISHED, aTeam, needed, open, valueOf } from './board';

/** What the browser complains of, such as something that the page's policy forbids, fails the test. */
let complaints: string[] = [];
test.beforeEach(({ page }) => {
  complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    const isOfNetwork = /Failed to load resource|ERR_/.test(message.text());
    if (message.type() === 'error' && !isOfNetwork) complaints.push(message.text());
  });
});
test.afterEach(() => expect(complaints).toEqual([]));

test('the board says what it shows, of when, and how fresh that is', async ({ page }) => {
  await open(page, '/');
  // Whose numbers these are: of one authority, its name.
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Northamptonshire');
  await expect(page.locator('.masthead__about')).toHaveText("Children's social care");
  await expect(page.locator('[data-fresh-word]')).toContainText('Live');
  await expect(page.locator('.moment time')).toContainText(/\d{1,2} \w+ 20\d\d, \d\d:\d\d/);
  await expect(valueOf(page, HEADLINE)).toHaveText(/^[\d,]+$/);
  // Both headlines at once: one alone can look well.
  expect(await page.locator('.tile--headline').count()).toBe(2);
  expect(await page.locator('.tile--headline svg .chart__line').count()).toBe(4);
});

test('whoever sits at the machine may sign in, and comes back to where they were', async ({ page }) => {
  await open(page, `/?tile=${HEADLINE}`);
  await expect(page.getByRole('button', { name: 'Sign out' })).toHaveCount(0);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  expect(new URL(page.url()).searchParams.get('next')).toBe(`/?tile=${HEADLINE}`);
});

test('numbers change while one looks, without loading the page again', async ({ page }) => {
  await open(page, '/');
  await page.evaluate(() => Object.assign(window, { stayed: true }));
  const numbers = () => page.locator('.value__number, .bars__value, .data td').allInnerTexts();
  const before = await numbers();
  const moment = await page.locator('.moment time').innerText();
  await expect.poll(numbers, { timeout: 30_000 }).not.toEqual(before);
  await expect(page.locator('.moment time')).not.toHaveText(moment);
  expect(await page.evaluate(() => 'stayed' in window)).toBe(true);
});

test('a row leads to its team, and back', async ({ page }) => {
  await open(page, '/');
  const whole = await page.getByRole('heading', { level: 1 }).innerText();
  const team = await aTeam(page);
  await page.locator(`.data a[href="${team.address}"]`).first().click();
  await expect(page).toHaveURL(/[?&]team=/);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(team.name);
  await expect(page.locator('#main')).toBeFocused();
  await expect(valueOf(page, HEADLINE)).toBeVisible();
  await expect(page).toHaveTitle(new RegExp(`^${team.name}`));
  await page.goBack();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(whole);
});

test('a team is chosen in the form too', async ({ page }) => {
  await open(page, '/');
  const services = page.getByLabel('Service', { exact: true });
  await services.selectOption({ index: 1 });
  const service = await services.locator('option:checked').innerText();
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page).toHaveURL(/[?&]service=/);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(service);
});

test('the date turns the whole page back, as known then and as known today', async ({ page }) => {
  await open(page, '/');
  await page.getByLabel('Day (empty: now)').fill(PUBLISHED.day);
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page).toHaveURL(new RegExp(`as_of=${PUBLISHED.day}`));
  await expect(page.locator('[data-fresh="past"]')).toContainText('This is the end of Wednesday 31 January 2018');
  await expect(page.locator('[data-fresh="past"]')).toContainText('As it was known on that day');
  await expect(valueOf(page, HEADLINE)).toHaveText(PUBLISHED.value);

  // A day that nobody has looked at so far is evaluated first: the more has been recorded since, the longer that takes.
  test.setTimeout(180_000);
  const evaluated = { timeout: 90_000 };
  await page.getByLabel('As known').selectOption('today');
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page).toHaveURL(/known_at=20\d\d-\d\d-\d\d/);
  await expect(page.locator('[data-fresh="past"]')).toContainText('with what was recorded since', evaluated);

  await page.getByRole('link', { name: 'Day after' }).click();
  await expect(page).toHaveURL(/as_of=2018-02-01/);
  await expect(page.locator('[data-fresh="past"]')).toContainText('1 February 2018', evaluated);

  await page.getByRole('link', { name: 'Go to now' }).click();
  await expect(page.locator('[data-fresh="past"]')).toHaveCount(0);
  await expect(page.locator('[data-fresh-word]')).toContainText('Live');
});

test('every view has a link that stays', async ({ page, context }) => {
  await open(page, '/');
  const team = await aTeam(page);
  await open(page, `${team.address}&as_of=2018-02-02&theme=dark`);
  await page.locator(`[data-tile="${HEADLINE}"] h3 a`).click();
  await expect(page.getByRole('heading', { level: 2, name: 'Last 30 days' })).toBeVisible();
  const again = await context.newPage();
  await open(again, page.url());
  await expect(again.getByRole('heading', { level: 1 })).toHaveText(team.name);
  await expect(again.locator('[data-fresh="past"]')).toContainText('2 February 2018');
  await expect(again.locator('html')).toHaveAttribute('data-theme', 'dark');
  const said = (of: Page) => of.locator('.single .tile__value').innerText();
  expect(await said(again)).toBe(await said(page));
});

test('a table is put in order, and the order is in the link', async ({ page }) => {
  await open(page, '/?as_of=2018-02-02');
  const table = page.locator('[data-tile] .data').last();
  await table.locator('thead th a').nth(1).click();
  await expect(page).toHaveURL(/sort=/);
  await expect(table.locator('thead th').nth(1)).toHaveAttribute('aria-sort', 'descending');
  const cells = await table.locator('tbody tr td:nth-child(2)').allInnerTexts();
  const numbers = cells.map((cell) => Number(cell.replace(/[^\d.\u2212-]/g, '').replace('\u2212', '-')));
  expect(numbers.length).toBeGreaterThan(2);
  expect(numbers).toEqual([...numbers].sort((a, b) => b - a));
});

test('a board that hears nothing says so within 20 seconds, knows no number, and comes back', async ({ page }) => {
  await open(page, '/');
  await expect(page.locator('[data-fresh-word]')).toContainText('Live');
  const server = Number(needed('BOARD_PID'));
  process.kill(server, 'SIGSTOP');
  try {
    await expect(page.locator('[data-fresh="late"]')).toBeVisible({ timeout: 25_000 });
    await expect(page.locator('[data-fresh="late"]')).toContainText('Not up to date');
    await expect(page.locator('.value__number')).toHaveCount(0);
    await expect(page.locator('.tile--headline .value--unknown')).toHaveCount(2);
    for (const cell of await page.locator('.bars__value, .data td.numeric').allInnerTexts()) expect(cell.trim()).toBe('unknown');
    await expect(page.locator('.tier')).toHaveCount(0);
    await expect(page).toHaveTitle(/^Not up to date/);
    await expect(page.locator('[data-announcer]')).toContainText('Not up to date');
  } finally {
    process.kill(server, 'SIGCONT');
  }
  await expect(page.locator('[data-fresh="late"]')).toHaveCount(0, { timeout: 40_000 });
  await expect(valueOf(page, HEADLINE)).toHaveText(/^[\d,]+$/);
});

test('what is wrong is a sentence, not an empty page', async ({ page }) => {
  await page.goto('/?team=no-such-team');
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
});

test('the keyboard alone reaches everything, and one sees where it is', async ({ page }) => {
  await open(page, '/?as_of=2018-02-02');
  await page.keyboard.press('Tab');
  const skip = page.getByRole('link', { name: 'Skip to main content' });
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport();
  await page.keyboard.press('Enter');
  await expect(page.locator('#main')).toBeFocused();
  const seen = new Set<string>();
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(() => {
      const element = document.activeElement as HTMLElement;
      const style = getComputedStyle(element);
      const marked = style.boxShadow !== 'none' || (style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2);
      const box = element.getBoundingClientRect();
      return { name: element.id || element.textContent?.trim() || element.tagName, marked, inView: box.bottom > 0 && box.top < innerHeight };
    });
    expect(focused.marked, `focus is seen on ${focused.name}`).toBe(true);
    expect(focused.inView, `${focused.name} is in view`).toBe(true);
    seen.add(focused.name);
  }
  expect(seen).toContain('as_of');
  expect(seen).toContain('known');
  expect(seen).toContain('Show');
  await page.locator(`[data-tile="${HEADLINE}"] h3 a`).focus();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(`tile=${HEADLINE}`));
  await page.getByText('Table of last 30 days').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('table', { name: 'Last 30 days' })).toBeVisible();
});

async function contentOf(download: Download): Promise<Buffer> {
  return readFile(await download.path());
}

test('every chart goes away as CSV and as PNG, and stands as a table', async ({ page }) => {
  await open(page, `/?tile=${HEADLINE}&as_of=2018-02-02&theme=dark`);
  const figures = page.locator('figure');
  const count = await figures.count();
  expect(count).toBeGreaterThanOrEqual(2);
  for (let at = 0; at < count; at += 1) {
    const figure = figures.nth(at);
    const [table] = await Promise.all([page.waitForEvent('download'), figure.getByRole('button', { name: /CSV/ }).click()]);
    expect(table.suggestedFilename()).toMatch(/^[a-z0-9-]+\.csv$/);
    const lines = (await contentOf(table)).toString('utf8').trim().split('\r\n');
    const rows = figure.locator('tbody tr');
    expect(lines).toHaveLength((await rows.count()) + 1);

    const [picture] = await Promise.all([page.waitForEvent('download'), figure.getByRole('button', { name: /PNG/ }).click()]);
    expect(picture.suggestedFilename()).toMatch(/^[a-z0-9-]+\.png$/);
    const seen = await page.evaluate(pixels, [...(await contentOf(picture))]);
    // Twice as sharp as on the page, on white, with a title, axes and data on it.
    expect(seen.width).toBeGreaterThan(600);
    expect(seen.corner).toEqual([255, 255, 255, 255]);
    expect(seen.colours).toBeGreaterThan(8);
    expect(seen.inked).toBeGreaterThan(0.002);
  }
});

/** What is on a picture. Runs in the page, where pictures can be read; one that is made of bytes is loaded from nowhere. */
async function pixels(bytes: number[]) {
  const image = await createImageBitmap(new Blob([new Uint8Array(bytes)], { type: 'image/png' }));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('no canvas');
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const colours = new Set<number>();
  let inked = 0;
  for (let at = 0; at < data.length; at += 4) {
    const colour = ((data[at] ?? 0) << 16) | ((data[at + 1] ?? 0) << 8) | (data[at + 2] ?? 0);
    colours.add(colour);
    if (colour !== 0xffffff) inked += 1;
  }
  return { width: image.width, corner: [...data.slice(0, 4)], colours: colours.size, inked: inked / (data.length / 4) };
}

test('on paper there are numbers and no buttons, black on white', async ({ page }) => {
  await open(page, '/?as_of=2018-02-02&theme=dark');
  await page.emulateMedia({ media: 'print' });
  for (const gone of ['.controls', '.top', '.govuk-skip-link:focus', '.sort__mark']) {
    await expect(page.locator(gone).first()).toBeHidden();
  }
  await expect(valueOf(page, HEADLINE)).toBeVisible();
  await expect(page.locator('.colophon')).toContainText('as_of=2018-02-02');
  await expect(page.locator('[data-fresh="past"]')).toContainText('2 February 2018');
  expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe('rgb(255, 255, 255)');
  const paper = await page.pdf({ format: 'A4' });
  const pages = paper.toString('latin1').match(/\/Type\s*\/Page[^s]/g) ?? [];
  expect(pages.length).toBeGreaterThanOrEqual(1);
  expect(pages.length).toBeLessThanOrEqual(6);
});
