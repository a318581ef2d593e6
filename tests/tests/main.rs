//! Every end-to-end test, as one program: what a test waits for, another one computes beside it, as many at a time as
//! there are cores; the lake of a demo is made once for all that read it; and the tests' crates are linked once.

mod alerts;
mod backfill;
mod bad_input;
mod board;
mod browser;
mod catalogue;
mod cli;
mod dashboards;
mod debezium;
mod demo;
mod exactly_once;
mod gateway;
mod house;
mod load;
mod prometheus;
mod published;
mod reload;
mod s3;
mod scenario;
mod second_opinions;
mod security;
mod servers;
mod topics;
