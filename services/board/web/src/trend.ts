// A tile's past, with today at its end.

import type { Point, Trend } from './contract';
import { addDays } from './format';

export const LENGTH = 30;

/** Values that the page itself saw at the ends of days, or so far of the last one. */
export type Seen = ReadonlyMap<string, number | null>;

/** The days up to `day` with what was seen since they were read; a day in between that nobody knows is a gap. */
export function withDays(points: Point[], day: string, seen: Seen): Point[] {
  const known = new Map<string, number | null>(points);
  // Of a day that is over, the server knows best.
  for (const [at, value] of seen)
    if (at === day || (at < day && (known.get(at) ?? null) === null)) known.set(at, value);
  const from = points[0]?.[0] ?? day;
  const days = Array.from({ length: LENGTH }, (_, index) => addDays(day, index + 1 - LENGTH));
  return days.filter((at) => at >= from).map((at) => [at, known.get(at) ?? null]);
}

/** The months with the one that `day` is in at the end, as far as it has come. */
export function withMonth(points: Point[], day: string, value: number | null): Point[] {
  const before = points.filter(([known]) => known.slice(0, 7) < day.slice(0, 7));
  return [...before, [day, value] satisfies Point].slice(-LENGTH);
}

export function withSeen(trend: Trend, day: string, seen: Seen): Trend {
  return {
    ...trend,
    days: withDays(trend.days, day, seen),
    months: withMonth(trend.months, day, seen.get(day) ?? null),
  };
}

export interface Summary {
  first: Point;
  last: Point;
  lowest: Point;
  highest: Point;
  gaps: number;
}

/** What a chart says in words; null if it has nothing to say. */
export function summary(points: Point[]): Summary | null {
  const known = points.filter((point): point is [string, number] => point[1] !== null);
  const first = known[0];
  const last = known.at(-1);
  if (first === undefined || last === undefined) return null;
  const by = (better: (a: number, b: number) => boolean): Point =>
    known.reduce((best, point) => (better(point[1], best[1]) ? point : best), first);
  return {
    first,
    last,
    lowest: by((a, b) => a < b),
    highest: by((a, b) => a > b),
    gaps: points.length - known.length,
  };
}
