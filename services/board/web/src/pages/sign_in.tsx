import { useEffect, useRef, useState } from 'preact/hooks';
import * as api from '../api';
import type { Me } from '../contract';
import { useHere } from '../parts/place';
import { HOME, placeOf } from '../url';

export function SignInPage({ onSignedIn }: { onSignedIn(me: Me): void }) {
  const { place, go } = useHere();
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const summary = useRef<HTMLDivElement>(null);
  useEffect(() => {
    document.title = `${error === null ? '' : 'Error: '}Sign in - casewatch`;
    if (error !== null) summary.current?.focus();
  }, [error]);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    try {
      await api.signIn(String(form.get('user')), String(form.get('password')));
      onSignedIn(await api.me());
      go(
        place.next === null ? { ...HOME, theme: place.theme } : placeOf(new URL(place.next, window.location.origin)),
        'replace',
      );
    } catch (fault) {
      setError(null);
      window.setTimeout(() => setError(fault instanceof Error ? fault.message : 'You could not be signed in.'));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="sign-in" onSubmit={submit} method="post" action="/api/sign-in">
      {error !== null && (
        <div class="govuk-error-summary" role="alert" ref={summary} tabIndex={-1}>
          <h2 class="govuk-error-summary__title">There is a problem</h2>
          <div class="govuk-error-summary__body">
            <ul class="govuk-list govuk-error-summary__list">
              <li>
                <a href="#password">{error}</a>
              </li>
            </ul>
          </div>
        </div>
      )}
      <h1 class="govuk-heading-xl" tabIndex={-1}>
        Sign in
      </h1>
      <div class="govuk-form-group">
        <label class="govuk-label" for="user">
          User name
        </label>
        <input
          class="govuk-input"
          id="user"
          name="user"
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          required
        />
      </div>
      <div class={`govuk-form-group${error === null ? '' : ' govuk-form-group--error'}`}>
        <label class="govuk-label" for="password">
          Password
        </label>
        <input
          class="govuk-input"
          id="password"
          name="password"
          type="password"
          autocomplete="current-password"
          aria-invalid={error === null ? undefined : true}
          required
        />
      </div>
      <button type="submit" class="govuk-button" disabled={busy}>
        Sign in
      </button>
      <p class="govuk-body">The same name and password as for SQL.</p>
    </form>
  );
}
