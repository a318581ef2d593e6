import { describe, expect, it } from 'vitest';
import type { Fresh, FreshState, Tile, View } from '../src/contract';
import { ageNow, freshness, isLost, LOST, LOST_AFTER_MS, shown } from '../src/stale';

const tile: Tile = {
  id: 'no_holder',
  kind: 'split',
  title: 'No holder',
  help: '',
  unit: 'cases',
  value: 551,
  unknown: null,
  change: { since: '2018-10-16', value: -3 },
  tier: { tier: 'page', severity: 'page' },
  parts: [{ id: 'unallocated', title: 'Unallocated', value: 498, tier: { tier: 'page', severity: 'page' } }],
  rows: [{ id: 'T1', title: 'Team 1', cells: [12, null], tiers: [{ tier: 'warn', severity: 'warn' }, null] }],
  has_trend: true,
};

function fresh(state: FreshState): Fresh {
  return { state, read_up_to: '2018-10-17T12:00:00Z', age_s: 2, says: `it is ${state}`, feeds: [] };
}

function view(state: FreshState, live = true): View {
  return {
    title: 'Social care',
    subject: { authority: null, service: null, team: null },
    moment: { live, as_of: '2018-10-17T12:00:00Z', known_at: '2018-10-17T12:00:00Z' },
    fresh: fresh(state),
    choices: { authorities: [], services: [], teams: [], first_day: null, last_day: null },
    sections: [{ id: 'safety', title: 'Safety', lead: '', tiles: [tile] }],
  };
}

const only = (of: View): Tile | undefined => of.sections[0]?.tiles[0];

describe('what is shown', () => {
  it('is the view while the server is heard and fresh', () => {
    expect(only(shown(view('fresh'), fresh('fresh'), false))).toEqual(tile);
  });

  it('has no number at all once the connection is lost', () => {
    const blank = only(shown(view('fresh'), fresh('fresh'), true));
    expect(blank).toMatchObject({ value: null, unknown: LOST, change: null, tier: null });
    expect(blank?.parts).toEqual([{ id: 'unallocated', title: 'Unallocated', value: null, tier: null }]);
    expect(blank?.rows?.[0]).toMatchObject({ cells: [null, null], tiers: [null, null] });
  });

  it('has no number of a view from before the feeds fell silent', () => {
    const blank = only(shown(view('fresh'), fresh('stale'), false));
    expect(blank).toMatchObject({ value: null, unknown: 'it is stale' });
  });

  it('trusts a view that knows of the silence: what does not depend on the feed is still known', () => {
    expect(only(shown(view('stale'), fresh('stale'), false))?.value).toBe(551);
  });

  it('of a past day stays, whatever becomes of the connection', () => {
    expect(only(shown(view('past', false), fresh('past'), true))?.value).toBe(551);
  });
});

describe('freshness', () => {
  it('is lost after 15 seconds without a word, and not before', () => {
    expect(LOST_AFTER_MS).toBe(15_000);
    expect(isLost(0, 15_000)).toBe(false);
    expect(isLost(0, 15_001)).toBe(true);
  });

  it('grows older between two words of the server', () => {
    expect(ageNow(fresh('fresh'), 1000, 4000)).toBe(5);
    expect(ageNow({ ...fresh('fresh'), age_s: null }, 1000, 4000)).toBeNull();
    expect(freshness(fresh('fresh'), false, 1000, 4000)).toMatchObject({ kind: 'fresh', detail: 'read 5 seconds ago' });
  });

  it('says that it is late, and for how long, in words', () => {
    const lost = freshness(fresh('fresh'), true, 0, 61_000);
    expect(lost).toMatchObject({ kind: 'late', headline: 'Not up to date' });
    expect(lost.detail).toContain('for 1 minute');
    expect(freshness(fresh('stale'), false, 0, 0)).toMatchObject({ kind: 'late', detail: 'it is stale' });
    expect(freshness(fresh('catching_up'), false, 0, 0).kind).toBe('catching_up');
    expect(freshness(fresh('past'), true, 0, 60_000).kind).toBe('past');
  });
});
