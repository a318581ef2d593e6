// Asks the server. Errors are sentences for the person in front of the page.

import type { Me, Trend, View, Worklist } from './contract';
import { type Place, subjectQuery } from './url';

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function ask<Answer>(path: string, options: RequestInit = {}): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...options });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refused(0, 'casewatch does not answer. It may be starting, or the network may be down.');
  }
  if (!response.ok) throw new Refused(response.status, await reason(response));
  return (response.status === 204 ? undefined : await response.json()) as Answer;
}

async function reason(response: Response): Promise<string> {
  const said = (await response.json().catch(() => null)) as { error?: unknown } | null;
  return typeof said?.error === 'string' ? said.error : `casewatch answered ${response.status}.`;
}

const signalled = (signal: AbortSignal | undefined): RequestInit => (signal === undefined ? {} : { signal });

export function me(): Promise<Me> {
  return ask('/api/me');
}

export function signIn(user: string, password: string): Promise<void> {
  return ask('/api/sign-in', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user, password }),
  });
}

export function signOut(): Promise<void> {
  return ask('/api/sign-out', { method: 'POST' });
}

export function view(place: Place, signal?: AbortSignal): Promise<View> {
  return ask(`/api/view?${subjectQuery(place)}`, signalled(signal));
}

export function worklist(place: Place, signal?: AbortSignal): Promise<Worklist> {
  return ask(`/api/worklist?${subjectQuery(place)}`, signalled(signal));
}

// A board has a score of trends, and most are below the fold: a few at a time leave the server to others.
const AT_ONCE = 4;
let busy = 0;
const waiting: (() => void)[] = [];

export async function trend(place: Place, tile: string): Promise<Trend> {
  if (busy >= AT_ONCE) await new Promise<void>((resume) => waiting.push(resume));
  else busy += 1;
  try {
    return await ask<Trend>(`/api/trend?${subjectQuery(place, { tile })}`);
  } finally {
    const next = waiting.shift();
    if (next === undefined) busy -= 1;
    else next();
  }
}
