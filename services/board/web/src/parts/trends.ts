import { useEffect, useState } from 'preact/hooks';
import { trend as ask } from '../api';
import type { Tile, Trend, View } from '../contract';
import { dayOf } from '../format';
import { LENGTH, withSeen } from '../trend';
import { isLive, type Place, subjectQuery } from '../url';

/** How long the days before today are taken as they were read: the server adds to them once a day. */
const KEEP_MS = 10_000;

interface Kept {
  readMs: number;
  trend: Promise<Trend>;
  seen: Map<string, number | null>;
}

const kept = new Map<string, Kept>();

function read(place: Place, tile: string, day: string): Promise<Trend> {
  const key = subjectQuery(place, { tile });
  const before = kept.get(key);
  const old = before === undefined ? Number.POSITIVE_INFINITY : Date.now() - before.readMs;
  if (before !== undefined && old < KEEP_MS) return before.trend;
  const trend = ask(place, tile);
  kept.set(key, { readMs: Date.now(), trend, seen: before?.seen ?? new Map() });
  trend.catch(() => kept.delete(key));
  if (kept.size > 200) kept.delete(kept.keys().next().value ?? day);
  return trend;
}

export interface Past {
  trend: Trend | null;
  error: string | null;
}

/** A tile's past up to the value that is on the page. */
export function useTrend(place: Place, view: View, tile: Tile): Past {
  const [past, setPast] = useState<Past>({ trend: null, error: null });
  const day = dayOf(view.moment.as_of);
  const query = subjectQuery(place, { tile: tile.id });
  useEffect(() => {
    if (!tile.has_trend) return undefined;
    let wanted = true;
    read(place, tile.id, day).then(
      (trend) => wanted && setPast({ trend, error: null }),
      (error: Error) => wanted && setPast((before) => ({ trend: before.trend, error: error.message })),
    );
    return () => {
      wanted = false;
    };
  }, [query, tile.has_trend, day]);
  if (past.trend === null || !isLive(place)) return past;
  const seen = kept.get(query)?.seen ?? new Map<string, number | null>();
  seen.delete(day);
  seen.set(day, tile.value);
  if (seen.size > LENGTH) seen.delete(seen.keys().next().value ?? day);
  return { ...past, trend: withSeen(past.trend, day, seen) };
}
