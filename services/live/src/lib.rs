//! casewatch-live
