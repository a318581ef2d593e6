// A team's rows: what is late, for its manager. Each look at it is recorded.

import { useEffect, useState } from 'preact/hooks';
import * as api from '../api';
import type { Worklist } from '../contract';
import { downloadCsv, fileName } from '../csv';
import { day, number } from '../format';
import { Fault } from '../parts/frame';
import { To, useHere } from '../parts/place';
import { isDay, subjectQuery } from '../url';

export function WorklistPage() {
  const { place, go } = useHere();
  const [list, setList] = useState<Worklist | null>(null);
  const [error, setError] = useState<string | null>(null);
  const query = subjectQuery(place);
  useEffect(() => {
    document.title = `Worklist, ${place.team ?? 'all teams'} - casewatch`;
    const given = new AbortController();
    setList(null);
    setError(null);
    api.worklist(place, given.signal).then(setList, (fault: Error) => {
      if (given.signal.aborted) return;
      if (fault instanceof api.Refused && fault.status === 401) {
        go({ ...place, page: 'sign-in', next: window.location.pathname + window.location.search });
      } else setError(fault.message);
    });
    return () => given.abort();
  }, [query]);
  return (
    <>
      <To place={{ ...place, page: 'board', sort: null }} class="govuk-back-link">
        The team's board
      </To>
      <h1 class="govuk-heading-xl" tabIndex={-1}>
        Worklist of {place.team ?? 'all teams'}
      </h1>
      {place.as_of !== null && <p class="govuk-body">As of the end of {day(place.as_of)}.</p>}
      <p class="govuk-inset-text">
        These are rows about children and workers. Who looks at them, and when, is recorded.
      </p>
      {error !== null && <Fault message={error} />}
      {list === null && error === null && (
        <p class="govuk-body" role="status">
          Reading the worklist
        </p>
      )}
      {list !== null && <Rows list={list} file={fileName('worklist', place.team, place.as_of)} />}
    </>
  );
}

type Cell = Worklist['rows'][number][number];

const isNumeric = (type: string): boolean => /int|float|double|decimal|number/i.test(type);

function written(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return number(cell);
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
  return isDay(cell) ? day(cell) : cell;
}

function Rows({ list, file }: { list: Worklist; file: string }) {
  const { columns, rows, note } = list;
  const take = (): void =>
    downloadCsv(
      file,
      columns.map((column) => column.title),
      rows,
    );
  return (
    <>
      <p class="govuk-body">
        {rows.length === 0 ? 'Nothing is late.' : `${number(rows.length)} ${rows.length === 1 ? 'entry' : 'entries'}.`}{' '}
        {note}
      </p>
      {rows.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <section class="scroll" aria-label="Worklist" tabIndex={0}>
          <table class="govuk-table data data--worklist">
            <caption class="govuk-visually-hidden">Worklist</caption>
            <thead>
              <tr>
                {columns.map((column) => (
                  <th scope="col" class={isNumeric(column.type) ? 'numeric' : undefined} key={column.name}>
                    {column.title}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, index) => (
                <tr key={index}>
                  {row.map((cell, at) => (
                    <td
                      class={isNumeric(columns[at]?.type ?? '') ? 'numeric' : undefined}
                      key={columns[at]?.name ?? at}
                    >
                      {written(cell)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      {rows.length > 0 && (
        <p class="figure__actions">
          <button type="button" class="govuk-button govuk-button--secondary" onClick={take}>
            Download CSV<span class="govuk-visually-hidden"> of the worklist</span>
          </button>
        </p>
      )}
    </>
  );
}
