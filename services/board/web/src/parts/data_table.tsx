// Rows to compare, such as teams: the worst can be brought to the top, and a row leads to its own page.

import type { Tile } from '../contract';
import { follow, HOME } from '../url';
import { type Order, ordered, parseOrder, writeOrder } from './order';
import { To, useHere } from './place';
import { CellTier } from './tag';
import { CellValue } from './value';

export function DataTable({ tile }: { tile: Tile }) {
  const { place } = useHere();
  const columns = tile.columns ?? [];
  const order = parseOrder(place.sort, tile.id);
  const rows = ordered(tile.rows ?? [], columns, order);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="scroll" aria-label={tile.title} tabIndex={0}>
      <table class="govuk-table data">
        <caption class="govuk-visually-hidden">{tile.title}</caption>
        <thead>
          <tr>
            <SortHeader id="title" title={titleOf(tile)} tile={tile.id} order={order} />
            {columns.map((column) => (
              <SortHeader
                key={column.id}
                id={column.id}
                title={column.title}
                unit={column.unit}
                tile={tile.id}
                order={order}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id}>
              <th scope="row">
                {row.link ? (
                  <To place={{ ...follow({ ...place, tile: null }, row.link), sort: place.sort }}>{row.title}</To>
                ) : (
                  row.title
                )}
              </th>
              {columns.map((column, index) => (
                <td key={column.id} class={`numeric cell cell--${row.tiers?.[index]?.severity ?? 'none'}`}>
                  <CellTier tier={row.tiers?.[index]} />
                  <CellValue value={row.cells[index]} unit={column.unit} />
                </td>
              ))}
            </tr>
          ))}
          {rows.length === 0 && (
            <tr>
              <td colSpan={columns.length + 1}>Nothing to list.</td>
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}

/** A table "By team" lists teams. */
function titleOf(tile: Tile): string {
  const of = tile.title.replace(/^By /, '');
  return of.charAt(0).toUpperCase() + of.slice(1);
}

interface SortHeaderProps {
  id: string;
  title: string;
  unit?: string;
  tile: string;
  order: Order | null;
}

function SortHeader({ id, title, unit, tile, order }: SortHeaderProps) {
  const { place } = useHere();
  const current = order?.column === id ? order : null;
  // Numbers: the greatest first, which is what needs looking at; names: from A.
  const descending = current === null ? id !== 'title' : !current.descending;
  const sort = writeOrder(tile, { column: id, descending });
  return (
    <th
      scope="col"
      class={id === 'title' ? undefined : 'numeric'}
      aria-sort={current === null ? undefined : current.descending ? 'descending' : 'ascending'}
    >
      <To place={{ ...(place ?? HOME), sort }} class="sort">
        {title}
        {unit === '%' && ' (%)'}
        <span class="sort__mark" aria-hidden="true">
          {current === null ? '\u2195' : current.descending ? '\u2193' : '\u2191'}
        </span>
      </To>
    </th>
  );
}
