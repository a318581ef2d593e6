// Links to the board that stand elsewhere: in alerts, in the README. The page reads an address that it does not know as the
// plain board, so a link that is off would lead somewhere all the same.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { HOME, linkTo, type Place, placeOf } from '../src/url';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const BOARD = 'https://board.test';
const RULES = `${ROOT}deploy/prometheus/rules/`;

/** Labels of an alert, as awkward as a source system's ids may be. */
const LABELS: Record<string, string> = { authority: 'E1&2', service: 'front door', team: 'T/1+2=3#é' };

/** Where an alert's annotation leads, its template filled in as Prometheus does. */
function filledIn(template: string): string {
  return template
    .replaceAll('{{ $externalLabels.casewatch_board }}', BOARD)
    .replaceAll(/\{\{ urlquery \$labels\.(\w+) \}\}/g, (_, label: string) => encodeURIComponent(LABELS[label] ?? ''));
}

function linksOfAlerts(): { alert: string; template: string }[] {
  const files = readdirSync(RULES).filter((file) => file.endsWith('.yml'));
  return files.flatMap((file) => {
    let alert = '';
    return readFileSync(RULES + file, 'utf8')
      .split('\n')
      .flatMap((line) => {
        alert = /^ *- alert: (\w+)/.exec(line)?.[1] ?? alert;
        const template = /^ *board_url: '(.*)'$/.exec(line)?.[1];
        return template === undefined ? [] : [{ alert, template }];
      });
  });
}

/** What the page makes of an address, and nothing of it lost on the way. */
function understood(address: string): Place {
  const url = new URL(address, BOARD);
  const place = placeOf(url);
  const back = new URL(linkTo(place), BOARD);
  expect(`${back.origin}${back.pathname}`, address).toBe(`${BOARD}${url.pathname}`);
  expect([...back.searchParams].sort(), address).toEqual([...url.searchParams].sort());
  return place;
}

describe('the link of an alert', () => {
  const links = linksOfAlerts();

  it('is there for each of them', () => {
    expect(links.length).toBeGreaterThan(15);
  });

  it.each(links)('$alert leads to what its labels name: $template', ({ template }) => {
    const named = Object.keys(LABELS).filter((label) => template.includes(`$labels.${label} `));
    const subject = Object.fromEntries(named.map((label) => [label, LABELS[label]]));
    expect(understood(filledIn(template))).toEqual({ ...HOME, ...subject });
  });
});

it('an address in the README is one of the page', () => {
  const readme = readFileSync(`${ROOT}README.md`, 'utf8');
  const links = [...readme.matchAll(/`(\/\?[^`]+)`/g)].map((found) => found[1] ?? '');
  expect(links.length).toBeGreaterThan(0);
  for (const link of links) understood(link);
});
