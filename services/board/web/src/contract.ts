// What the server answers (services/board/src). A value that nobody knows is null with `unknown` saying why; never 0.

export type Id = string;

export interface Named {
  id: Id;
  name: string;
}

export interface Me {
  user: string;
  role: string;
  /** Whether the role may look at rows, such as a worklist. */
  rows: boolean;
  /** Nobody has signed in, and there are users who could. */
  sign_in: boolean;
  /** There is a session to end. */
  sign_out: boolean;
}

export type FreshState = 'fresh' | 'stale' | 'catching_up' | 'past';

export interface Feed {
  feed: string;
  age_s: number | null;
  silent_after_s: number | null;
  silent: boolean;
}

export interface Fresh {
  state: FreshState;
  read_up_to: string | null;
  age_s: number | null;
  says: string;
  feeds: Feed[];
}

export type Severity = 'info' | 'warn' | 'page';

export interface Tier {
  tier: string;
  severity: Severity;
}

export interface Threshold extends Tier {
  value: number;
}

export interface Benchmark {
  name: string;
  value: number;
}

export interface Part {
  id: Id;
  title: string;
  value: number | null;
  tier?: Tier | null;
}

export interface Column {
  id: Id;
  title: string;
  unit: string;
}

export interface Row {
  id: Id;
  title: string;
  link?: string | null;
  cells: (number | null)[];
  tiers?: (Tier | null)[];
}

export type TileKind = 'number' | 'split' | 'bands' | 'table' | 'rates';

export interface Tile {
  id: Id;
  kind: TileKind;
  title: string;
  help: string;
  unit: string;
  value: number | null;
  unknown: string | null;
  change?: { since: string; value: number } | null;
  tier?: Tier | null;
  thresholds?: Threshold[];
  benchmark?: Benchmark | null;
  target?: number | null;
  parts?: Part[];
  columns?: Column[];
  rows?: Row[];
  has_trend: boolean;
  metrics?: string[];
  link?: string | null;
}

export interface Section {
  id: Id;
  title: string;
  lead: string;
  tiles: Tile[];
}

export interface Team extends Named {
  service: Id | null;
  authority: Id | null;
}

export interface View {
  title: string;
  subject: { authority: Named | null; service: Id | null; team: Named | null };
  /** Both null while nothing has been read yet. */
  moment: { live: boolean; as_of: string | null; known_at: string | null };
  fresh: Fresh;
  choices: {
    authorities: Named[];
    services: Named[];
    teams: Team[];
    first_day: string | null;
    last_day: string | null;
  };
  sections: Section[];
}

/** A day, and what was known of it. */
export type Point = [day: string, value: number | null];

export interface Trend {
  tile: Id;
  unit: string;
  days: Point[];
  months: Point[];
  benchmark: Benchmark | null;
  thresholds: Threshold[];
}

export interface Worklist {
  columns: { name: string; title: string; type: string }[];
  rows: (string | number | boolean | null)[][];
  note: string | null;
}
