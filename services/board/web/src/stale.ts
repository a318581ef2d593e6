// When nobody knows whether a number still holds, it is not shown: it is unknown, with the reason. Never 0.

import type { Fresh, Tile, View } from './contract';
import { age } from './format';

/** Without a word from the server for so long, what is on the page may be wrong. */
export const LOST_AFTER_MS = 15_000;

export const LOST = 'the connection to casewatch is lost';

export function isLost(lastHeardMs: number, nowMs: number): boolean {
  return nowMs - lastHeardMs > LOST_AFTER_MS;
}

export function hasNumbers(fresh: Fresh): boolean {
  return fresh.state === 'fresh' || fresh.state === 'past';
}

/** The view with every value unknown. */
export function withoutNumbers(view: View, why: string): View {
  const blank = (tile: Tile): Tile => ({
    ...tile,
    value: null,
    unknown: why,
    change: null,
    tier: null,
    parts: (tile.parts ?? []).map((part) => ({ ...part, value: null, tier: null })),
    rows: (tile.rows ?? []).map((row) => ({
      ...row,
      cells: row.cells.map(() => null),
      tiers: row.cells.map(() => null),
    })),
  });
  return { ...view, sections: view.sections.map((section) => ({ ...section, tiles: section.tiles.map(blank) })) };
}

/**
 * What the page may show of the last view it was given. The server leaves out of a view what a silent feed makes unknown;
 * of a view from before it fell silent, nothing is shown.
 */
export function shown(view: View, fresh: Fresh, lost: boolean): View {
  if (!view.moment.live) return view;
  if (lost) return withoutNumbers(view, LOST);
  if (hasNumbers(view.fresh) && !hasNumbers(fresh)) return withoutNumbers({ ...view, fresh }, fresh.says);
  return { ...view, fresh };
}

/** How old the newest number is, counted on since the server said. */
export function ageNow(fresh: Fresh, heardMs: number, nowMs: number): number | null {
  return fresh.age_s === null ? null : fresh.age_s + Math.max(0, nowMs - heardMs) / 1000;
}

export interface Freshness {
  /** `late`: the numbers are from before, and not shown. */
  kind: 'fresh' | 'late' | 'catching_up' | 'past';
  headline: string;
  detail: string;
}

export function freshness(fresh: Fresh, lost: boolean, heardMs: number, nowMs: number): Freshness {
  if (fresh.state === 'past') return { kind: 'past', headline: 'A past day', detail: fresh.says };
  if (lost) {
    return {
      kind: 'late',
      headline: 'Not up to date',
      detail: `This page has heard nothing from casewatch for ${age((nowMs - heardMs) / 1000)}. Every number is unknown until it is connected again; it keeps trying.`,
    };
  }
  if (fresh.state === 'catching_up') return { kind: 'catching_up', headline: 'Catching up', detail: fresh.says };
  if (fresh.state === 'stale') return { kind: 'late', headline: 'Not up to date', detail: fresh.says };
  const seconds = ageNow(fresh, heardMs, nowMs);
  return {
    kind: 'fresh',
    headline: 'Live',
    detail: seconds === null ? fresh.says : seconds < 2 ? 'read just now' : `read ${age(seconds)} ago`,
  };
}
