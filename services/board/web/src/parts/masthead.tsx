// Whose numbers these are, and of when.

import type { Fresh, View } from '../contract';
import { HOME } from '../url';
import { Moment } from './freshness';
import { To, useHere } from './place';

interface MastheadProps {
  view: View;
  fresh: Fresh;
  lost: boolean;
  heardMs: number;
}

export function serviceName(view: View): string | null {
  const { service } = view.subject;
  return view.choices.services.find((candidate) => candidate.id === service)?.name ?? service;
}

/** Everything there is: the authority where there is but one, else what the board is about. */
function wholeName({ choices, title }: View): string {
  const [only, ...others] = choices.authorities;
  return only !== undefined && others.length === 0 ? only.name : title;
}

/** The narrowest name of what is shown. */
export function subjectName(view: View): string {
  return view.subject.team?.name ?? serviceName(view) ?? view.subject.authority?.name ?? wholeName(view);
}

export function Masthead({ view, ...fresh }: MastheadProps) {
  const { place, me } = useHere();
  const { authority, team } = view.subject;
  const service = serviceName(view);
  const base = { ...HOME, as_of: place.as_of, known_at: place.known_at, theme: place.theme };
  const name = subjectName(view);
  const wider = [
    { name: wholeName(view), place: base },
    ...(authority === null || authority.name === wholeName(view)
      ? []
      : [{ name: authority.name, place: { ...base, authority: authority.id } }]),
    ...(service === null
      ? []
      : [{ name: service, place: { ...base, authority: authority?.id ?? null, service: view.subject.service } }]),
  ].filter((step) => step.name !== name);
  return (
    <div class="masthead">
      <div>
        {wider.length > 0 && (
          <nav class="govuk-breadcrumbs" aria-label="Breadcrumb">
            <ol class="govuk-breadcrumbs__list">
              {wider.map((step) => (
                <li class="govuk-breadcrumbs__list-item" key={step.name}>
                  <To class="govuk-breadcrumbs__link" place={step.place}>
                    {step.name}
                  </To>
                </li>
              ))}
            </ol>
          </nav>
        )}
        <h1 class="govuk-heading-xl masthead__title" tabIndex={-1}>
          {name}
        </h1>
        {name !== view.title && <p class="masthead__about">{view.title}</p>}
        {team !== null && me?.rows && place.page === 'board' && (
          <p class="masthead__link">
            <To place={{ ...base, page: 'worklist', authority: authority?.id ?? null, team: team.id }}>
              Worklist of this team
            </To>
          </p>
        )}
      </div>
      <Moment view={view} {...fresh} />
    </div>
  );
}
