// How much a number needs someone: in words and by a shape, and only then in a colour.

import type { Severity, Threshold, Tier } from '../contract';
import { severityWord, tierWords } from '../format';

const SHAPES: Record<Severity, string> = {
  page: 'M6 0.5 L11.5 6 L6 11.5 L0.5 6 Z',
  warn: 'M6 1 L11.5 11 L0.5 11 Z',
  info: 'M6 1 a5 5 0 1 0 0.01 0 Z',
};

export function Shape({ severity }: { severity: Severity }) {
  return (
    <svg class={`shape shape--${severity}`} width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
      <path d={SHAPES[severity]} />
    </svg>
  );
}

interface TierTagProps {
  tier: Tier | null | undefined;
  thresholds?: Threshold[] | undefined;
  unit: string;
}

export function TierTag({ tier, thresholds, unit }: TierTagProps) {
  if (tier === null || tier === undefined) return null;
  return (
    <p class={`tier tier--${tier.severity}`}>
      <Shape severity={tier.severity} /> {tierWords(tier, thresholds, unit)}
    </p>
  );
}

/** The same in a cell, where there is room for the shape alone; the word is there to be read out. */
export function CellTier({ tier }: { tier: Tier | null | undefined }) {
  if (tier === null || tier === undefined) return null;
  return (
    <>
      <Shape severity={tier.severity} />
      <span class="govuk-visually-hidden"> {severityWord(tier.severity)}: </span>
    </>
  );
}
