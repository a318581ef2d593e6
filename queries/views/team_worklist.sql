-- name: team_worklist
-- row: something that a team has to see to: a case without an effective worker, a visit, supervision or assessment that
--   is late
-- asked_by: team managers, each morning
-- why: A manager's morning, worst first: order by late_workdays. due_on is the day by which it should have been.
select authority, service, team_id, 'no effective worker: ' || state as what, case_id, worker_id,
  london_date(ineffective_since) as due_on, ineffective_workdays as late_workdays
from allocation_state
where not effective
union all
select authority, service, team_id, 'visit: ' || kind as what, case_id, cast(null as varchar) as worker_id, due_on,
  late_workdays
from visits_owed
where late
union all
select authority, service, team_id, 'supervision: ' || kind as what, case_id, worker_id, due_on, late_workdays
from supervisions_owed
where late
union all
select authority, service, team_id, 'assessment' as what, case_id, cast(null as varchar) as worker_id,
  add_working_days(as_of_date(), cast(parameter('assessment_workdays') as bigint) - workdays_from_referral) as due_on,
  workdays_from_referral - cast(parameter('assessment_workdays') as bigint) as late_workdays
from assessment_times
where is_open and not in_time_from_referral
