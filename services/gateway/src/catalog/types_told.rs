//! `pg_type`, and the procedures that its rows name.

use std::sync::Arc;

use datafusion::catalog::TableProvider;

use super::OWNER_OID;
use super::cells::{Cell, row, table};
use crate::types::{self, TYPES};

pub(super) fn types() -> Arc<dyn TableProvider> {
    let columns = "oid:o typname:n typnamespace:o typowner:o typlen:s typbyval:b typtype:c typcategory:c \
                   typispreferred:b typisdefined:b typdelim:c typrelid:o typsubscript:o typelem:o typarray:o typinput:o \
                   typoutput:o typreceive:o typsend:o typmodin:o typmodout:o typanalyze:o typalign:c typstorage:c \
                   typnotnull:b typbasetype:o typtypmod:i typndims:i typcollation:o typdefault:t typacl:T";
    let mut rows = Vec::new();
    for known in TYPES {
        let kind = if known.category == "P" { "p" } else { "b" };
        let collation = if known.category == "S" { 100 } else { 0 };
        let (input, receive) = (procedure_oid("textin"), procedure_oid("textrecv"));
        rows.push(row![
            known.oid,
            known.name,
            11,
            OWNER_OID,
            known.size,
            known.size > 0,
            kind,
            known.category,
            false,
            true,
            ",",
            0,
            0,
            0,
            known.array_oid,
            input,
            input,
            receive,
            receive,
            0,
            0,
            0,
            "i",
            "p",
            false,
            0,
            -1,
            0,
            collation
        ]);
        if known.array_oid != 0 {
            let (input, receive) = (procedure_oid("array_in"), procedure_oid("array_recv"));
            rows.push(row![
                known.array_oid,
                format!("_{}", known.name),
                11,
                OWNER_OID,
                -1,
                false,
                "b",
                "A",
                false,
                true,
                ",",
                0,
                0,
                known.oid,
                0,
                input,
                input,
                receive,
                receive,
                0,
                0,
                0,
                "i",
                "x",
                false,
                0,
                -1,
                0,
                collation
            ]);
        }
    }
    table(columns, &rows)
}

const PROCEDURES: [(&str, i32); 4] = [
    ("textin", 46),
    ("array_in", 750),
    ("array_recv", 2400),
    ("textrecv", 2414),
];

/// As `'name'::regproc` gives it; 0 for one that is not there.
pub(super) fn procedure_oid(name: &str) -> i32 {
    PROCEDURES
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(0, |(_, oid)| *oid)
}

pub(super) fn procedures() -> Arc<dyn TableProvider> {
    let columns = "oid:o proname:n pronamespace:o proowner:o prolang:o procost:f prorows:f provariadic:o prosupport:o \
                   prokind:c prosecdef:b proleakproof:b proisstrict:b proretset:b provolatile:c proparallel:c \
                   pronargs:s pronargdefaults:s prorettype:o proargtypes:O proallargtypes:O proargmodes:T \
                   proargnames:T proargdefaults:t prosrc:t probin:t proconfig:T proacl:T";
    let rows = PROCEDURES.map(|(name, oid)| {
        row![
            oid,
            name,
            11,
            OWNER_OID,
            12,
            1,
            0,
            0,
            0,
            "f",
            false,
            false,
            true,
            false,
            "i",
            "s",
            1,
            0,
            types::TEXT.oid
        ]
    });
    table(columns, &rows)
}
