// Parts of a number, as a table with a bar in each row: read by eye and by a screen reader alike.

import { scaleLinear } from 'd3-scale';
import type { Part } from '../contract';
import { number } from '../format';
import { CellTier } from './tag';
import { useWidth } from './use';
import { CellValue } from './value';

interface BarsProps {
  caption: string;
  partsAre: string;
  unit: string;
  parts: Part[];
}

export function Bars({ caption, partsAre, unit, parts }: BarsProps) {
  const greatest = Math.max(1, ...parts.map((part) => Math.abs(part.value ?? 0)));
  return (
    <table class="bars">
      <caption class="govuk-visually-hidden">{caption}</caption>
      <thead class="govuk-visually-hidden">
        <tr>
          <th scope="col">{partsAre}</th>
          <th scope="col">{unit}</th>
        </tr>
      </thead>
      <tbody>
        {parts.map((part) => (
          <tr key={part.id}>
            <th scope="row">{part.title}</th>
            <td class={`bars__cell bars__cell--${part.tier?.severity ?? 'none'}`}>
              <svg class="bars__bar" width="100%" height="16" aria-hidden="true">
                <rect width={`${(100 * Math.abs(part.value ?? 0)) / greatest}%`} height="16" />
              </svg>
              <span class="bars__value">
                <CellTier tier={part.tier} />
                <CellValue value={part.value} unit={unit} />
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The same as one picture, to be taken away. */
export function BarChart({ caption, unit, parts }: Omit<BarsProps, 'partsAre'>) {
  const [box, width] = useWidth<HTMLDivElement>();
  const rowHeight = 30;
  const height = parts.length * rowHeight + 6;
  const names = Math.min(width * 0.42, 12 + Math.max(...parts.map((part) => part.title.length)) * 7.6);
  const x = scaleLinear(
    [0, Math.max(1, ...parts.map((part) => part.value ?? 0))],
    [0, Math.max(0, width - names - 64)],
  );
  const words = parts.map((part) => `${part.title} ${part.value === null ? 'unknown' : number(part.value)}`).join(', ');
  return (
    <div class="chart" ref={box}>
      {width > 0 && (
        <svg width={width} height={height} role="img" aria-label={`${caption}, ${unit}: ${words}.`}>
          {parts.map((part, index) => (
            <g key={part.id} transform={`translate(0 ${index * rowHeight})`}>
              <text class="chart__name" x={names - 8} y={20} text-anchor="end">
                {part.title}
              </text>
              <rect class="chart__bar" x={names} y={4} width={x(part.value ?? 0)} height={22} />
              <text class="chart__value" x={names + x(part.value ?? 0) + 6} y={20}>
                {part.value === null ? 'unknown' : number(part.value)}
              </text>
            </g>
          ))}
          <line class="chart__axis" x1={names} x2={names} y1={0} y2={height} />
        </svg>
      )}
    </div>
  );
}
