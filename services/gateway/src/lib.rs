//! The PostgreSQL gateway: SQL for analysts over PostgreSQL's wire protocol, with the programs that they have.
//!
//! In reading order: a connection is negotiated ([`tls`]), its user signs in ([`sign_in`], [`scram`]), and its messages
//! ([`codec`]) are served one by one ([`connection`]). A text becomes commands ([`statement`]); what a client binds
//! becomes literals ([`parameters`]); what it asks of PostgreSQL's catalogs becomes what DataFusion plans ([`catalog`]);
//! its rows are sent as they come ([`running`], [`encode`], [`copy`]), each kind of value as its type ([`types`]).
//!
//! What it promises:
//! - **Reading only**, by an allow-list, and of a user's own catalog: see `casewatch-query`.
//! - **No password crosses the wire**, and none is known here: SCRAM-SHA-256, bound to the channel where the client can.
//!   A name that nobody has is refused like a wrong password, and as late.
//! - **Encryption fails closed.** Where TLS is required, nothing is answered without it.
//! - **Everything ends**: signing in, a statement, a client that does not read, a connection that says nothing.
//! - **No row is shown that the audit log does not know of.**
//!
//! What it never does: write, read the server's files, or name a table of the domain.

mod cancel;
mod catalog;
mod codec;
mod connection;
mod copy;
mod encode;
mod error;
mod gateway;
mod metrics;
mod parameters;
mod portal;
mod running;
mod scram;
mod settings;
mod sign_in;
mod statement;
mod tls;
mod types;

pub use gateway::{Gateway, GatewayAccess, GatewayError, GatewayOptions, Security};
pub use metrics::GatewayMetrics;
pub use tls::Certificate;
