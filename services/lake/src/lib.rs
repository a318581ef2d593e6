//! casewatch-lake
