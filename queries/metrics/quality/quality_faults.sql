-- name: casewatch_quality_faults
-- kind: gauge
-- help: Rows that break a data-quality rule; the rows themselves are quality.<rule>. No 0 for a rule of plans, assessments or
--   referrals where the authority supplies none.
-- unit: rows
-- labels: authority, rule
-- value: faults
-- needs: teams, cases, allocations
-- source: DOMAIN, data-quality rules
-- publish: count
-- owner: performance team
-- max_series: 5000
with rules as (
  -- Where a table is not supplied its rules find nothing, which is no 0: a rule needs the table that of_status needs.
  select column1 as rule, column2 as of_status
  from (values
    ('activity_after_closure', 'assessment'),
    ('activity_before_referral', 'awaiting_assessment'),
    ('activity_without_further_action', 'awaiting_assessment'),
    ('allocation_ended_before_started', null),
    ('allocation_unknown_worker', null),
    ('allocation_without_worker', null),
    ('case_unknown_team', null),
    ('closed_assessment_unfinished', 'assessment'),
    ('closed_case_allocated', null),
    ('episodes_overlap', null),
    ('merge_without_end', null),
    ('open_episodes_twice', null),
    ('plan_not_on_conference_day', 'child_protection'),
    ('plan_within_a_day', 'child_protection'),
    ('plans_need_and_protection', 'child_protection'),
    ('two_primaries', null))
),
faults as (
  select 'activity_after_closure' as rule, authority, count(*) as faults from quality.activity_after_closure group by authority
  union all
  select 'activity_before_referral' as rule, authority, count(*) as faults from quality.activity_before_referral group by authority
  union all
  select 'activity_without_further_action' as rule, authority, count(*) as faults from quality.activity_without_further_action group by authority
  union all
  select 'allocation_ended_before_started' as rule, authority, count(*) as faults from quality.allocation_ended_before_started group by authority
  union all
  select 'allocation_unknown_worker' as rule, authority, count(*) as faults from quality.allocation_unknown_worker group by authority
  union all
  select 'allocation_without_worker' as rule, authority, count(*) as faults from quality.allocation_without_worker group by authority
  union all
  select 'case_unknown_team' as rule, authority, count(*) as faults from quality.case_unknown_team group by authority
  union all
  select 'closed_assessment_unfinished' as rule, authority, count(*) as faults from quality.closed_assessment_unfinished group by authority
  union all
  select 'closed_case_allocated' as rule, authority, count(*) as faults from quality.closed_case_allocated group by authority
  union all
  select 'episodes_overlap' as rule, authority, count(*) as faults from quality.episodes_overlap group by authority
  union all
  select 'merge_without_end' as rule, authority, count(*) as faults from quality.merge_without_end group by authority
  union all
  select 'open_episodes_twice' as rule, authority, count(*) as faults from quality.open_episodes_twice group by authority
  union all
  select 'plan_not_on_conference_day' as rule, authority, count(*) as faults from quality.plan_not_on_conference_day group by authority
  union all
  select 'plan_within_a_day' as rule, authority, count(*) as faults from quality.plan_within_a_day group by authority
  union all
  select 'plans_need_and_protection' as rule, authority, count(*) as faults from quality.plans_need_and_protection group by authority
  union all
  select 'two_primaries' as rule, authority, count(*) as faults from quality.two_primaries group by authority
)
select a.authority, r.rule, coalesce(f.faults, 0) as faults
from (select authority from team_labels union select authority from faults) a
cross join rules r
left join statuses_told k on k.authority = a.authority and k.status = r.of_status
left join faults f on f.authority = a.authority and f.rule = r.rule
where r.of_status is null or k.status is not null or f.faults > 0
