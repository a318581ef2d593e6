import { describe, expect, it } from 'vitest';
import type { Point } from '../src/contract';
import { gaps, inWords, nearest, spread } from '../src/parts/line_chart';
import { summary, withDays, withMonth } from '../src/trend';

const days: Point[] = [
  ['2018-10-14', 10],
  ['2018-10-15', 12],
  ['2018-10-16', null],
];

describe('the days', () => {
  it('end today, with what the page saw since they were read', () => {
    const seen = new Map<string, number | null>([['2018-10-17', 9]]);
    expect(withDays(days, '2018-10-17', seen)).toEqual([...days, ['2018-10-17', 9]]);
  });

  it('have a gap where nobody knows, not a line across it', () => {
    expect(withDays(days, '2018-10-18', new Map([['2018-10-18', 9]])).slice(-2)).toEqual([
      ['2018-10-17', null],
      ['2018-10-18', 9],
    ]);
  });

  it('that are over are as the server closed them', () => {
    const seen = new Map<string, number | null>([
      ['2018-10-15', null],
      ['2018-10-16', 11],
      ['2018-10-17', 9],
    ]);
    expect(withDays(days, '2018-10-17', seen).map(([, value]) => value)).toEqual([10, 12, 11, 9]);
  });

  it('are thirty at most, the last ones', () => {
    const many = Array.from(
      { length: 30 },
      (_, index): Point => [`2018-09-${String(index + 1).padStart(2, '0')}`, index],
    );
    const shown = withDays(many, '2018-10-01', new Map([['2018-10-01', 99]]));
    expect(shown).toHaveLength(30);
    expect(shown[0]?.[0]).toBe('2018-09-02');
    expect(shown.at(-1)).toEqual(['2018-10-01', 99]);
  });
});

it('the month that goes on replaces itself', () => {
  const months: Point[] = [
    ['2018-09-30', 5],
    ['2018-10-16', 6],
  ];
  expect(withMonth(months, '2018-10-17', 7)).toEqual([
    ['2018-09-30', 5],
    ['2018-10-17', 7],
  ]);
});

describe('a chart in words', () => {
  it('says from where to where, the extremes, and what is unknown', () => {
    expect(inWords('No holder', 'days', 'cases', days)).toBe(
      'No holder: from 10 on 14 October 2018 to 12 on 15 October 2018; lowest 10 on 14 October 2018, highest 12 on 15 October 2018. 1 of 3 days are unknown.',
    );
  });

  it('does not make up what nobody knows', () => {
    expect(summary([['2018-10-14', null]])).toBeNull();
    expect(inWords('No holder', 'months', 'cases', [['2018-10-31', null]])).toBe(
      'No holder: nothing is known of these months.',
    );
  });
});

it('gaps reach from the last known point to the next', () => {
  const points = [null, null, 1, 2, null, 3, null].map((value, index): Point => [`2018-10-1${index}`, value]);
  expect(gaps(points)).toEqual([
    [0, 2],
    [3, 5],
    [5, 6],
  ]);
  expect(gaps([['2018-10-14', 1]])).toEqual([]);
});

it('a chart names the limit that was passed and the next one', () => {
  const limits = [30, 80, 200, 380].map((value) => ({ tier: String(value), severity: 'page' as const, value }));
  const named = (value: number): number[] => nearest(limits, value, 1000).map((limit) => limit.value);
  expect(named(322)).toEqual([200, 380]);
  expect(named(10)).toEqual([30]);
  expect(named(551)).toEqual([380]);
  expect(nearest(limits, 10, 20)).toEqual([]);
});

it('labels of levels never cover each other', () => {
  const marks = [50, 48, 120].map((y) => ({ key: String(y), value: y, text: '', y }));
  expect(spread(marks, 16).map((mark) => mark.y)).toEqual([48, 64, 120]);
});
