//! A writer's Avro schema, read into a tree with every name resolved.
//!
//! The tree is what the writer's bytes look like. From it come two schemas for arrow-avro: the writer's own, rewritten
//! so that every record, enum and fixed is spelt out where it is used under a name of its own, and a projection of it.
//! So Debezium's one row type, used for both images, can be projected differently in each, and no name, alias or
//! logical type of the writer can get in the way of decoding: what values mean is kept beside, as [`Meaning`].

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::decode::wire::Meaning;

/// Deeper schemas than this are refused: they refer to themselves.
const DEEPEST: usize = 24;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Primitive(&'static str),
    Fixed(u64),
    Enum(Vec<String>),
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
    Record(Vec<Field>),
    /// A type whose values mean more than their Avro type says.
    Meant(Meaning, Box<Node>),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) node: Node,
}

/// Says, of the path of a field, whether a projection keeps it.
pub(super) type Keep<'k> = dyn Fn(&[&str]) -> bool + 'k;

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

impl Node {
    /// Reads a schema; `references` are schemas whose named types it may use.
    pub(super) fn parse(schema: &str, references: &[String]) -> Result<Node, String> {
        let mut reader = Reader::default();
        for reference in references {
            let reference: Value = parse_json(reference)?;
            reader.define(&reference, "", 0)?;
        }
        let schema = parse_json(schema)?;
        reader.define(&schema, "", 0)?;
        reader.node(&schema, "", 0)
    }

    /// The type without what it means.
    pub(super) fn bare(&self) -> &Node {
        match self {
            Node::Meant(_, node) => node.bare(),
            node => node,
        }
    }

    /// The branch other than null of a union of two, or the type itself.
    pub(super) fn non_null(&self) -> &Node {
        match self.bare() {
            Node::Union(branches) => match branches.as_slice() {
                [Node::Primitive("null"), node] | [node, Node::Primitive("null")] => node.non_null(),
                _ => self,
            },
            _ => self,
        }
    }

    pub(super) fn meaning(&self) -> Meaning {
        match self.non_null() {
            Node::Meant(meaning, _) => *meaning,
            _ => Meaning::Plain,
        }
    }

    /// The fields of a record, or of the record in a nullable one.
    pub(super) fn fields(&self) -> Option<&[Field]> {
        match self.non_null().bare() {
            Node::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// A record with this type as its only field: its bytes are those of the bare value.
    pub(super) fn in_record(self, name: &str) -> Node {
        Node::Record(vec![Field {
            name: name.to_owned(),
            aliases: Vec::new(),
            node: self,
        }])
    }

    /// The tree as an Avro schema in which every named type has a name of its own.
    ///
    /// With `keep`, records are cut down to the fields it keeps; the names stay those of the whole tree, so that a
    /// projection resolves against it. `keep` is asked with the path of each field.
    pub(super) fn to_avro(&self, keep: Option<&Keep<'_>>) -> Value {
        Writer { keep, names: 0 }.node(self, &mut Vec::new(), true)
    }
}

fn parse_json(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        // A registry may hold a bare primitive without quotes.
        Err(_) if PRIMITIVES.contains(&text.trim()) => Ok(Value::String(text.trim().to_owned())),
        Err(error) => Err(format!("the schema is not JSON: {error}")),
    }
}

#[derive(Default)]
struct Reader {
    /// Named types by full name, with the namespace in which they were defined.
    named: HashMap<String, (Value, String)>,
}

impl Reader {
    /// Notes every named type in a schema, so that it can be used before or after where it stands.
    fn define(&mut self, schema: &Value, namespace: &str, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err("the schema is nested too deeply".to_owned());
        }
        match schema {
            Value::Array(branches) => branches
                .iter()
                .try_for_each(|branch| self.define(branch, namespace, depth + 1)),
            Value::Object(object) => {
                let kind = object.get("type");
                let mut namespace = namespace.to_owned();
                if let (Some("record" | "error" | "enum" | "fixed"), Some(name)) =
                    (kind.and_then(Value::as_str), object.get("name").and_then(Value::as_str))
                {
                    let within = object.get("namespace").and_then(Value::as_str).unwrap_or(&namespace);
                    let full = full_name(name, within);
                    namespace = full
                        .rsplit_once('.')
                        .map_or(String::new(), |(within, _)| within.to_owned());
                    self.named.insert(full, (schema.clone(), namespace.clone()));
                }
                for inner in ["type", "items", "values"]
                    .iter()
                    .filter_map(|attribute| object.get(*attribute))
                {
                    self.define(inner, &namespace, depth + 1)?;
                }
                let fields = object.get("fields").and_then(Value::as_array);
                for field in fields.into_iter().flatten().filter_map(|field| field.get("type")) {
                    self.define(field, &namespace, depth + 1)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn node(&self, schema: &Value, namespace: &str, depth: usize) -> Result<Node, String> {
        if depth > DEEPEST {
            return Err("the schema refers to itself".to_owned());
        }
        match schema {
            Value::String(name) => self.by_name(name, namespace, depth),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.node(branch, namespace, depth + 1));
                Ok(Node::Union(branches.collect::<Result<_, _>>()?))
            }
            Value::Object(object) => {
                let part = |attribute: &str| {
                    object
                        .get(attribute)
                        .ok_or_else(|| format!("a type of the schema has no `{attribute}`"))
                };
                let kind = part("type")?;
                let node = match kind.as_str() {
                    Some("record" | "error") => self.record(schema, namespace, depth)?,
                    Some("enum") => {
                        let symbols = part("symbols")?.as_array().map(|symbols| {
                            symbols
                                .iter()
                                .filter_map(Value::as_str)
                                .map(str::to_owned)
                                .collect::<Vec<_>>()
                        });
                        Node::Enum(symbols.ok_or("an enum of the schema has no list of symbols")?)
                    }
                    Some("fixed") => Node::Fixed(part("size")?.as_u64().ok_or("a fixed of the schema has no size")?),
                    Some("array") => Node::Array(Box::new(self.node(part("items")?, namespace, depth + 1)?)),
                    Some("map") => Node::Map(Box::new(self.node(part("values")?, namespace, depth + 1)?)),
                    _ => self.node(kind, namespace, depth + 1)?,
                };
                Ok(match meaning(object, &node) {
                    Meaning::Plain => node,
                    meaning => Node::Meant(meaning, Box::new(node)),
                })
            }
            _ => Err("the schema holds something that is no type".to_owned()),
        }
    }

    fn by_name(&self, name: &str, namespace: &str, depth: usize) -> Result<Node, String> {
        if let Some(primitive) = PRIMITIVES.into_iter().find(|primitive| *primitive == name) {
            return Ok(Node::Primitive(primitive));
        }
        let found = self
            .named
            .get(&full_name(name, namespace))
            .or_else(|| self.named.get(name));
        let (definition, within) = found.ok_or_else(|| format!("the schema uses `{name}` and does not define it"))?;
        self.node(definition, within, depth + 1)
    }

    fn record(&self, schema: &Value, namespace: &str, depth: usize) -> Result<Node, String> {
        let name = schema.get("name").and_then(Value::as_str).unwrap_or_default();
        let within = schema.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(name, within);
        let inner_namespace = full.rsplit_once('.').map_or("", |(within, _)| within);
        let fields = schema
            .get("fields")
            .and_then(Value::as_array)
            .ok_or("a record of the schema has no fields")?;
        let mut nodes = Vec::with_capacity(fields.len());
        for field in fields {
            let name = field
                .get("name")
                .and_then(Value::as_str)
                .ok_or("a field of the schema has no name")?;
            let declared = field
                .get("type")
                .ok_or_else(|| format!("field `{name}` of the schema has no type"))?;
            let aliases = field.get("aliases").and_then(Value::as_array).into_iter().flatten();
            // Some producers put the logical type on the field instead of on its type.
            let node = self.node(declared, inner_namespace, depth + 1)?;
            let node = match field.as_object().map(|object| meaning(object, &node)) {
                Some(meaning) if meaning != Meaning::Plain && node.meaning() == Meaning::Plain => mean(meaning, node),
                _ => node,
            };
            nodes.push(Field {
                name: name.to_owned(),
                aliases: aliases.filter_map(Value::as_str).map(str::to_owned).collect(),
                node,
            });
        }
        Ok(Node::Record(nodes))
    }
}

/// Puts a meaning on a type, or on the branch other than null of an optional one.
fn mean(meaning: Meaning, node: Node) -> Node {
    match node {
        Node::Union(branches) => {
            let branches = branches.into_iter().map(|branch| match branch {
                Node::Primitive("null") => branch,
                branch => Node::Meant(meaning, Box::new(branch)),
            });
            Node::Union(branches.collect())
        }
        node => Node::Meant(meaning, Box::new(node)),
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

/// What Avro's logical type, or Kafka Connect's name for it, says about values.
fn meaning(object: &serde_json::Map<String, Value>, node: &Node) -> Meaning {
    let word = |attribute: &str| object.get(attribute).and_then(Value::as_str);
    let scale = || {
        object
            .get("scale")
            .and_then(Value::as_i64)
            .and_then(|scale| i32::try_from(scale).ok())
            .unwrap_or(0)
    };
    match node.non_null().bare() {
        Node::Primitive("int" | "long" | "string") => word("connect.name")
            .and_then(meaning_of_connect)
            .or_else(|| word("logicalType").and_then(meaning_of_logical))
            .unwrap_or(Meaning::Plain),
        Node::Primitive("bytes") | Node::Fixed(_) if word("logicalType") == Some("decimal") => {
            Meaning::Decimal { scale: scale() }
        }
        _ => Meaning::Plain,
    }
}

fn meaning_of_logical(logical: &str) -> Option<Meaning> {
    match logical {
        "date" => Some(Meaning::Days),
        "timestamp-millis" | "local-timestamp-millis" => Some(Meaning::Millis),
        "timestamp-micros" | "local-timestamp-micros" => Some(Meaning::Micros),
        "timestamp-nanos" | "local-timestamp-nanos" => Some(Meaning::Nanos),
        _ => None,
    }
}

/// What a schema name of Kafka Connect or Debezium says about values. Those that are text need no unit.
pub(crate) fn meaning_of_connect(name: &str) -> Option<Meaning> {
    match name {
        "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Some(Meaning::Days),
        "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => Some(Meaning::Millis),
        "io.debezium.time.MicroTimestamp" => Some(Meaning::Micros),
        "io.debezium.time.NanoTimestamp" => Some(Meaning::Nanos),
        _ => None,
    }
}

struct Writer<'k> {
    keep: Option<&'k Keep<'k>>,
    /// How many named types have been met, kept or not.
    names: usize,
}

impl Writer<'_> {
    /// `kept` says whether the caller will use the result; names are counted either way.
    fn node<'n>(&mut self, node: &'n Node, path: &mut Vec<&'n str>, kept: bool) -> Value {
        match node {
            Node::Primitive(name) => json!(name),
            Node::Meant(_, node) => self.node(node, path, kept),
            Node::Union(branches) => branches.iter().map(|branch| self.node(branch, path, kept)).collect(),
            Node::Array(items) => json!({"type": "array", "items": self.whole(items)}),
            Node::Map(values) => json!({"type": "map", "values": self.whole(values)}),
            Node::Fixed(size) => json!({"type": "fixed", "name": self.name(), "size": size}),
            Node::Enum(symbols) => json!({"type": "enum", "name": self.name(), "symbols": symbols}),
            Node::Record(fields) => {
                let name = self.name();
                let mut written = Vec::with_capacity(fields.len());
                for field in fields {
                    path.push(&field.name);
                    let keep = kept && self.keep.is_none_or(|keep| keep(path));
                    let node = self.node(&field.node, path, keep);
                    path.pop();
                    if keep {
                        written.push(json!({"name": field.name, "type": node}));
                    }
                }
                json!({"type": "record", "name": name, "fields": written})
            }
        }
    }

    /// A type that is kept or left out as a whole.
    fn whole(&mut self, node: &Node) -> Value {
        let keep = self.keep.take();
        let written = self.node(node, &mut Vec::new(), true);
        self.keep = keep;
        written
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("T{}", self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str = r#"{"type": "record", "name": "Envelope", "namespace": "db.pets", "fields": [
        {"name": "before", "type": ["null", {"type": "record", "name": "Value", "fields": [
            {"name": "id", "type": {"type": "string", "connect.name": "io.debezium.data.Uuid"}},
            {"name": "born", "type": ["null", {"type": "int", "connect.name": "io.debezium.time.Date"}]},
            {"name": "weight", "type": {"type": "bytes", "scale": 2, "precision": 5, "logicalType": "decimal"}}
        ]}]},
        {"name": "after", "type": ["null", "Value"]}
    ]}"#;

    #[test]
    fn a_type_used_twice_is_spelt_out_twice_under_names_of_its_own() {
        let tree = Node::parse(ENVELOPE, &[]).unwrap();
        let value = |name: &str| {
            json!(["null", {"type": "record", "name": name, "fields": [
                {"name": "id", "type": "string"},
                {"name": "born", "type": ["null", "int"]},
                {"name": "weight", "type": "bytes"},
            ]}])
        };
        let expected = json!({"type": "record", "name": "T1", "fields": [
            {"name": "before", "type": value("T2")},
            {"name": "after", "type": value("T3")},
        ]});
        assert_eq!(tree.to_avro(None), expected);
    }

    #[test]
    fn a_projection_keeps_the_names_of_the_whole() {
        let tree = Node::parse(ENVELOPE, &[]).unwrap();
        let keep = |path: &[&str]| path[0] == "after" && path.get(1).is_none_or(|name| *name == "born");
        let expected = json!({"type": "record", "name": "T1", "fields": [
            {"name": "after", "type": ["null", {"type": "record", "name": "T3", "fields": [
                {"name": "born", "type": ["null", "int"]},
            ]}]},
        ]});
        assert_eq!(tree.to_avro(Some(&keep)), expected);
    }

    #[test]
    fn what_values_mean_is_read_from_logical_types_and_from_connect() {
        let tree = Node::parse(ENVELOPE, &[]).unwrap();
        let after = tree.fields().unwrap()[1].node.fields().unwrap();
        let meanings: Vec<Meaning> = after.iter().map(|field| field.node.meaning()).collect();
        assert_eq!(meanings, [Meaning::Plain, Meaning::Days, Meaning::Decimal { scale: 2 }]);
    }

    #[test]
    fn a_reference_to_another_subject_is_followed_and_a_missing_one_is_told() {
        let uses = r#"{"type": "record", "name": "A", "namespace": "x", "fields": [{"name": "b", "type": "y.B"}]}"#;
        let defines = r#"{"type": "record", "name": "B", "namespace": "y", "fields": []}"#.to_owned();
        assert!(Node::parse(uses, &[defines]).is_ok());
        assert_eq!(
            Node::parse(uses, &[]).unwrap_err(),
            "the schema uses `y.B` and does not define it"
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_is_refused() {
        let list = r#"{"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}"#;
        assert_eq!(Node::parse(list, &[]).unwrap_err(), "the schema refers to itself");
    }
}
