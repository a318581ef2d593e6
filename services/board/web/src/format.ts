// Numbers and days as people in England write them.

import type { Severity, Threshold, Tier } from './contract';

const LONDON = 'Europe/London';
const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const dayOnly = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', day: 'numeric', month: 'long', year: 'numeric' });
const shortDay = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', day: 'numeric', month: 'short' });
const month = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', month: 'short', year: 'numeric' });
const weekday = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', weekday: 'long' });
const clock = new Intl.DateTimeFormat('en-GB', { timeZone: LONDON, hour: '2-digit', minute: '2-digit' });
const civil = new Intl.DateTimeFormat('en-CA', { timeZone: LONDON, dateStyle: 'short' });

/** A minus sign, not a hyphen: it is as wide as a plus, and no line breaks after it. */
const signed = (text: string): string => text.replace(/^-/, '\u2212');

export function number(value: number): string {
  return signed(Number.isInteger(value) ? whole.format(value) : tenths.format(value));
}

const ONE: Record<string, string> = {
  cases: 'case',
  workers: 'worker',
  visits: 'visit',
  assessments: 'assessment',
  teams: 'team',
  children: 'child',
  'calendar days': 'calendar day',
  'working days': 'working day',
};

/** The unit's word beside a number; a sign such as % is part of the number instead. */
export function unitWord(unit: string, value: number | null): string {
  if (isSign(unit)) return '';
  return value === 1 ? (ONE[unit] ?? unit) : unit;
}

function isSign(unit: string): boolean {
  return unit === '%';
}

/** A number with its unit's sign, if the unit is one. */
export function amount(value: number, unit: string): string {
  return number(value) + (isSign(unit) ? unit : '');
}

/** A number with its unit, as read out. */
export function spoken(value: number | null, unit: string): string {
  if (value === null) return 'unknown';
  return `${amount(value, unit)} ${unitWord(unit, value)}`.trim();
}

/** 2018-10-17 as 17 October 2018. */
export function day(iso: string): string {
  return dayOnly.format(new Date(`${iso}T00:00:00Z`));
}

export function dayWithWeekday(iso: string): string {
  return `${weekday.format(new Date(`${iso}T00:00:00Z`))} ${day(iso)}`;
}

export function dayShort(iso: string): string {
  return shortDay.format(new Date(`${iso}T00:00:00Z`));
}

export function monthOf(iso: string): string {
  return month.format(new Date(`${iso}T00:00:00Z`));
}

/** The civil day of a moment in London, where all days here are; today, of none. */
export function dayOf(moment: string | null): string {
  return civil.format(moment === null ? new Date() : new Date(moment));
}

export function timeOf(moment: string): string {
  return clock.format(new Date(moment));
}

export function addDays(iso: string, days: number): string {
  const moved = new Date(`${iso}T00:00:00Z`);
  moved.setUTCDate(moved.getUTCDate() + days);
  return moved.toISOString().slice(0, 10);
}

/** How long ago, in the largest unit that says enough. */
export function age(seconds: number): string {
  const of = (count: number, unit: string): string => `${whole.format(count)} ${unit}${count === 1 ? '' : 's'}`;
  if (seconds < 60) return of(Math.max(0, Math.round(seconds)), 'second');
  if (seconds < 3600) return of(Math.floor(seconds / 60), 'minute');
  if (seconds < 48 * 3600) return of(Math.floor(seconds / 3600), 'hour');
  return of(Math.floor(seconds / 86400), 'day');
}

/** "3 fewer since 16 October": a direction in words, because a sign alone says nothing to who cannot see an arrow. */
export function changeWords(change: { since: string; value: number }, unit: string): string {
  const since = `since ${dayShort(change.since)}`;
  if (change.value === 0) return `no change ${since}`;
  const size = amount(Math.abs(change.value), unit === '%' ? '' : unit);
  const points = unit === '%' ? (Math.abs(change.value) === 1 ? ' point' : ' points') : '';
  const counts = points === '' && !unit.endsWith('days');
  const direction = change.value > 0 ? (counts ? 'more' : 'up') : counts ? 'fewer' : 'down';
  return counts ? `${size} ${direction} ${since}` : `${direction} ${size}${points} ${since}`;
}

const SEVERITY: Record<Severity, string> = { page: 'Act now', warn: 'Watch', info: 'Note' };

export function severityWord(severity: Severity): string {
  return SEVERITY[severity];
}

/** "Act now: over 200". */
export function tierWords(tier: Tier, thresholds: Threshold[] | undefined, unit: string): string {
  const bound = thresholds?.find((candidate) => candidate.tier === tier.tier);
  const word = severityWord(tier.severity);
  return bound === undefined || bound.value === 0 ? word : `${word}: over ${amount(bound.value, unit)}`;
}
