//! casewatch-metrics
