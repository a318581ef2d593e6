import { describe, expect, it } from 'vitest';
import { addDays, age, amount, changeWords, day, dayOf, spoken, tierWords, timeOf, unitWord } from '../src/format';

describe('numbers', () => {
  it('have separators, a decimal only where there is one, and a minus that is one', () => {
    expect(amount(4867, 'cases')).toBe('4,867');
    expect(amount(31.0949, '%')).toBe('31.1%');
    expect(amount(-3, 'cases')).toBe('\u22123');
    expect(amount(0, 'cases')).toBe('0');
  });

  it('have a unit that agrees with them', () => {
    expect(unitWord('cases', 1)).toBe('case');
    expect(unitWord('calendar days', 2)).toBe('calendar days');
    expect(unitWord('%', 17)).toBe('');
  });

  it('that are not known are never 0', () => {
    expect(spoken(null, 'cases')).toBe('unknown');
    expect(spoken(0, 'cases')).toBe('0 cases');
  });
});

describe('a change', () => {
  const since = '2018-10-16';
  it('of a count is more or fewer', () => {
    expect(changeWords({ since, value: -3 }, 'cases')).toBe('3 fewer since 16 Oct');
    expect(changeWords({ since, value: 1 }, 'cases')).toBe('1 more since 16 Oct');
    expect(changeWords({ since, value: 0 }, 'cases')).toBe('no change since 16 Oct');
  });

  it('of a rate or a wait is up or down', () => {
    expect(changeWords({ since, value: 1.5 }, '%')).toBe('up 1.5 points since 16 Oct');
    expect(changeWords({ since, value: -2 }, 'calendar days')).toBe('down 2 since 16 Oct');
  });
});

describe('a limit', () => {
  const thresholds = [
    { tier: 'warn', severity: 'warn' as const, value: 80 },
    { tier: 'zero', severity: 'page' as const, value: 0 },
  ];
  it('is said with its value, unless that is none at all', () => {
    expect(tierWords({ tier: 'warn', severity: 'warn' }, thresholds, 'cases')).toBe('Watch: over 80');
    expect(tierWords({ tier: 'zero', severity: 'page' }, thresholds, 'cases')).toBe('Act now');
    expect(tierWords({ tier: 'other', severity: 'page' }, thresholds, 'cases')).toBe('Act now');
  });
});

describe('days', () => {
  it('are those of London', () => {
    expect(dayOf('2018-06-30T23:30:00Z')).toBe('2018-07-01');
    expect(dayOf('2018-10-17T22:59:59.999999Z')).toBe('2018-10-17');
    expect(timeOf('2018-06-30T11:30:00Z')).toBe('12:30');
    expect(day('2018-10-17')).toBe('17 October 2018');
  });

  it('go on over months, years and changes of the clock', () => {
    expect(addDays('2018-10-27', 2)).toBe('2018-10-29');
    expect(addDays('2019-01-01', -1)).toBe('2018-12-31');
    expect(addDays('2020-02-28', 1)).toBe('2020-02-29');
  });
});

it('an age is in the unit that says enough', () => {
  expect([1, 59.4, 61, 7200, 200_000].map(age)).toEqual(['1 second', '59 seconds', '1 minute', '2 hours', '2 days']);
});
