-- What the queries share. `as_of` is the last microsecond of the day `today` in London.
set TimeZone = 'Europe/London';

create temp macro as_of() as getvariable('as_of');
create temp macro today() as getvariable('today');
create temp macro london(t) as cast(timezone('Europe/London', t) as date);

-- Every day, and how many working days there were up to and including it.
create temp table calendar as
select day, sum(case when isodow(day) < 6 and f.date is null then 1 else 0 end) over (order by day) as worked
from (select cast(unnest(generate_series(date '2010-01-01', date '2035-12-31', interval 1 day)) as date) as day)
left join free_days f on f.date = day;

-- Working days d with a < d <= b.
create temp macro working_days(a, b) as
  (select worked from calendar where day = b) - (select worked from calendar where day = a);

-- The record that a child's record ended up in, merges followed to their end.
create temp table person as
with recursive merged as (
  select child_id, coalesce(merged_into, child_id) as person_id, 0 as depth from children
  union all
  select m.child_id, c.merged_into, m.depth + 1 from merged m join children c on c.child_id = m.person_id
  where c.merged_into is not null and m.depth < 20
)
select child_id, arg_max(person_id, depth) as person_id from merged group by child_id;

-- The version of each team that is in force.
create temp table team as
select team_id, authority, service from teams
where valid_from <= today()
qualify row_number() over (partition by team_id order by valid_from desc) = 1;

-- Children's cases without those whose referral was decided as no further action.
create temp table child_case as
select c.case_id, coalesce(p.person_id, c.child_id) as person_id, t.authority, t.service, c.team_id as team, c.opened_at,
  c.closed_at
from cases c
left join person p using (child_id)
left join team t on t.team_id = c.team_id
where c.subject = 'child' and c.opened_at <= as_of()
  and not exists (
    select 1 from referrals r
    where r.referral_id = c.referral_id and r.decision = 'nfa' and coalesce(r.decided_at <= as_of(), true)
  );

create temp table open_case as
select * from child_case where closed_at is null or closed_at > as_of();

-- The active primary allocation that started last; rows for a worker that name none hold nothing.
create temp table holder as
select a.case_id, a.allocation_id, a.holder_kind, a.worker_id
from allocations a
join open_case using (case_id)
where a.role = 'primary' and a.started_at <= as_of() and (a.ended_at is null or a.ended_at > as_of())
  and (a.holder_kind <> 'worker' or a.worker_id is not null)
qualify row_number() over (partition by a.case_id order by a.started_at desc, a.allocation_id desc) = 1;

-- The days at which the workforce is measured.
create temp table measured_day as
select 'now' as measured, today() as day
union all
select '30_september', max(day) from calendar where day <= today() and month(day) = 9 and day(day) = 30;

-- Contracts in force on those days, their last day included.
create temp table contract_in_force as
select m.measured, m.day, k.* from contracts k
join measured_day m on k.started_on <= m.day and (k.ended_on is null or k.ended_on >= m.day);

-- The periods over which flows are counted.
create temp table period as
select '12_months' as period, today() - interval 1 year as after union all select '28_days', today() - interval 28 day;

create temp table referral as
select r.authority, coalesce(p.person_id, r.child_id) as person_id, london(r.received_at) as received_on, r.received_at,
  case when r.decided_at <= as_of() then r.decided_at end as decided_at,
  case when coalesce(r.decided_at <= as_of(), true) then r.decision end as decision
from referrals r
left join person p using (child_id)
where r.kind = 'referral' and r.received_at <= as_of();
