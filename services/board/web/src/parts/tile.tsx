// One number, or its parts, and what it asks of who reads it.

import type { Tile, View } from '../contract';
import { changeWords } from '../format';
import { follow, HOME } from '../url';
import { Bars } from './bars';
import { DataTable } from './data_table';
import { LineChart, type Span, Sparkline } from './line_chart';
import { To, useHere } from './place';
import { Rates } from './rates';
import { TierTag } from './tag';
import { useTrend } from './trends';
import { Value } from './value';

interface TileProps {
  tile: Tile;
  view: View;
  /** One of the headlines of the page: larger, with its trend beside it. */
  headline?: boolean;
  /** Why nothing is known, where the page says it once for all. */
  saidAlready: string | null;
}

export function TileView({ tile, view, headline, saidAlready }: TileProps) {
  const { place } = useHere();
  const severity = tile.tier?.severity ?? 'none';
  const wide = tile.kind === 'table' || tile.kind === 'rates';
  const shape = headline ? 'headline' : wide ? 'wide' : tile.kind;
  return (
    <article class={`tile tile--${shape} tile--${severity}`} aria-labelledby={`tile-${tile.id}`} data-tile={tile.id}>
      <div class="tile__words">
        <h3 class="tile__title" id={`tile-${tile.id}`}>
          <To
            place={{ ...place, tile: tile.id }}
            class="govuk-link govuk-link--no-underline govuk-link--no-visited-state"
          >
            {tile.title}
          </To>
        </h3>
        <Headline tile={tile} saidAlready={saidAlready} />
        {wide && <p class="tile__help">{tile.help}</p>}
        {tile.link && (
          <p class="tile__link">
            <To place={follow({ ...HOME, ...place, tile: null }, tile.link)}>Show where</To>
          </p>
        )}
      </div>
      <Body tile={tile} />
      {tile.has_trend && <Past tile={tile} view={view} headline={headline === true} />}
    </article>
  );
}

export function Headline({ tile, saidAlready }: { tile: Tile; saidAlready: string | null }) {
  const bare =
    tile.kind === 'table' || tile.kind === 'rates' || (tile.kind === 'bands' && tile.value === null && !tile.unknown);
  return (
    <>
      {!bare && (
        <p class="tile__value">
          <Value value={tile.value} unit={tile.unit} />
        </p>
      )}
      {tile.unknown && tile.unknown !== saidAlready && <p class="tile__why">{tile.unknown}</p>}
      {tile.change && <p class="tile__change">{changeWords(tile.change, tile.unit)}</p>}
      <TierTag tier={tile.tier} thresholds={tile.thresholds} unit={tile.unit} />
    </>
  );
}

function Body({ tile }: { tile: Tile }) {
  switch (tile.kind) {
    case 'split':
    case 'bands':
      return (
        <Bars
          caption={tile.title}
          partsAre={tile.kind === 'split' ? 'Part' : 'Band'}
          unit={tile.unit}
          parts={tile.parts ?? []}
        />
      );
    case 'table':
      return <DataTable tile={tile} />;
    case 'rates':
      return <Rates caption={tile.title} columns={tile.columns ?? []} rows={tile.rows ?? []} unit={tile.unit} />;
    default:
      return null;
  }
}

function Past({ tile, view, headline }: { tile: Tile; view: View; headline: boolean }) {
  const { place } = useHere();
  const { trend, error } = useTrend({ ...place, tile: null }, view, tile);
  if (trend === null) {
    return <p class="tile__past tile__past--none">{error === null ? '' : 'The trend could not be read.'}</p>;
  }
  if (!headline) {
    return (
      <div class="tile__past">
        <Sparkline label={tile.title} unit={trend.unit} points={trend.days} />
      </div>
    );
  }
  const spans: { span: Span; title: string }[] = [
    { span: 'days', title: 'Last 30 days' },
    { span: 'months', title: 'Last 30 months' },
  ];
  return (
    <div class="tile__past tile__past--both">
      {spans.map(({ span, title }) => (
        <div key={span}>
          <p class="tile__span">{title}</p>
          <LineChart
            label={`${tile.title}, ${title.toLowerCase()}`}
            span={span}
            unit={trend.unit}
            points={trend[span]}
            thresholds={trend.thresholds}
            benchmark={trend.benchmark}
            height={150}
          />
        </div>
      ))}
    </div>
  );
}
