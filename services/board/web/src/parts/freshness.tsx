// How fresh the page is: a word beside the date while all is well, and the loudest thing on the page when it is not.

import type { Fresh, View } from '../contract';
import { dayOf, dayWithWeekday, timeOf } from '../format';
import { type Freshness, freshness } from '../stale';
import { To, useHere } from './place';
import { useNow } from './use';

interface FreshProps {
  view: View;
  fresh: Fresh;
  lost: boolean;
  heardMs: number;
}

export function useFreshness({ fresh, lost, heardMs }: Omit<FreshProps, 'view'>): Freshness {
  return freshness(fresh, lost, heardMs, useNow());
}

export function FreshBanner(props: FreshProps) {
  const { place } = useHere();
  const now = useFreshness(props);
  if (now.kind === 'fresh') return null;
  if (now.kind === 'past') {
    return (
      <aside class="banner banner--past" aria-label="Which day this is" data-fresh="past">
        <p class="banner__headline">{pastHeadline(props.view)}</p>
        <p class="banner__detail">
          {knownWords(props.view)} <To place={{ ...place, as_of: null, known_at: null }}>Go to now</To>
        </p>
      </aside>
    );
  }
  const silent = props.fresh.feeds.filter((feed) => feed.silent).map((feed) => feed.feed);
  return (
    <aside class="banner banner--late" aria-label="How fresh this is" data-fresh={now.kind}>
      <p class="banner__headline">
        <svg width="36" height="32" viewBox="0 0 36 32" aria-hidden="true">
          <path class="banner__sign" d="M18 1 L35 31 L1 31 Z" />
          <path class="banner__mark" d="M18 10 L18 21 M18 25 L18 27" />
        </svg>
        {now.headline}
      </p>
      <p class="banner__detail">{now.detail}</p>
      {props.fresh.read_up_to !== null && (
        <p class="banner__detail">
          Last read up to {timeOf(props.fresh.read_up_to)} on {dayWithWeekday(dayOf(props.fresh.read_up_to))}.
          {silent.length > 0 && ` Silent: ${silent.join(', ')}.`}
        </p>
      )}
    </aside>
  );
}

function pastHeadline(view: View): string {
  return `This is the end of ${dayWithWeekday(dayOf(view.moment.as_of))}`;
}

function knownWords({ moment }: View): string {
  const known = dayOf(moment.known_at);
  return known === dayOf(moment.as_of)
    ? 'As it was known on that day, without what was recorded later.'
    : `As it was known on ${dayWithWeekday(known)}, with what was recorded since.`;
}

/** Of when the numbers are: beside the heading, legible from the other end of a room. */
export function Moment(props: FreshProps) {
  const now = useFreshness(props);
  const { moment } = props.view;
  const read = props.fresh.read_up_to ?? moment.as_of;
  if (now.kind === 'past') return null;
  return (
    <div class={`moment moment--${now.kind}`}>
      <p class="moment__day">
        {read === null ? (
          'Nothing read yet'
        ) : (
          <time dateTime={read}>
            {dayWithWeekday(dayOf(read))}, {timeOf(read)}
          </time>
        )}
      </p>
      <p class="moment__fresh" data-fresh-word>
        <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
          {now.kind === 'fresh' ? <circle cx="6" cy="6" r="5" /> : <path d="M1 1 L11 11 M11 1 L1 11" />}
        </svg>
        <strong>{now.headline}</strong>
        {now.kind === 'fresh' && <span class="moment__age"> {now.detail}</span>}
      </p>
    </div>
  );
}
