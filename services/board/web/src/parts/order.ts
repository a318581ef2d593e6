import type { Column, Row } from '../contract';

export interface Order {
  column: string;
  descending: boolean;
}

/** `by_team.-no_holder`: the table by_team, by its column no_holder, the greatest first. */
export function parseOrder(sort: string | null, tile: string): Order | null {
  if (sort === null || !sort.startsWith(`${tile}.`)) return null;
  const column = sort.slice(tile.length + 1);
  return column.startsWith('-') ? { column: column.slice(1), descending: true } : { column, descending: false };
}

export function writeOrder(tile: string, order: Order): string {
  return `${tile}.${order.descending ? '-' : ''}${order.column}`;
}

/** What is unknown stands last whichever way it is sorted: it is neither few nor many. */
export function ordered(rows: Row[], columns: Column[], order: Order | null): Row[] {
  if (order === null) return rows;
  const sign = order.descending ? -1 : 1;
  if (order.column === 'title') {
    return [...rows].sort((a, b) => sign * a.title.localeCompare(b.title, 'en-GB', { numeric: true }));
  }
  const index = columns.findIndex((column) => column.id === order.column);
  if (index < 0) return rows;
  return [...rows].sort((a, b) => {
    const left = a.cells[index] ?? null;
    const right = b.cells[index] ?? null;
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    return sign * (left - right);
  });
}
