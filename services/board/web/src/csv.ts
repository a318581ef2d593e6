// Tables as CSV, as RFC 4180 has it and as a spreadsheet opens it.

export type Cell = string | number | boolean | null;

/** Text that a spreadsheet would run as a formula is kept as text; numbers stay numbers. */
function written(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell !== 'string') return String(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(header: string[], rows: Cell[][]): string {
  return [header, ...rows].map((row) => `${row.map(written).join(',')}\r\n`).join('');
}

/** A file's name out of what it shows: letters, digits and hyphens. */
export function fileName(...words: (string | null | undefined)[]): string {
  const said = words.filter((word) => word !== null && word !== undefined && word !== '').join('-');
  return said
    .toLowerCase()
    .normalize('NFKD')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
}

export function download(name: string, content: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function downloadCsv(name: string, header: string[], rows: Cell[][]): void {
  // The mark says UTF-8 to Excel, which would otherwise take it for the machine's own encoding.
  download(`${name}.csv`, new Blob(['\ufeff', csv(header, rows)], { type: 'text/csv;charset=utf-8' }));
}
