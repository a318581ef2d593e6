// One number by itself: what it means, how it went, and everything of it to take away.

import type { Tile, Trend, View } from '../contract';
import { downloadCsv, fileName } from '../csv';
import { amount, day, dayOf, severityWord, timeOf } from '../format';
import { BarChart } from '../parts/bars';
import { DataTable } from '../parts/data_table';
import { Figure } from '../parts/figure';
import { Fault } from '../parts/frame';
import { LineChart, rowsOf, type Span } from '../parts/line_chart';
import { subjectName } from '../parts/masthead';
import { To, useHere } from '../parts/place';
import { RatesChart } from '../parts/rates';
import { Headline } from '../parts/tile';
import { useTrend } from '../parts/trends';

interface TilePageProps {
  view: View;
  tile: Tile | undefined;
  saidAlready: string | null;
}

export function TilePage({ view, tile, saidAlready }: TilePageProps) {
  const { place } = useHere();
  const back = (
    <To place={{ ...place, tile: null }} class="govuk-back-link">
      The whole board
    </To>
  );
  if (tile === undefined) {
    return (
      <>
        {back}
        <Fault message={`No number of this board is called ${place.tile}.`} />
      </>
    );
  }
  return (
    <>
      {back}
      <article class="single" aria-labelledby="single-title" data-tile={tile.id}>
        <h2 class="govuk-heading-l" id="single-title">
          {tile.title}
        </h2>
        <Headline tile={tile} saidAlready={saidAlready} />
        <p class="govuk-body single__help">{tile.help}</p>
        <Limits tile={tile} />
        <div class="figures">
          <Parts view={view} tile={tile} />
          {tile.has_trend && <Trends view={view} tile={tile} />}
        </div>
      </article>
    </>
  );
}

function Limits({ tile }: { tile: Tile }) {
  const facts = [
    ...(tile.thresholds ?? []).map(
      (threshold) => `${severityWord(threshold.severity)} over ${amount(threshold.value, tile.unit)}`,
    ),
    ...(tile.benchmark ? [`${tile.benchmark.name}: ${amount(tile.benchmark.value, tile.unit)}`] : []),
    ...(tile.target === null || tile.target === undefined ? [] : [`Target: ${amount(tile.target, tile.unit)}`]),
  ];
  return (
    <>
      {facts.length > 0 && (
        <ul class="govuk-list facts">
          {facts.map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
      )}
      {(tile.metrics ?? []).length > 0 && (
        <p class="single__metrics">
          For SQL and Prometheus:{' '}
          {tile.metrics?.map((metric) => (
            <code key={metric}>{metric} </code>
          ))}
        </p>
      )}
    </>
  );
}

function noteOf(view: View): string {
  const { as_of, known_at } = view.moment;
  const known = dayOf(known_at) === dayOf(as_of) ? '' : `, as known on ${day(dayOf(known_at))}`;
  const time = as_of === null ? '' : `${timeOf(as_of)} on `;
  return `${subjectName(view)}, ${time}${day(dayOf(as_of))}${known}. Source: casewatch.`;
}

function fileOf(view: View, tile: Tile, what: string): string {
  return fileName(subjectName(view), tile.title, what, dayOf(view.moment.as_of));
}

function Parts({ view, tile }: { view: View; tile: Tile }) {
  const file = fileOf(view, tile, '');
  const columns = tile.columns ?? [];
  if ((tile.kind === 'split' || tile.kind === 'bands') && (tile.parts ?? []).length > 0) {
    const parts = tile.parts ?? [];
    return (
      <Figure
        title={tile.kind === 'bands' ? 'Distribution' : 'Parts'}
        subtitle={`${tile.title}, ${tile.unit}`}
        note={noteOf(view)}
        file={file}
        header={[tile.kind === 'bands' ? 'Band' : 'Part', tile.unit]}
        rows={parts.map((part) => [part.title, part.value])}
      >
        <BarChart caption={tile.title} unit={tile.unit} parts={parts} />
      </Figure>
    );
  }
  if (tile.kind === 'rates') {
    const rows = tile.rows ?? [];
    return (
      <Figure
        title="Comparison"
        subtitle={`${tile.title}, ${tile.unit}`}
        note={noteOf(view)}
        file={file}
        header={['Rate', ...columns.map((column) => column.title)]}
        rows={rows.map((row) => [row.title, ...row.cells])}
      >
        <RatesChart caption={tile.title} columns={columns} rows={rows} unit={tile.unit} />
      </Figure>
    );
  }
  if (tile.kind !== 'table') return null;
  const header = ['', ...columns.map((column) => `${column.title} (${column.unit})`)];
  const take = (): void =>
    downloadCsv(
      file,
      header,
      (tile.rows ?? []).map((row) => [row.title, ...row.cells]),
    );
  return (
    <div class="figure figure--wide">
      <DataTable tile={tile} />
      <div class="figure__actions">
        <button type="button" class="govuk-button govuk-button--secondary" onClick={take}>
          Download CSV<span class="govuk-visually-hidden"> of {tile.title}</span>
        </button>
      </div>
    </div>
  );
}

function Trends({ view, tile }: { view: View; tile: Tile }) {
  const { place } = useHere();
  const { trend, error } = useTrend({ ...place, tile: null }, view, tile);
  if (trend === null) {
    return error === null ? (
      <p class="govuk-body">Reading the trend</p>
    ) : (
      <Fault message={`The trend could not be read: ${error}`} />
    );
  }
  return (
    <>
      <TrendFigure view={view} tile={tile} trend={trend} span="days" />
      <TrendFigure view={view} tile={tile} trend={trend} span="months" />
    </>
  );
}

function TrendFigure({ view, tile, trend, span }: { view: View; tile: Tile; trend: Trend; span: Span }) {
  const points = trend[span];
  const title = span === 'days' ? 'Last 30 days' : 'Last 30 months';
  return (
    <Figure
      title={title}
      subtitle={`${tile.title}, ${trend.unit}${span === 'days' ? ', at the end of each day' : ', at the end of each month'}`}
      note={noteOf(view)}
      file={fileOf(view, tile, span)}
      header={[span === 'days' ? 'Day' : 'Month', trend.unit]}
      rows={rowsOf(points, span)}
      raw={points}
    >
      <LineChart
        label={`${tile.title}, ${title.toLowerCase()}`}
        span={span}
        unit={trend.unit}
        points={points}
        thresholds={trend.thresholds}
        benchmark={trend.benchmark}
        height={280}
      />
    </Figure>
  );
}
