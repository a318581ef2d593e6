// What stands around every page.

import type { ComponentChildren } from 'preact';
import { signOut } from '../api';
import { HOME, linkTo } from '../url';
import { To, useHere } from './place';

export function Frame({ children }: { children: ComponentChildren }) {
  const { place, me } = useHere();
  const leave = async (): Promise<void> => {
    await signOut().catch(() => undefined);
    // Loaded anew: nothing of who it was, or of what they saw, stays behind.
    window.location.assign(linkTo({ ...HOME, page: 'sign-in', theme: place.theme }));
  };
  return (
    <>
      <a href="#main" class="govuk-skip-link">
        Skip to main content
      </a>
      <header class="top">
        <div class="top__inner">
          <To place={{ ...HOME, theme: place.theme }} class="top__name">
            casewatch
          </To>
          <nav class="top__links" aria-label="You and this page">
            {me !== null && (
              <span class="top__user">
                {me.user} ({me.role.replaceAll('_', ' ')})
              </span>
            )}
            <To place={{ ...place, theme: 'light' }} class="top__link" current={place.theme === 'light'}>
              Light
            </To>
            <To place={{ ...place, theme: 'dark' }} class="top__link" current={place.theme === 'dark'}>
              Dark
            </To>
            {me?.sign_in && (
              <To place={{ ...HOME, page: 'sign-in', theme: place.theme, next: linkTo(place) }} class="top__link">
                Sign in
              </To>
            )}
            {me?.sign_out && (
              <button type="button" class="top__link" onClick={leave}>
                Sign out
              </button>
            )}
          </nav>
        </div>
      </header>
      <main class="main" id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

export function Fault({ message, retry }: { message: string; retry?: () => void }) {
  return (
    <div class="govuk-error-summary" role="alert">
      <h2 class="govuk-error-summary__title">This cannot be shown</h2>
      <div class="govuk-error-summary__body">
        <p class="govuk-body">{message}</p>
        {retry && (
          <button type="button" class="govuk-button govuk-button--secondary" onClick={retry}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}
