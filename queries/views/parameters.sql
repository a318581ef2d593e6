-- name: parameters
-- row: a number of parameters.toml
-- why: Dashboards and alerts read a choice where it is made instead of repeating it. A new parameter is named here too.
select column1 as parameter, parameter(column1) as setting
from (values ('grace_workdays'), ('grace_transfer_workdays'), ('grace_protection_workdays'),
  ('effective_holding_workdays'), ('long_term_absence_workdays'), ('holder_leaving_workdays'),
  ('protected_without_worker_workdays'), ('leaver_held_workdays'), ('nominal_workdays'), ('newly_qualified_weight'),
  ('caseload_norm_cases'), ('caseload_watch_per_fte'), ('caseload_high_per_fte'), ('caseload_extreme_per_fte'),
  ('caseload_watch_cases'), ('newly_qualified_over_norm_ratio'), ('dfe_caseload_limit_per_fte'),
  ('spell_gap_workdays'), ('absence_year_workdays'), ('conversion_gap_workdays'), ('employees_per_manager'),
  ('referral_decision_workdays'), ('assessment_workdays'), ('conference_workdays'), ('core_group_workdays'),
  ('first_visit_workdays'), ('child_protection_visit_workdays'), ('child_in_need_visit_workdays'),
  ('looked_after_first_visit_calendardays'), ('looked_after_visit_calendardays'),
  ('looked_after_weekly_visit_calendardays'), ('looked_after_4_weekly_visit_calendardays'), ('visit_due_workdays'),
  ('closed_too_soon_calendardays'), ('long_open_assessment_workdays'), ('supervision_months'), ('flow_workdays'))
