// Where the page is, and links that lead elsewhere without loading it again.

import { type ComponentChildren, createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Me } from '../contract';
import { HOME, linkTo, type Place } from '../url';

export interface Here {
  place: Place;
  me: Me | null;
  go(place: Place, how?: 'push' | 'replace'): void;
}

export const HereContext = createContext<Here>({ place: HOME, me: null, go: () => undefined });

export const useHere = (): Here => useContext(HereContext);

interface ToProps {
  place: Place;
  class?: string;
  label?: string;
  current?: boolean;
  children: ComponentChildren;
}

export function To({ place, class: classes, label, current, children }: ToProps) {
  const { go } = useHere();
  const follow = (event: MouseEvent): void => {
    // A new tab or window is the browser's business.
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(place);
  };
  return (
    <a
      class={classes ?? 'govuk-link'}
      href={linkTo(place)}
      aria-label={label}
      aria-current={current ? 'page' : undefined}
      onClick={follow}
    >
      {children}
    </a>
  );
}
