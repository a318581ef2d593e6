//! Schemas of a registry: found by the id in the message alone, and put together from those they refer to.

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use casewatch_contract::*;
use common::{NOW, accounts_for_every_offset, block_on, dead_letters, framed, shipped, show};

/// Id 1 is an envelope whose row is a schema of another subject.
struct Shared;

#[async_trait]
impl SchemaSource for Shared {
    async fn schema(&self, id: u32) -> Result<Option<Arc<WriterSchema>>, Unavailable> {
        let envelope = r#"{"type": "record", "name": "Envelope", "namespace": "any.subject", "fields": [
            {"name": "before", "type": ["null", "shared.Child"], "default": null},
            {"name": "after", "type": ["null", "shared.Child"], "default": null},
            {"name": "op", "type": "string"},
            {"name": "source", "type": "shared.Source"}]}"#;
        let child = r#"{"type": "record", "name": "Child", "namespace": "shared", "fields": [
            {"name": "child_id", "type": "string"}, {"name": "restricted", "type": "boolean"},
            {"name": "authority", "type": "Code"}, {"name": "source_system", "type": "Code"}]}"#;
        let code = r#"{"type": "enum", "name": "Code", "namespace": "shared", "symbols": ["E10000021", "s"]}"#;
        let source = r#"{"type": "record", "name": "Source", "namespace": "shared", "fields": [
            {"name": "ts_ms", "type": "long"}, {"name": "lsn", "type": "long"}]}"#;
        let schema = WriterSchema {
            schema: envelope.to_owned(),
            references: [child, code, source].map(str::to_owned).to_vec(),
        };
        Ok((id == 1).then(|| Arc::new(schema)))
    }
}

#[test]
fn a_schema_that_refers_to_others_decodes_as_one() {
    let keys = Arc::new(HmacKeys::demo());
    let topic = TopicSpec::new("db.children", Order::Source);
    let table = shipped("children");
    let mut decoder = Decoder::new(table, topic, "test".into(), keys, Some(Arc::new(Shared))).unwrap();
    // before null, after: k1, restricted, the codes; op c; ts_ms 1, lsn 2.
    let body = [&[0, 2, 4], b"k1".as_slice(), &[1, 0, 2], &[2, b'c'], &[2, 4]].concat();
    let message = framed(1, &body);
    let raw = [RawMessage {
        offset: Offset(0),
        key: None,
        value: Some(&message),
        timestamp_ms: None,
    }];
    let chunk = block_on(decoder.decode(0, Offset(0), Offset(1), &raw, NOW)).unwrap();
    accounts_for_every_offset(&chunk);
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    let expected = "\
+------------+-----------+---------------+-----+
| restricted | authority | source_system | _op |
+------------+-----------+---------------+-----+
| true       | E10000021 | s             | c   |
+------------+-----------+---------------+-----+";
    let shown = show(&chunk.rows, &["restricted", "authority", "source_system", "_op"]);
    assert_eq!(shown, expected);
}
