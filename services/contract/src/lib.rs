//! casewatch-contract
