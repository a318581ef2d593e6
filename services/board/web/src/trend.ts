// A tile's past, with today at its end.

import type { Point, Trend } from './contract';

export const LENGTH = 30;

/** The days with `day` at the end; a day in between that nobody knows is a gap. */
export function withDay(points: Point[], day: string, value: number | null): Point[] {
  const before = points.filter(([known]) => known < day);
  return [...before, [day, value] satisfies Point].slice(-LENGTH);
}

/** The months with the one that `day` is in at the end, as far as it has come. */
export function withMonth(points: Point[], day: string, value: number | null): Point[] {
  const before = points.filter(([known]) => known.slice(0, 7) < day.slice(0, 7));
  return [...before, [day, value] satisfies Point].slice(-LENGTH);
}

export function withToday(trend: Trend, day: string, value: number | null): Trend {
  return { ...trend, days: withDay(trend.days, day, value), months: withMonth(trend.months, day, value) };
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
