//! casewatch-ingest
