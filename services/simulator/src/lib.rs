//! casewatch-simulator
