//! casewatch-tests
