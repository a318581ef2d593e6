// What is shown: of whom, of which day, and as known when. A form like any other: it sends what the address then holds.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { View } from '../contract';
import { addDays, dayOf } from '../format';
import { HOME, type Place } from '../url';
import { To, useHere } from './place';

type Known = 'same_day' | 'today' | 'other';

interface Choice {
  authority: string;
  service: string;
  team: string;
  as_of: string;
  known: Known;
  known_at: string;
}

function choiceOf(view: View, place: Place): Choice {
  const { subject } = view;
  const known_at = place.known_at ?? '';
  const isThen = known_at === '' || known_at === place.as_of;
  return {
    authority: subject.authority?.id ?? '',
    service: subject.service ?? '',
    team: subject.team?.id ?? '',
    as_of: place.as_of ?? '',
    known: isThen ? 'same_day' : known_at === view.choices.last_day ? 'today' : 'other',
    known_at,
  };
}

/** Where a choice leads. A day to come is now. */
export function placeOfChoice(choice: Choice, from: Place, lastDay: string | null): Place {
  const past = choice.as_of !== '' && (lastDay === null || choice.as_of <= lastDay);
  const known = { same_day: null, today: lastDay, other: choice.known_at || null }[choice.known];
  return {
    ...HOME,
    page: from.page,
    authority: choice.authority || null,
    service: choice.service || null,
    team: choice.team || null,
    as_of: past ? choice.as_of : null,
    known_at: past && known !== choice.as_of ? known : null,
    theme: from.theme,
    tile: from.tile,
    sort: from.sort,
  };
}

export function Controls({ view }: { view: View }) {
  const { place, go } = useHere();
  const { choices } = view;
  const [choice, setChoice] = useState(() => choiceOf(view, place));
  const [open, setOpen] = useState(false);
  const shown = JSON.stringify([view.subject, place.as_of, place.known_at]);
  useEffect(() => setChoice(choiceOf(view, place)), [shown]);
  const set = (change: Partial<Choice>): void => setChoice((before) => ({ ...before, ...change }));
  const submit = (event: Event): void => {
    event.preventDefault();
    setOpen(false);
    go(placeOfChoice(choice, place, choices.last_day));
  };
  const teams = choices.teams.filter(
    (team) =>
      (choice.service === '' || team.service === choice.service) &&
      (choice.authority === '' || team.authority === null || team.authority === choice.authority),
  );
  const day = place.as_of ?? dayOf(view.moment.as_of);
  const step = (days: number): Place => ({ ...place, as_of: addDays(day, days), known_at: null });
  const earlier = choices.first_day === null || day > choices.first_day;
  const later = place.as_of !== null && choices.last_day !== null && day < choices.last_day;
  return (
    <>
      <button
        type="button"
        class="controls__toggle"
        aria-expanded={open}
        aria-controls="controls"
        onClick={() => setOpen(!open)}
      >
        {view.subject.team?.name ?? 'Every team'}, {place.as_of === null ? 'now' : 'a past day'}
        <span>{open ? 'Close' : 'Change'}</span>
      </button>
      <form
        id="controls"
        class={open ? 'controls' : 'controls controls--closed'}
        onSubmit={submit}
        aria-label="What is shown"
      >
        {choices.authorities.length > 1 && (
          <Pick
            id="authority"
            label="Authority"
            all="All authorities"
            value={choice.authority}
            options={choices.authorities}
            onPick={(authority) => set({ authority, service: '', team: '' })}
          />
        )}
        <Pick
          id="service"
          label="Service"
          all="All services"
          value={choice.service}
          options={choices.services}
          onPick={(service) => set({ service, team: '' })}
        />
        <Pick
          id="team"
          label="Team"
          all="All teams"
          value={choice.team}
          options={teams}
          onPick={(team) => set({ team })}
        />
        <Day id="as_of" choices={choices} value={choice.as_of} onDay={(as_of) => set({ as_of })}>
          Day <span class="control__hint">(empty: now)</span>
        </Day>
        <div class="control">
          <label class="govuk-label" for="known">
            As known
          </label>
          <select
            class="govuk-select"
            id="known"
            disabled={choice.as_of === ''}
            value={choice.known}
            onChange={(event) => set({ known: event.currentTarget.value as Known })}
          >
            <option value="same_day">on that day</option>
            <option value="today">today</option>
            <option value="other">on another day</option>
          </select>
        </div>
        {choice.known === 'other' && (
          <Day id="known_at" choices={choices} value={choice.known_at} onDay={(known_at) => set({ known_at })}>
            Known on
          </Day>
        )}
        <button type="submit" class="govuk-button">
          Show
        </button>
        <p class="controls__steps">
          {earlier && <To place={step(-1)}>Day before</To>}
          {later && <To place={step(1)}>Day after</To>}
          {place.as_of !== null && <To place={{ ...place, as_of: null, known_at: null }}>Now</To>}
        </p>
      </form>
    </>
  );
}

interface DayProps {
  id: string;
  choices: View['choices'];
  value: string;
  onDay(day: string): void;
  children: ComponentChildren;
}

function Day({ id, choices, value, onDay, children }: DayProps) {
  return (
    <div class="control">
      <label class="govuk-label" for={id}>
        {children}
      </label>
      <input
        class="govuk-input"
        type="date"
        id={id}
        name={id}
        min={choices.first_day ?? undefined}
        max={choices.last_day ?? undefined}
        value={value}
        onInput={(event) => onDay(event.currentTarget.value)}
      />
    </div>
  );
}

interface PickProps {
  id: string;
  label: string;
  all: string;
  value: string;
  options: { id: string; name: string }[];
  onPick(id: string): void;
}

function Pick({ id, label, all, value, options, onPick }: PickProps) {
  return (
    <div class="control">
      <label class="govuk-label" for={id}>
        {label}
      </label>
      <select
        class="govuk-select"
        id={id}
        name={id}
        value={value}
        onChange={(event) => onPick(event.currentTarget.value)}
      >
        <option value="">{all}</option>
        {options.map((option) => (
          <option key={option.id} value={option.id}>
            {option.name}
          </option>
        ))}
      </select>
    </div>
  );
}
