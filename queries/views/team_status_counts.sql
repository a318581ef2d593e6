-- name: team_status_counts
-- row: a team and a case status, with the cases of both in total and by what they lack
-- why: Both headlines from one count, with a 0 for every team and status that has none, so that an alert resolves on a
--   number and silence is never read as zero. No 0 where the authority does not supply what the status follows from.
select l.authority, l.service, l.team_id, s.status,
  count(a.case_id) as cases,
  sum(case when a.no_holder then 1 else 0 end) as no_holder,
  sum(case when not a.effective then 1 else 0 end) as no_effective_worker,
  sum(case when a.state = 'unallocated' then 1 else 0 end) as unallocated,
  sum(case when a.state = 'in_transition' then 1 else 0 end) as in_transition
from team_labels l
cross join case_statuses s
left join statuses_told k on k.authority = l.authority and k.status = s.status
left join allocation_state a
  on a.authority = l.authority and a.service = l.service and a.team_id = l.team_id and a.status = s.status
group by l.authority, l.service, l.team_id, s.status
having count(a.case_id) > 0 or count(k.status) > 0
