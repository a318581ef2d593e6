-- name: caseload_thresholds
-- row: a threshold that a worker's cases per full-time equivalent can be over, and whom it applies to
-- why: Bounds as data, from parameters.toml. The newly qualified have one of their own: 110 % of their lighter norm,
--   with however few cases; the others need caseload_watch_cases before a ratio of a small contract means anything.
select 'watch' as threshold, parameter('caseload_watch_per_fte') as per_fte,
  parameter('caseload_watch_cases') as at_least_cases, false as newly_qualified_only
union all
select 'high' as threshold, parameter('caseload_high_per_fte') as per_fte,
  parameter('caseload_watch_cases') as at_least_cases, false as newly_qualified_only
union all
select 'extreme' as threshold, parameter('caseload_extreme_per_fte') as per_fte,
  parameter('caseload_watch_cases') as at_least_cases, false as newly_qualified_only
union all
select 'newly_qualified' as threshold,
  parameter('newly_qualified_over_norm_ratio') * parameter('newly_qualified_weight') * parameter('caseload_norm_cases')
    as per_fte,
  0.0 as at_least_cases, true as newly_qualified_only
