// Says to screen readers what changed and matters, and not each number that moves.

import { useEffect, useRef, useState } from 'preact/hooks';

/** At most one announcement in so long: a live page would otherwise never be quiet. */
export const QUIET_MS = 20_000;

/** The message to say now: a new one, unless another was said just before and this one can wait. */
export function due(message: string, said: string, saidMs: number, nowMs: number, urgent: boolean): boolean {
  return message !== '' && message !== said && (urgent || nowMs - saidMs >= QUIET_MS);
}

export function Announcer({ message, urgent }: { message: string; urgent: boolean }) {
  const [text, setText] = useState('');
  const last = useRef({ text: message, ms: Date.now() });
  useEffect(() => {
    const say = (): boolean => {
      if (!due(message, last.current.text, last.current.ms, Date.now(), urgent)) return message === last.current.text;
      last.current = { text: message, ms: Date.now() };
      setText(message);
      return true;
    };
    if (say()) return undefined;
    const later = window.setInterval(() => {
      if (say()) window.clearInterval(later);
    }, 1000);
    return () => window.clearInterval(later);
  }, [message, urgent]);
  return (
    <p class="govuk-visually-hidden" role="status" data-announcer>
      {text}
    </p>
  );
}
