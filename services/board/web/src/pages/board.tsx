// The board: the state of an authority, a service or a team, now or at the end of a day.

import { useEffect, useState } from 'preact/hooks';
import * as api from '../api';
import type { Fresh, Tile, View } from '../contract';
import { day, dayOf, tierWords } from '../format';
import { follow } from '../live';
import { Announcer } from '../parts/announce';
import { Controls } from '../parts/controls';
import { Fault } from '../parts/frame';
import { FreshBanner, useFreshness } from '../parts/freshness';
import { Masthead, subjectName } from '../parts/masthead';
import { useHere } from '../parts/place';
import { TileView } from '../parts/tile';
import { useNow } from '../parts/use';
import { isLost, LOST, shown } from '../stale';
import { isLive, type Place, subjectQuery } from '../url';
import { TilePage } from './tile';

export interface Heard {
  view: View;
  fresh: Fresh;
  /** When the server was last heard, by this machine's clock. */
  heardMs: number;
  /** Of whom, and as of when, it was asked for. */
  query: string;
}

/** What the server says of a place: once of a past day, again and again of now. */
function useView(place: Place): { heard: Heard | null; error: string | null; retry(): void } {
  const { go } = useHere();
  const [heard, setHeard] = useState<Heard | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);
  const query = subjectQuery(place);
  useEffect(() => {
    const given = new AbortController();
    const take = (view: View): void => {
      if (given.signal.aborted) return;
      setError(null);
      setHeard({ view, fresh: view.fresh, heardMs: Date.now(), query });
    };
    const signedOut = (): void =>
      go({ ...place, page: 'sign-in', next: window.location.pathname + window.location.search });
    const ask = (): void => {
      api.view(place, given.signal).then(take, (fault: Error) => {
        if (given.signal.aborted) return;
        const status = fault instanceof api.Refused ? fault.status : 0;
        if (status === 401) return signedOut();
        setError(fault.message);
        // Another's numbers do not stand in.
        setHeard((before) => (before?.query === query ? before : null));
        // What is not there, or not for this person, does not come to be by waiting.
        if (status >= 400 && status < 500) stop();
      });
    };
    ask();
    const stop = isLive(place)
      ? follow(place, {
          view: take,
          pulse: (fresh) => setHeard((before) => before && { ...before, fresh, heardMs: Date.now() }),
          signedOut,
        })
      : () => undefined;
    return () => {
      given.abort();
      stop();
    };
  }, [query, attempt]);
  const isOther = heard !== null && heard.view.moment.live !== isLive(place);
  return { heard: isOther ? null : heard, error, retry: () => setAttempt((before) => before + 1) };
}

export function BoardPage() {
  const { place } = useHere();
  const { heard, error, retry } = useView(place);
  const now = useNow();
  if (heard === null) {
    return error === null ? (
      <p class="govuk-body loading" role="status">
        Reading the numbers
      </p>
    ) : (
      <>
        <h1 class="govuk-heading-xl">Board</h1>
        <Fault message={error} retry={retry} />
      </>
    );
  }
  const lost = heard.view.moment.live && isLost(heard.heardMs, now);
  const view = shown(heard.view, heard.fresh, lost);
  return (
    <>
      {error !== null && !lost && <Fault message={error} retry={retry} />}
      <Loaded heard={heard} view={view} lost={lost} />
    </>
  );
}

function Loaded({ heard, view, lost }: { heard: Heard; view: View; lost: boolean }) {
  const { place } = useHere();
  const { fresh, heardMs } = heard;
  const state = useFreshness({ fresh, lost, heardMs });
  const tile = view.sections.flatMap((section) => section.tiles).find((candidate) => candidate.id === place.tile);
  const name = subjectName(view);
  const when = view.moment.live ? '' : `, ${day(dayOf(view.moment.as_of))}`;
  const late = state.kind === 'late' || state.kind === 'catching_up';
  const title = `${late ? `${state.headline}: ` : ''}${tile ? `${tile.title}, ` : ''}${name}${when} - casewatch`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  const saidAlready = lost ? LOST : late ? fresh.says : null;
  const headlines = headlineTiles(view);
  return (
    <>
      <FreshBanner view={view} fresh={fresh} lost={lost} heardMs={heardMs} />
      <Masthead view={view} fresh={fresh} lost={lost} heardMs={heardMs} />
      <Controls view={view} />
      <Announcer
        message={announcement(
          view,
          late ? `${state.headline}. ${state.headline === 'Not up to date' ? 'Every number is unknown.' : ''}` : null,
        )}
        urgent={late}
      />
      {place.tile === null ? (
        view.sections.map((section, index) => (
          <section class="section" key={section.id} aria-labelledby={`section-${section.id}`}>
            <div class="section__head">
              <h2 class="govuk-heading-l section__title" id={`section-${section.id}`}>
                {section.title}
              </h2>
              {section.lead !== '' && <p class="section__lead">{section.lead}</p>}
            </div>
            <div class="tiles">
              {section.tiles.map((one) => (
                <TileView
                  key={one.id}
                  tile={one}
                  view={view}
                  headline={index === 0 && headlines.has(one.id)}
                  saidAlready={saidAlready}
                />
              ))}
            </div>
          </section>
        ))
      ) : (
        <TilePage view={view} tile={tile} saidAlready={saidAlready} />
      )}
      <Colophon view={view} />
    </>
  );
}

/** The page opens with two: one number alone can look well while the other does not. */
function headlineTiles(view: View): Set<string> {
  const tiles = view.sections[0]?.tiles ?? [];
  return new Set(
    tiles
      .filter((tile) => tile.kind === 'number' || tile.kind === 'split')
      .slice(0, 2)
      .map((tile) => tile.id),
  );
}

/** What of a live page is said aloud: that it is late, or what now needs someone; not each number that moves. */
function announcement(view: View, late: string | null): string {
  if (late !== null) return late;
  const acute = (tile: Tile): boolean => tile.tier?.severity === 'page';
  const said = view.sections
    .flatMap((section) => section.tiles)
    .filter(acute)
    .map((tile) => `${tile.title}, ${tile.tier ? tierWords(tile.tier, tile.thresholds, tile.unit) : ''}`);
  return said.length === 0 ? 'Up to date. Nothing is over a limit.' : `Up to date. ${said.join('. ')}.`;
}

function Colophon({ view }: { view: View }) {
  const of = view.moment.live ? 'now' : day(dayOf(view.moment.as_of));
  return (
    <footer class="colophon">
      <p>
        Numbers of {of}, each with its definition behind its title.{' '}
        <span class="print-only">{window.location.href}</span>
      </p>
    </footer>
  );
}
