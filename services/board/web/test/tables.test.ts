import { describe, expect, it } from 'vitest';
import type { Row } from '../src/contract';
import { csv, fileName } from '../src/csv';
import { retryPause } from '../src/live';
import { due } from '../src/parts/announce';
import { placeOfChoice } from '../src/parts/controls';
import { ordered, parseOrder, writeOrder } from '../src/parts/order';
import { HOME } from '../src/url';

describe('CSV', () => {
  it('quotes what needs it, and leaves what is unknown empty', () => {
    expect(
      csv(
        ['Team', 'Cases'],
        [
          ['First, "best"', 12],
          ['Second', null],
        ],
      ),
    ).toBe('Team,Cases\r\n"First, ""best""",12\r\nSecond,\r\n');
  });

  it('holds no formula that a spreadsheet would run, and leaves numbers alone', () => {
    expect(csv(['Name', 'Change'], [['=cmd()', -3]])).toBe("Name,Change\r\n'=cmd(),-3\r\n");
  });

  it('goes into a file whose name says what it is', () => {
    expect(fileName('First response 1', 'No holder', 'days', '2018-10-17')).toBe(
      'first-response-1-no-holder-days-2018-10-17',
    );
    expect(fileName("Children's / \u00e9", null, '')).toBe('children-s-e');
  });
});

describe('order', () => {
  const columns = [{ id: 'open', title: 'Open', unit: 'cases' }];
  const row = (title: string, value: number | null): Row => ({ id: title, title, cells: [value] });
  const rows = [row('Team 10', 3), row('Team 2', null), row('Team 1', 7)];
  const titles = (sort: string): string[] =>
    ordered(rows, columns, parseOrder(sort, 'by_team')).map((one) => one.title);

  it('stands in the address, for one table', () => {
    expect(parseOrder('by_team.-open', 'by_team')).toEqual({ column: 'open', descending: true });
    expect(parseOrder('by_team.-open', 'by_service')).toBeNull();
    expect(writeOrder('by_team', { column: 'open', descending: true })).toBe('by_team.-open');
  });

  it('puts what is unknown last, whichever way', () => {
    expect(titles('by_team.-open')).toEqual(['Team 1', 'Team 10', 'Team 2']);
    expect(titles('by_team.open')).toEqual(['Team 10', 'Team 1', 'Team 2']);
  });

  it('counts in names', () => {
    expect(titles('by_team.title')).toEqual(['Team 1', 'Team 2', 'Team 10']);
  });
});

describe('a choice of day', () => {
  const choice = { authority: '', service: '', team: 'T1', as_of: '2018-10-17', known: 'today' as const, known_at: '' };
  it('is a day, as known then or today', () => {
    expect(placeOfChoice(choice, HOME, '2018-12-31')).toMatchObject({
      team: 'T1',
      as_of: '2018-10-17',
      known_at: '2018-12-31',
    });
    expect(placeOfChoice({ ...choice, known: 'same_day' }, HOME, '2018-12-31').known_at).toBeNull();
    expect(placeOfChoice({ ...choice, known: 'other', known_at: '2018-11-01' }, HOME, '2018-12-31').known_at).toBe(
      '2018-11-01',
    );
  });

  it('that is to come, or is none, is now', () => {
    expect(placeOfChoice({ ...choice, as_of: '2019-01-01' }, HOME, '2018-12-31')).toMatchObject({
      as_of: null,
      known_at: null,
    });
    expect(placeOfChoice({ ...choice, as_of: '' }, HOME, '2018-12-31')).toMatchObject({ as_of: null, known_at: null });
  });
});

it('connects again ever less often, and not all pages at once', () => {
  expect([0, 1, 2, 10].map((attempt) => retryPause(attempt, 1))).toEqual([1000, 2000, 4000, 15_000]);
  expect(retryPause(0, 0)).toBe(500);
});

describe('what is said aloud', () => {
  it('waits for 20 seconds of quiet, unless it is urgent', () => {
    expect(due('new', 'old', 0, 19_999, false)).toBe(false);
    expect(due('new', 'old', 0, 20_000, false)).toBe(true);
    expect(due('new', 'old', 0, 1, true)).toBe(true);
  });

  it('is said once', () => {
    expect(due('same', 'same', 0, 60_000, true)).toBe(false);
    expect(due('', 'old', 0, 60_000, true)).toBe(false);
  });
});
