// Rates beside the ones they are judged by: the first column is ours, the others are marks to compare it with.

import { scaleLinear } from 'd3-scale';
import type { Column, Row } from '../contract';
import { amount } from '../format';
import { CellTier } from './tag';
import { useWidth } from './use';
import { CellValue } from './value';

interface RatesProps {
  caption: string;
  columns: Column[];
  rows: Row[];
  unit: string;
}

const STRIP = 260;
const MARKS = ['own', 'first', 'second', 'third'] as const;

/** Marks differ in shape as well as in colour. */
function Mark({ kind, x, y }: { kind: (typeof MARKS)[number]; x: number; y: number }) {
  if (kind === 'own') return <circle class="mark mark--own" cx={x} cy={y} r={6} />;
  if (kind === 'first') return <line class="mark mark--first" x1={x} x2={x} y1={y - 9} y2={y + 9} />;
  if (kind === 'second') return <path class="mark mark--second" d={`M${x} ${y - 6} l6 6 l-6 6 l-6 -6 Z`} />;
  return <path class="mark mark--third" d={`M${x - 6} ${y - 6} l12 0 l-6 11 Z`} />;
}

export function Key({ columns }: { columns: Column[] }) {
  return (
    <ul class="key">
      {columns.slice(0, MARKS.length).map((column, index) => (
        <li key={column.id}>
          <svg width="18" height="20" aria-hidden="true">
            <Mark kind={MARKS[index] ?? 'third'} x={9} y={10} />
          </svg>
          {column.title}
        </li>
      ))}
    </ul>
  );
}

/** Each row has a scale of its own that begins at 0: turnover and absence are not compared with each other. */
function Strip({ row, width, y }: { row: Row; width: number; y: number }) {
  const known = row.cells.filter((cell) => cell !== null);
  const x = scaleLinear([0, Math.max(0.0001, ...known) * 1.08], [8, width - 8]);
  return (
    <>
      <line class="chart__grid" x1={8} x2={width - 8} y1={y} y2={y} />
      {row.cells
        .slice(0, MARKS.length)
        .map((cell, index) =>
          cell === null ? null : <Mark key={MARKS[index]} kind={MARKS[index] ?? 'third'} x={x(cell)} y={y} />,
        )
        .reverse()}
    </>
  );
}

export function Rates({ caption, columns, rows, unit }: RatesProps) {
  const unitOf = (index: number): string => columns[index]?.unit ?? unit;
  return (
    <>
      <Key columns={columns} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="scroll" aria-label={caption} tabIndex={0}>
        <table class="govuk-table rates">
          <caption class="govuk-visually-hidden">{caption}</caption>
          <thead>
            <tr>
              <th scope="col">Rate</th>
              <td class="rates__strip" />
              {columns.map((column) => (
                <th scope="col" class="numeric" key={column.id}>
                  {column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.id}>
                <th scope="row">{row.title}</th>
                <td class="rates__strip">
                  <svg width={STRIP} height="24" aria-hidden="true">
                    <Strip row={row} width={STRIP} y={12} />
                  </svg>
                </td>
                {row.cells.map((cell, index) => (
                  <td class={index === 0 ? 'numeric rates__own' : 'numeric'} key={columns[index]?.id ?? index}>
                    <CellTier tier={row.tiers?.[index]} />
                    <CellValue value={cell} unit={unitOf(index)} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  );
}

/** The same as one picture, to be taken away. */
export function RatesChart({ caption, columns, rows, unit }: RatesProps) {
  const [box, width] = useWidth<HTMLDivElement>();
  const rowHeight = 56;
  const height = rows.length * rowHeight + 34;
  const say = (row: Row): string =>
    row.cells
      .map((cell, index) => `${columns[index]?.title ?? ''} ${cell === null ? 'unknown' : amount(cell, unit)}`)
      .join(', ');
  return (
    <div class="chart" ref={box}>
      {width > 0 && (
        <svg
          width={width}
          height={height}
          role="img"
          aria-label={`${caption}: ${rows.map((row) => `${row.title}: ${say(row)}`).join('; ')}.`}
        >
          {columns.slice(0, MARKS.length).map((column, index) => (
            <g key={column.id} transform={`translate(${index * Math.min(150, width / columns.length)} 0)`}>
              <Mark kind={MARKS[index] ?? 'third'} x={9} y={12} />
              <text class="chart__tick" x={22} y={16}>
                {column.title}
              </text>
            </g>
          ))}
          {rows.map((row, index) => (
            <g key={row.id} transform={`translate(0 ${34 + index * rowHeight})`}>
              <text class="chart__value" x={8} y={16}>
                {row.title}
                {row.cells[0] === null || row.cells[0] === undefined ? ': unknown' : `: ${amount(row.cells[0], unit)}`}
              </text>
              <Strip row={row} width={width} y={36} />
            </g>
          ))}
        </svg>
      )}
    </div>
  );
}
