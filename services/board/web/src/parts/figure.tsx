// A chart to take away: as a picture, as a table on the page, and as a file.

import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';
import { type Cell, downloadCsv } from '../csv';
import { downloadPng } from '../png';

interface FigureProps {
  title: string;
  subtitle: string;
  /** Below the picture that is taken away. */
  note: string;
  file: string;
  header: string[];
  /** As shown on the page. */
  rows: Cell[][];
  /** As written to a file, where a number has all of its digits; as shown without it. */
  raw?: Cell[][];
  children: ComponentChildren;
}

export function Figure({ title, subtitle, note, file, header, rows, raw, children }: FigureProps) {
  const chart = useRef<HTMLDivElement>(null);
  const takePicture = (): void => {
    const svg = chart.current?.querySelector('svg');
    if (svg) void downloadPng(file, svg, { title: `${title}, ${subtitle}`, note });
  };
  return (
    <figure class="figure">
      <figcaption class="figure__caption">
        <h2 class="govuk-heading-m">{title}</h2>
        <p class="figure__subtitle">{subtitle}</p>
      </figcaption>
      <div ref={chart}>{children}</div>
      <div class="figure__actions">
        <button
          type="button"
          class="govuk-button govuk-button--secondary"
          onClick={() => downloadCsv(file, header, raw ?? rows)}
        >
          Download CSV<span class="govuk-visually-hidden"> of {title}</span>
        </button>
        <button type="button" class="govuk-button govuk-button--secondary" onClick={takePicture}>
          Download PNG<span class="govuk-visually-hidden"> of {title}</span>
        </button>
      </div>
      <details class="figure__table">
        <summary>
          Table of {title.charAt(0).toLowerCase()}
          {title.slice(1)}
        </summary>
        <table class="govuk-table">
          <caption class="govuk-visually-hidden">{title}</caption>
          <thead>
            <tr>
              {header.map((name, index) => (
                <th scope="col" class={index === 0 ? undefined : 'numeric'} key={name}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={String(row[0])}>
                <th scope="row">{row[0]}</th>
                {row.slice(1).map((cell, index) => (
                  <td class="numeric" key={header[index + 1]}>
                    {cell === null ? 'unknown' : cell}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
