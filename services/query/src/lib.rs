//! casewatch-query
