// What is shown is in the address and nowhere else: every view has a link that stays.

export type Page = 'board' | 'worklist' | 'sign-in';
export type Theme = 'light' | 'dark';

export interface Place {
  page: Page;
  authority: string | null;
  service: string | null;
  team: string | null;
  /** Days, YYYY-MM-DD; without one it is now, and known then. */
  as_of: string | null;
  known_at: string | null;
  theme: Theme | null;
  /** The tile that is shown by itself. */
  tile: string | null;
  /** The order of a table: `tile.column`, with a `-` before it for the greatest first. */
  sort: string | null;
  /** Where to go after signing in. */
  next: string | null;
}

const PATHS: Record<Page, string> = { board: '/', worklist: '/worklist', 'sign-in': '/sign-in' };
const SUBJECT = ['authority', 'service', 'team'] as const;
const MOMENT = ['as_of', 'known_at'] as const;
const KEYS = [...SUBJECT, ...MOMENT, 'theme', 'tile', 'sort', 'next'] as const;

export const HOME: Place = {
  page: 'board',
  authority: null,
  service: null,
  team: null,
  as_of: null,
  known_at: null,
  theme: null,
  tile: null,
  sort: null,
  next: null,
};

export function isDay(text: string | null): text is string {
  return text !== null && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));
}

export function placeOf(url: URL): Place {
  const said = (key: string): string | null => url.searchParams.get(key)?.trim() || null;
  const day = (key: string): string | null => (isDay(said(key)) ? said(key) : null);
  const theme = said('theme');
  const path = url.pathname.replace(/\/+$/, '') || '/';
  const page = (Object.keys(PATHS) as Page[]).find((candidate) => PATHS[candidate] === path);
  return {
    page: page ?? 'board',
    authority: said('authority'),
    service: said('service'),
    team: said('team'),
    as_of: day('as_of'),
    known_at: day('known_at'),
    theme: theme === 'light' || theme === 'dark' ? theme : null,
    tile: said('tile'),
    sort: said('sort'),
    next: local(said('next')),
  };
}

/** Only a page of this server: a link to sign in must not lead elsewhere. */
function local(address: string | null): string | null {
  return address !== null && /^\/(?![/\\])/.test(address) ? address : null;
}

export function linkTo(place: Place): string {
  const params = new URLSearchParams();
  for (const key of KEYS) {
    const value = place[key];
    if (value !== null) params.set(key, value);
  }
  const query = params.toString();
  return PATHS[place.page] + (query === '' ? '' : `?${query}`);
}

/** A link of the server's, such as a team's row, seen at the moment and in the colours that are chosen here. */
export function follow(from: Place, link: string): Place {
  const to = placeOf(new URL(link, 'http://board'));
  return {
    ...to,
    authority: to.authority ?? from.authority,
    as_of: to.as_of ?? from.as_of,
    known_at: to.known_at ?? from.known_at,
    theme: from.theme,
  };
}

/** The query of the server's interface for what is shown. */
export function subjectQuery(place: Place, more: Record<string, string> = {}): string {
  const params = new URLSearchParams(more);
  for (const key of [...SUBJECT, ...MOMENT]) {
    const value = place[key];
    if (value !== null) params.set(key, value);
  }
  return params.toString();
}

export function isLive(place: Place): boolean {
  return place.as_of === null && place.known_at === null;
}
