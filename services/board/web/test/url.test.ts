import { describe, expect, it } from 'vitest';
import { follow, HOME, isLive, linkTo, placeOf, subjectQuery } from '../src/url';

const at = (path: string) => placeOf(new URL(path, 'http://board'));

describe('the address', () => {
  it('holds everything that is shown, there and back', () => {
    const place = {
      ...HOME,
      authority: 'E10000021',
      service: 'front_door',
      team: 'NT000007',
      as_of: '2018-10-17',
      known_at: '2018-10-31',
      theme: 'dark' as const,
      tile: 'no_holder',
      sort: 'by_team.-open',
    };
    expect(at(linkTo(place))).toEqual(place);
  });

  it('of the plain board has no query', () => {
    expect(linkTo(HOME)).toBe('/');
    expect(at('/')).toEqual(HOME);
  });

  it('takes what is no day, no theme and no page for not said', () => {
    expect(at('/?as_of=yesterday&known_at=2018-13-40&theme=pink')).toEqual(HOME);
    expect(at('/nowhere').page).toBe('board');
    expect(at('/worklist/?team=T1')).toMatchObject({ page: 'worklist', team: 'T1' });
  });

  it('leads nowhere else after signing in', () => {
    for (const evil of ['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)']) {
      expect(at(`/sign-in?next=${encodeURIComponent(evil)}`).next).toBeNull();
    }
    expect(at(`/sign-in?next=${encodeURIComponent('/?team=T1')}`).next).toBe('/?team=T1');
  });
});

describe('a link of the server', () => {
  it('is followed at the moment and in the colours that are chosen', () => {
    const from = { ...HOME, service: 'front_door', as_of: '2018-10-17', theme: 'dark' as const };
    expect(linkTo(follow(from, '/?team=T12'))).toBe('/?team=T12&as_of=2018-10-17&theme=dark');
  });
});

it('asks the server for the subject and the moment only', () => {
  const place = { ...HOME, team: 'T 1', as_of: '2018-10-17', theme: 'dark' as const, tile: 'x' };
  expect(subjectQuery(place, { tile: 'no_holder' })).toBe('tile=no_holder&team=T+1&as_of=2018-10-17');
});

it('is live without a day', () => {
  expect(isLive(HOME)).toBe(true);
  expect(isLive({ ...HOME, as_of: '2018-10-17' })).toBe(false);
  expect(isLive({ ...HOME, known_at: '2018-10-17' })).toBe(false);
});
