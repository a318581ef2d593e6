// Follows what the server sends, connects again when it stops, and knows for how long nothing was heard.

import { me, Refused } from './api';
import type { Fresh, View } from './contract';
import { isLost } from './stale';
import { type Place, subjectQuery } from './url';

export interface Listener {
  view(view: View): void;
  /** A sign of life, with how fresh the numbers are. */
  pulse(fresh: Fresh): void;
  /** The session has ended: sign in again. */
  signedOut(): void;
}

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 15_000;

/** The pause before the n-th attempt in a row (from 0): doubled each time, and never the same for all pages. */
export function retryPause(attempt: number, chance: number): number {
  const longest = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt);
  return longest * (0.5 + 0.5 * chance);
}

/** Opens the stream; what is returned closes it. */
export function follow(place: Place, listener: Listener): () => void {
  let source: EventSource | null = null;
  let retry: number | undefined;
  let attempt = 0;
  let heardMs = Date.now();
  let closed = false;

  const heard = (): void => {
    heardMs = Date.now();
    attempt = 0;
  };
  const open = (): void => {
    retry = undefined;
    const opened = new EventSource(`/api/live?${subjectQuery(place)}`);
    source = opened;
    opened.addEventListener('view', (event) => {
      heard();
      listener.view(JSON.parse(event.data) as View);
    });
    opened.addEventListener('pulse', (event) => {
      heard();
      listener.pulse(JSON.parse(event.data) as Fresh);
    });
    // An EventSource gives up for good on some answers and never looks at others: each attempt is a new one.
    opened.onerror = again;
  };
  const again = (): void => {
    source?.close();
    source = null;
    if (closed || retry !== undefined) return;
    retry = window.setTimeout(reopen, retryPause(attempt, Math.random()));
    attempt += 1;
  };
  const reopen = async (): Promise<void> => {
    const answer = await me().catch((error: unknown) => error);
    if (closed) return;
    if (answer instanceof Refused && answer.status === 401) listener.signedOut();
    else if (answer instanceof Error) {
      retry = undefined;
      again();
    } else open();
  };
  // A connection can be dead without an error, such as behind a proxy that has gone or after a laptop's sleep.
  const watch = window.setInterval(() => {
    if (source !== null && isLost(heardMs, Date.now())) again();
  }, 1000);
  const wake = (): void => {
    if (source !== null || retry === undefined) return;
    window.clearTimeout(retry);
    void reopen();
  };
  window.addEventListener('online', wake);
  open();
  return () => {
    closed = true;
    source?.close();
    window.clearTimeout(retry);
    window.clearInterval(watch);
    window.removeEventListener('online', wake);
  };
}
