// A number over time. Lines start at 0 where 0 has a meaning (counts and rates all do), limits and benchmarks are named
// where they are drawn, and a day that nobody knows is a gap.

import { scaleLinear, scaleTime } from 'd3-scale';
import { curveLinear, line } from 'd3-shape';
import { useState } from 'preact/hooks';
import type { Benchmark, Point, Threshold } from '../contract';
import { amount, day, dayShort, monthOf, number, severityWord } from '../format';
import { summary } from '../trend';
import { useWidth } from './use';

export type Span = 'days' | 'months';

export interface LineChartProps {
  label: string;
  span: Span;
  unit: string;
  points: Point[];
  thresholds: Threshold[];
  benchmark: Benchmark | null;
  height: number;
}

const TOP = 22;
const BOTTOM = 24;
const FONT = 13;

const at = (iso: string): Date => new Date(`${iso}T00:00:00Z`);

export function dateOf(iso: string, span: Span): string {
  return span === 'days' ? day(iso) : monthOf(iso);
}

/** What the chart shows, for who cannot see it; its numbers stand in the table beside it. */
export function inWords(label: string, span: Span, unit: string, points: Point[]): string {
  const found = summary(points);
  if (found === null) return `${label}: nothing is known of these ${span}.`;
  const say = ([when, value]: Point): string => `${value === null ? 'unknown' : amount(value, unit)} on ${day(when)}`;
  const gaps = found.gaps === 0 ? '' : ` ${found.gaps} of ${points.length} ${span} are unknown.`;
  return `${label}: from ${say(found.first)} to ${say(found.last)}; lowest ${say(found.lowest)}, highest ${say(found.highest)}.${gaps}`;
}

/** The limit that was passed last and the next one: all of them would hide the line, and one far above would flatten it. */
export function nearest(thresholds: Threshold[], value: number, visible: number): Threshold[] {
  const rising = thresholds
    .filter((limit) => limit.value > 0 && limit.value <= visible)
    .sort((a, b) => a.value - b.value);
  const next = rising.findIndex((limit) => limit.value >= value);
  return next < 0 ? rising.slice(-1) : rising.slice(Math.max(0, next - 1), next + 1);
}

/** Where nothing is known: from the last point that is to the next one. */
export function gaps(points: Point[]): [from: number, to: number][] {
  const known = points.flatMap(([, value], index) => (value === null ? [] : [index]));
  const edges = [
    ...(points[0]?.[1] === null ? [0] : []),
    ...known,
    ...(points.at(-1)?.[1] === null ? [points.length - 1] : []),
  ];
  return edges.slice(1).flatMap((to, index): [number, number][] => {
    const from = edges[index] ?? to;
    const between = points.slice(from, to + 1).some(([, value]) => value === null);
    return between ? [[from, to]] : [];
  });
}

interface Mark {
  key: string;
  value: number;
  text: string;
  y: number;
}

/** Labels of levels, moved apart so that none covers another, from the top down. */
export function spread(marks: Mark[], gap: number): Mark[] {
  let above = Number.NEGATIVE_INFINITY;
  return [...marks]
    .sort((a, b) => a.y - b.y)
    .map((mark) => {
      above = Math.max(mark.y, above + gap);
      return { ...mark, y: above };
    });
}

export function LineChart({ label, span, unit, points, thresholds, benchmark, height }: LineChartProps) {
  const [box, width] = useWidth<HTMLDivElement>();
  const [picked, setPicked] = useState<number | null>(null);
  const known = points.filter((point): point is [string, number] => point[1] !== null);
  const first = points[0];
  const last = points.at(-1);
  const empty = known.length === 0 || first === undefined || last === undefined;
  return (
    <div class="chart" ref={box}>
      {empty ? <p class="chart__empty">Nothing is known of these {span}.</p> : width === 0 ? null : draw()}
    </div>
  );

  function draw() {
    const greatest = Math.max(...known.map(([, value]) => value));
    const least = Math.min(0, ...known.map(([, value]) => value));
    const near = nearest(thresholds, known.at(-1)?.[1] ?? 0, greatest * 1.6);
    const levels = [...near.map((threshold) => threshold.value), ...(benchmark === null ? [] : [benchmark.value])];
    const top = Math.max(greatest, ...levels, least === 0 && greatest === 0 ? 1 : 0);
    const y = scaleLinear([least, top * 1.04], [height - BOTTOM, TOP]).nice(4);
    const ticks = y.ticks(4).filter((tick) => unit === '%' || Number.isInteger(tick) || top < 3);
    const narrow = width < 380;
    const right = levels.length === 0 ? 24 : narrow ? 76 : Math.min(132, width * 0.3);
    const left = 12 + Math.max(...ticks.map((tick) => amount(tick, unit).length)) * 7.5;
    const x = scaleTime([at(first?.[0] ?? ''), at(last?.[0] ?? '')], [left, width - right]);
    const path = line<Point>()
      .defined(([, value]) => value !== null)
      .x(([when]) => x(at(when)))
      .y(([, value]) => y(value ?? 0))
      .curve(curveLinear);
    const end = known.at(-1) ?? ['', 0];
    const shownPoint = picked === null ? undefined : points[picked];
    const marks = spread(
      [
        ...near.map((threshold) => ({
          key: threshold.tier,
          value: threshold.value,
          text: `${narrow ? 'over' : `${severityWord(threshold.severity)} over`} ${amount(threshold.value, unit)}`,
          y: y(threshold.value),
        })),
        ...(benchmark === null
          ? []
          : [
              {
                key: 'benchmark',
                value: benchmark.value,
                text: `${benchmark.name} ${amount(benchmark.value, unit)}`,
                y: y(benchmark.value),
              },
            ]),
      ],
      FONT + 3,
    );
    return (
      <svg
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={inWords(label, span, unit, points)}
        onPointerMove={(event) => pick(event, x.invert)}
        onPointerLeave={() => setPicked(null)}
      >
        {ticks.map((tick) => (
          <g key={tick}>
            <line class="chart__grid" x1={left} x2={width - right} y1={y(tick)} y2={y(tick)} />
            <text class="chart__tick" x={left - 6} y={y(tick) + 4} text-anchor="end">
              {amount(tick, unit)}
            </text>
          </g>
        ))}
        {days(left, width - right, x)}
        {marks.map((mark) => (
          <g key={mark.key}>
            <line
              class={mark.key === 'benchmark' ? 'chart__benchmark' : 'chart__limit'}
              x1={left}
              x2={width - right}
              y1={y(mark.value)}
              y2={y(mark.value)}
            />
            <text
              class={mark.key === 'benchmark' ? 'chart__benchmark-name' : 'chart__limit-name'}
              x={width - right + 8}
              y={mark.y + 4}
            >
              {mark.text}
            </text>
          </g>
        ))}
        {gaps(points).map(([from, to]) => {
          const start = x(at(points[from]?.[0] ?? ''));
          const wide = x(at(points[to]?.[0] ?? '')) - start;
          return (
            <g key={from}>
              <rect class="chart__gap" x={start} y={TOP} width={wide} height={height - BOTTOM - TOP} />
              {wide > 64 && (
                <text class="chart__tick" x={start + wide / 2} y={(height - BOTTOM + TOP) / 2} text-anchor="middle">
                  unknown
                </text>
              )}
            </g>
          );
        })}
        <path class="chart__line" d={path(points) ?? ''} />
        {lonely().map(([when, value]) => (
          <circle key={when} class="chart__end" cx={x(at(when))} cy={y(value)} r={2.5} />
        ))}
        <circle class="chart__end" cx={x(at(end[0]))} cy={y(end[1])} r={4} />
        {shownPoint === undefined ? (
          last?.[1] !== null && (
            <text class="chart__value" x={x(at(end[0])) + 4} y={Math.max(y(end[1]) - 9, 14)} text-anchor="end">
              {amount(end[1], unit)}
            </text>
          )
        ) : (
          <g class="chart__pick">
            <line
              class="chart__pick-line"
              x1={x(at(shownPoint[0]))}
              x2={x(at(shownPoint[0]))}
              y1={TOP}
              y2={height - BOTTOM}
            />
            <text
              class="chart__value"
              x={Math.min(Math.max(x(at(shownPoint[0])), left + 60), width - 80)}
              y={14}
              text-anchor="middle"
            >
              {dateOf(shownPoint[0], span)}: {shownPoint[1] === null ? 'unknown' : amount(shownPoint[1], unit)}
            </text>
          </g>
        )}
      </svg>
    );
  }

  /** Points with nothing known on either side: a line would not show them. */
  function lonely(): [string, number][] {
    return points.filter(
      (point, index): point is [string, number] =>
        point[1] !== null && (points[index - 1]?.[1] ?? null) === null && (points[index + 1]?.[1] ?? null) === null,
    );
  }

  function days(left: number, right: number, x: (when: Date) => number) {
    const count = Math.max(2, Math.min(span === 'days' ? 5 : 6, Math.floor((right - left) / 90)));
    const step = (points.length - 1) / (count - 1);
    const chosen = Array.from({ length: count }, (_, index) => points[Math.round(index * step)]?.[0]);
    return [...new Set(chosen)].map((when, index, all) =>
      when === undefined ? null : (
        <text
          key={when}
          class="chart__tick"
          x={x(at(when))}
          y={height - 6}
          text-anchor={index === 0 ? 'start' : index === all.length - 1 ? 'end' : 'middle'}
        >
          {span === 'days' ? dayShort(when) : monthOf(when)}
        </text>
      ),
    );
  }

  function pick(event: PointerEvent, when: (x: number) => Date) {
    const place = (event.currentTarget as Element).getBoundingClientRect();
    const pointed = when(event.clientX - place.left).getTime();
    const distance = (point: Point): number => Math.abs(at(point[0]).getTime() - pointed);
    setPicked(
      points.reduce((best, point, index) => (distance(point) < distance(points[best] ?? point) ? index : best), 0),
    );
  }
}

/** The line alone, beside a number that has the words. */
export function Sparkline({ label, unit, points }: { label: string; unit: string; points: Point[] }) {
  const [box, width] = useWidth<HTMLDivElement>();
  const height = 44;
  const known = points.flatMap(([, value]) => (value === null ? [] : [value]));
  const y = scaleLinear([Math.min(0, ...known), Math.max(1, ...known)], [height - 4, 5]);
  const x = scaleLinear([0, Math.max(1, points.length - 1)], [3, Math.max(3, width - 6)]);
  const path = line<Point>()
    .defined(([, value]) => value !== null)
    .x((_, index) => x(index))
    .y(([, value]) => y(value ?? 0));
  const last = points.findLastIndex(([, value]) => value !== null);
  const end = points[last]?.[1] ?? null;
  return (
    <div class="sparkline" ref={box}>
      {width > 0 && known.length > 1 && (
        <svg width={width} height={height} role="img" aria-label={inWords(`${label}, 30 days`, 'days', unit, points)}>
          <line class="chart__grid" x1={0} x2={width} y1={y(0)} y2={y(0)} />
          <path class="chart__line chart__line--thin" d={path(points) ?? ''} />
          {end !== null && <circle class="chart__end" cx={x(last)} cy={y(end)} r={3} />}
        </svg>
      )}
    </div>
  );
}

export function rowsOf(points: Point[], span: Span): [string, string][] {
  return points.map(([when, value]) => [dateOf(when, span), value === null ? 'unknown' : number(value)]);
}
