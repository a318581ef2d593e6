import { amount, unitWord } from '../format';

/** A number as large as it matters; what is not known is a word, never 0. */
export function Value({ value, unit }: { value: number | null; unit: string }) {
  if (value === null) return <span class="value value--unknown">unknown</span>;
  const word = unitWord(unit, value);
  return (
    <span class="value">
      <span class="value__number">{amount(value, unit)}</span>
      {word !== '' && <span class="value__unit"> {word}</span>}
    </span>
  );
}

export function CellValue({ value, unit }: { value: number | null | undefined; unit: string }) {
  if (value === null || value === undefined) return <span class="cell--unknown">unknown</span>;
  return <>{amount(value, unit)}</>;
}
