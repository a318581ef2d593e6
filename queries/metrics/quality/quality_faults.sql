-- name: casewatch_quality_faults
-- kind: gauge
-- help: Rows that break a data-quality rule; the rows themselves are quality.<rule>.
-- unit: rows
-- labels: authority, rule
-- value: faults
-- needs: teams, cases, allocations
-- source: DOMAIN, data-quality rules
-- publish: count
-- owner: performance team
-- max_series: 5000
with rules as (
  select 'activity_after_closure' as rule union all
  select 'activity_before_referral' as rule union all
  select 'activity_without_further_action' as rule union all
  select 'allocation_ended_before_started' as rule union all
  select 'allocation_unknown_worker' as rule union all
  select 'allocation_without_worker' as rule union all
  select 'case_unknown_team' as rule union all
  select 'closed_assessment_unfinished' as rule union all
  select 'closed_case_allocated' as rule union all
  select 'episodes_overlap' as rule union all
  select 'merge_without_end' as rule union all
  select 'open_episodes_twice' as rule union all
  select 'plan_not_on_conference_day' as rule union all
  select 'plan_within_a_day' as rule union all
  select 'plans_need_and_protection' as rule union all
  select 'two_primaries' as rule
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
left join faults f on f.authority = a.authority and f.rule = r.rule
