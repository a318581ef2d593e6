//! Messages as columns -> rows of a table: judged, converted, made private, and given their system columns.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{and, interleave, nullif, or, take};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};

use super::convert::{Converted, convert};
use super::fault::{Fault, Faults};
use super::key;
use super::month::Months;
use super::pseudonym::{months, pseudonymise};
use super::sequence::{Positions, sequences};
use super::wire::{SourceField, Wire, WireColumn};
use crate::chunk::{RawMessage, Reason};
use crate::name::{ClusterName, TopicName};
use crate::position::RecordedAt;
use crate::privacy::{Chain, Privacy};
use crate::system;
use crate::table::Table;
use crate::topic::Order;

/// What every row of a topic has in common.
pub(super) struct Common {
    pub(super) table: Arc<Table>,
    /// The hash functions of the table's columns, by position.
    pub(super) chains: Vec<Option<Chain>>,
    pub(super) cluster: ClusterName,
    pub(super) topic: TopicName,
    pub(super) epoch: u32,
    pub(super) order: Order,
}

/// What every row of a batch has in common.
#[derive(Clone, Copy)]
pub(super) struct Read<'a> {
    pub(super) messages: &'a [RawMessage<'a>],
    pub(super) partition: i32,
    pub(super) ingested_at: RecordedAt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Create,
    Update,
    Read,
    Delete,
    Truncate,
}

impl Op {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "c" => Some(Op::Create),
            "u" => Some(Op::Update),
            "r" => Some(Op::Read),
            "d" => Some(Op::Delete),
            "t" => Some(Op::Truncate),
            _ => None,
        }
    }

    fn letter(self) -> &'static str {
        match self {
            Op::Create => "c",
            Op::Update => "u",
            Op::Read => "r",
            Op::Delete => "d",
            Op::Truncate => "t",
        }
    }
}

/// Which image of a message a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Image {
    /// All columns after the change.
    After,
    /// The key after the change: a flat row that is marked deleted.
    KeyAfter,
    /// The key before the change.
    KeyBefore,
    /// Nothing: a truncate.
    None,
}

/// A row to be written: where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// The row of the wire.
    from: usize,
    image: Image,
    op: Op,
}

/// Makes rows of messages. Those that break a rule become faults and cost no other.
pub(super) fn rows(wire: &Wire, common: &Common, read: Read<'_>, faults: &mut Faults) -> RecordBatch {
    let mut judge = Judge { wire, common, faults };
    let ops = judge.ops();
    let images: Vec<Option<Image>> = ops
        .iter()
        .enumerate()
        .map(|(row, op)| op.and_then(|op| judge.image(row, op)))
        .collect();
    let after = judge.after(&images);
    let before_key = judge.before_key(&images);
    let recorded_at = judge.recorded_at(&images);
    let positions = judge.positions(&images);

    let moved = moved_keys(common, &after, &before_key, wire);
    let mut rows = Vec::with_capacity(wire.rows());
    for (from, (op, image)) in ops.iter().zip(&images).enumerate() {
        let (Some(op), Some(image)) = (*op, *image) else {
            continue;
        };
        if faults.has(wire.messages[from]) {
            continue;
        }
        if op == Op::Update
            && moved
                .as_ref()
                .is_some_and(|moved| moved.is_valid(from) && moved.value(from))
        {
            rows.push(Row {
                from,
                image: Image::KeyBefore,
                op: Op::Delete,
            });
        }
        rows.push(Row { from, image, op });
    }

    let selection = Selection::new(&rows, wire.rows());
    let mut columns = Vec::with_capacity(common.table.lake_schema.fields().len());
    for (position, column) in common.table.columns.iter().enumerate() {
        let before = common
            .table
            .key
            .iter()
            .position(|key| *key == position)
            .map(|key| before_key[key].as_ref());
        let array = selection.column(&column.data_type, after[position].as_ref(), before);
        columns.push(match (&column.privacy, &common.chains[position]) {
            (Privacy::Hmac(_), Some(chain)) => pseudonymise(array.as_string::<i32>(), chain),
            (Privacy::Month, _) => months(&array),
            _ => array,
        });
    }
    let system = System {
        wire,
        common,
        read,
        selection: &selection,
        after: &after,
    };
    system.append_to(&mut columns, &recorded_at, &positions);
    RecordBatch::try_new(common.table.lake_schema(), columns).expect("every column was made to its field's type")
}

/// Looks for what breaks a rule.
struct Judge<'a> {
    wire: &'a Wire,
    common: &'a Common,
    faults: &'a mut Faults,
}

impl Judge<'_> {
    fn fault(&mut self, row: usize, reason: Reason, detail: impl Into<String>) {
        self.faults.add(self.wire.messages[row], Fault::new(reason, detail));
    }

    fn ops(&mut self) -> Vec<Option<Op>> {
        let op = self.wire.op.as_ref().and_then(key::text);
        let deleted = self.wire.deleted.as_ref().and_then(key::text);
        fn text(array: Option<&StringArray>, row: usize) -> Option<&str> {
            array.filter(|array| array.is_valid(row)).map(|array| array.value(row))
        }
        let (op, deleted) = (
            op.as_ref().map(|op| op.as_string::<i32>()),
            deleted.as_ref().map(|deleted| deleted.as_string::<i32>()),
        );
        let mut ops = Vec::with_capacity(self.wire.rows());
        for row in 0..self.wire.rows() {
            let found = match text(op, row) {
                _ if text(deleted, row) == Some("true") => Some(Op::Delete),
                Some(letter) => Op::parse(letter),
                // A plain row says what is, as an update does.
                None if !self.wire.envelope => Some(Op::Update),
                None => None,
            };
            if found.is_none() {
                self.fault(row, Reason::UnknownOperation, "`op` is none of c, u, r, d, t");
            }
            ops.push(found);
        }
        ops
    }

    fn image(&mut self, row: usize, op: Op) -> Option<Image> {
        match op {
            Op::Create | Op::Update | Op::Read if self.wire.has_after.value(row) => Some(Image::After),
            Op::Create | Op::Update | Op::Read => {
                self.fault(row, Reason::UnknownOperation, "an upsert has no `after`");
                None
            }
            Op::Delete if self.wire.has_before.value(row) => Some(Image::KeyBefore),
            Op::Delete if !self.wire.envelope => Some(Image::KeyAfter),
            Op::Delete => {
                self.fault(
                    row,
                    Reason::MissingKey,
                    "a delete has neither `before` nor a message key to name its row",
                );
                None
            }
            Op::Truncate if self.common.order == Order::Source => Some(Image::None),
            Op::Truncate => {
                let detail = "a truncate says what it removes only on a topic with order = \"source\"";
                self.fault(row, Reason::TruncateNeedsSourceOrder, detail);
                None
            }
        }
    }

    /// The table's columns of the image after.
    fn after(&mut self, images: &[Option<Image>]) -> Vec<Option<Converted>> {
        let table = Arc::clone(&self.common.table);
        let mut columns = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            let is_key = table.key.contains(&position);
            let uses = |image: &Option<Image>| match image {
                Some(Image::After) => true,
                Some(Image::KeyAfter) => is_key,
                _ => false,
            };
            let converted = self.wire.after[position].as_ref().map(|wire| {
                let converted = convert(wire, &column.data_type, column.symbols.as_deref());
                converted.ok_or_else(|| wire.array.data_type().clone())
            });
            let converted = match converted {
                Some(Err(data_type)) => {
                    let detail = format!(
                        "`{}` is {}, which cannot be read as {}",
                        column.name, data_type, column.data_type
                    );
                    for row in (0..images.len()).filter(|row| uses(&images[*row])) {
                        self.fault(row, Reason::SchemaMismatch, detail.clone());
                    }
                    None
                }
                Some(Ok(converted)) => Some(converted),
                None => None,
            };
            if let Some(converted) = &converted {
                for &row in converted.unlisted.iter().filter(|row| uses(&images[**row])) {
                    self.fault(
                        row,
                        Reason::ClosedList,
                        format!("`{}` has a value that is not in its list", column.name),
                    );
                }
                for &row in converted.bad.iter().filter(|row| uses(&images[**row])) {
                    let detail = format!("the value of `{}` cannot be read as {}", column.name, column.data_type);
                    self.fault(row, Reason::BadValue, detail);
                }
            }
            if !column.nullable {
                self.required(&column.name, is_key, converted.as_ref(), images, &uses);
            }
            columns.push(converted);
        }
        columns
    }

    fn required(
        &mut self,
        name: &str,
        is_key: bool,
        converted: Option<&Converted>,
        images: &[Option<Image>],
        uses: &dyn Fn(&Option<Image>) -> bool,
    ) {
        if converted.is_some_and(|converted| converted.array.null_count() == 0) {
            return;
        }
        for row in (0..images.len()).filter(|row| uses(&images[*row])) {
            let has_value = converted.is_some_and(|converted| {
                let is_unset = converted.unset.as_ref().is_some_and(|unset| unset.value(row));
                converted.array.is_valid(row) || is_unset && !is_key
            });
            match (has_value, is_key) {
                (true, _) => {}
                (false, true) => self.fault(
                    row,
                    Reason::MissingKey,
                    format!("the key's column `{name}` has no value"),
                ),
                (false, false) => self.fault(
                    row,
                    Reason::MissingValue,
                    format!("`{name}` has no value and must have one"),
                ),
            }
        }
    }

    /// The key's columns of the image before, in the key's order.
    fn before_key(&mut self, images: &[Option<Image>]) -> Vec<Option<Converted>> {
        let table = Arc::clone(&self.common.table);
        let mut columns = Vec::with_capacity(table.key.len());
        for (part, column) in table.key_columns().enumerate() {
            let wire = self.wire.before_key[part].as_ref();
            let converted = wire.and_then(|wire| convert(wire, &column.data_type, column.symbols.as_deref()));
            let uses = |image: &Option<Image>| *image == Some(Image::KeyBefore);
            self.required(&column.name, true, converted.as_ref(), images, &uses);
            columns.push(converted);
        }
        columns
    }

    /// When each change was committed, in microseconds.
    fn recorded_at(&mut self, images: &[Option<Image>]) -> TimestampMicrosecondArray {
        let number = |field| {
            let column = self.wire.source(field)?;
            let converted = convert(column, &DataType::Int64, None)?.array;
            Some(converted.as_primitive::<Int64Type>().clone())
        };
        let (micros, nanos, millis) = (
            number(SourceField::TsUs),
            number(SourceField::TsNs),
            number(SourceField::TsMs),
        );
        let own = self
            .wire
            .recorded_at
            .as_ref()
            .and_then(|column| convert(column, &system::timestamp(), None));
        let own = own.map(|converted| converted.array.as_primitive::<TimestampMicrosecondType>().clone());
        let value = |array: &Option<Int64Array>, row: usize| {
            array
                .as_ref()
                .filter(|array| array.is_valid(row))
                .map(|array| array.value(row))
        };
        let mut times = Vec::with_capacity(images.len());
        for row in 0..images.len() {
            times.push(
                own.as_ref()
                    .filter(|own| own.is_valid(row))
                    .map(|own| own.value(row))
                    .or_else(|| value(&micros, row))
                    .or_else(|| value(&nanos, row).map(|nanos| nanos.div_euclid(1000)))
                    .or_else(|| value(&millis, row).map(|millis| millis.saturating_mul(1000))),
            );
        }
        for row in (0..images.len()).filter(|row| images[*row].is_some()) {
            if times[row].is_none() {
                self.fault(
                    row,
                    Reason::MissingRecordedAt,
                    "nothing says when the change was recorded",
                );
            }
        }
        TimestampMicrosecondArray::from(times).with_timezone("UTC")
    }

    fn positions(&mut self, images: &[Option<Image>]) -> Positions {
        if self.common.order == Order::Offset {
            return Positions::Unneeded;
        }
        let positions = Positions::of(self.wire);
        for row in (0..images.len()).filter(|row| images[*row].is_some()) {
            if !positions.has(row) {
                let detail = "the topic is ordered by the source's position, and there is none that can be read";
                self.fault(row, Reason::MissingPosition, detail);
            }
        }
        positions
    }
}

/// Messages whose key before the change differs from that after it; `None` when there are none.
fn moved_keys(
    common: &Common,
    after: &[Option<Converted>],
    before_key: &[Option<Converted>],
    wire: &Wire,
) -> Option<BooleanArray> {
    if wire.has_before.true_count() == 0 {
        return None;
    }
    let mut moved: Option<BooleanArray> = None;
    for (&position, before) in common.table.key.iter().zip(before_key) {
        let (Some(after), Some(before)) = (&after[position], before) else {
            return None;
        };
        let differs = distinct(&after.array, &before.array).expect("both images have the column's type");
        moved = Some(match moved {
            Some(moved) => or(&moved, &differs).expect("both are of one length"),
            None => differs,
        });
    }
    // Without an image before, or with an incomplete key in it, there is nothing to compare.
    let comparable = (0..wire.rows())
        .map(|row| wire.has_before.value(row) && before_key.iter().flatten().all(|before| before.array.is_valid(row)));
    let moved = and(&moved?, &BooleanArray::from_iter(comparable.map(Some)));
    Some(moved.expect("both are of one length")).filter(|moved| moved.true_count() > 0)
}

/// The rows that are written, in order.
struct Selection<'a> {
    rows: &'a [Row],
    shape: SelectionShape,
}

/// How the written rows lie to the messages.
enum SelectionShape {
    /// All messages, each as it is after its change: columns need no copy.
    All,
    /// All messages, but these show less than the image after: columns need other nulls.
    Hidden(BooleanArray),
    /// Some messages only, or some twice.
    Some,
}

impl<'a> Selection<'a> {
    fn new(rows: &'a [Row], messages: usize) -> Self {
        let is_each = rows.len() == messages && rows.iter().enumerate().all(|(at, row)| row.from == at);
        let hidden = || BooleanBuffer::collect_bool(rows.len(), |at| rows[at].image != Image::After);
        let shape = match is_each {
            true if rows.iter().all(|row| row.image == Image::After) => SelectionShape::All,
            true => SelectionShape::Hidden(BooleanArray::from(hidden())),
            false => SelectionShape::Some,
        };
        Self { rows, shape }
    }

    /// A column of the written rows. `before` is given for columns of the key.
    fn column(&self, data_type: &DataType, after: Option<&Converted>, before: Option<Option<&Converted>>) -> ArrayRef {
        let empty = || new_null_array(data_type, 1);
        match (after, before, &self.shape) {
            (Some(after), _, SelectionShape::All) => Arc::clone(&after.array),
            (None, None, _) => new_null_array(data_type, self.rows.len()),
            (Some(after), None, SelectionShape::Hidden(hidden)) => {
                nullif(&after.array, hidden).expect("the mask is of the column's length")
            }
            (Some(after), None, _) => {
                let index = |row: &Row| (row.image == Image::After).then(|| index(row.from));
                take(&after.array, &UInt32Array::from_iter(self.rows.iter().map(index)), None)
                    .expect("rows come from the wire")
            }
            (after, Some(before), _) => {
                let after = after.map_or_else(empty, |after| Arc::clone(&after.array));
                let before = before.map_or_else(empty, |before| Arc::clone(&before.array));
                let nothing = empty();
                let indices: Vec<(usize, usize)> = self
                    .rows
                    .iter()
                    .map(|row| match row.image {
                        Image::After | Image::KeyAfter => (0, row.from),
                        Image::KeyBefore => (1, row.from),
                        Image::None => (2, 0),
                    })
                    .collect();
                interleave(&[&after, &before, &nothing], &indices).expect("rows come from the wire")
            }
        }
    }

    /// A column that all rows of a message share.
    fn shared(&self, array: &dyn Array) -> ArrayRef {
        if !matches!(self.shape, SelectionShape::Some) {
            return array.slice(0, array.len());
        }
        let indices = UInt32Array::from_iter_values(self.rows.iter().map(|row| index(row.from)));
        take(array, &indices, None).expect("rows come from the wire")
    }
}

fn index(row: usize) -> u32 {
    u32::try_from(row).expect("a batch holds fewer than 2^32 messages")
}

/// Makes the system columns.
struct System<'a> {
    wire: &'a Wire,
    common: &'a Common,
    read: Read<'a>,
    selection: &'a Selection<'a>,
    after: &'a [Option<Converted>],
}

impl System<'_> {
    /// Appends them in the order of [`system::fields`].
    fn append_to(&self, columns: &mut Vec<ArrayRef>, recorded_at: &TimestampMicrosecondArray, positions: &Positions) {
        let rows = self.selection.rows;
        let count = rows.len();
        let recorded_at = self.selection.shared(recorded_at);
        let months =
            Months::before(self.read.ingested_at).of(recorded_at.as_primitive::<TimestampMicrosecondType>().values());
        let offsets: Vec<i64> = rows.iter().map(|row| self.offset(row)).collect();
        let seq: BinaryArray = sequences(
            self.common.epoch,
            positions,
            rows.iter().zip(&offsets).map(|(row, offset)| (row.from, *offset)),
        );
        let ingested_at = TimestampMicrosecondArray::from_value(self.read.ingested_at.micros(), count);
        let epoch = i32::try_from(self.common.epoch).unwrap_or(i32::MAX);
        columns.extend::<[ArrayRef; 13]>([
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.op.letter()))),
            recorded_at,
            Arc::new(months),
            Arc::new(seq),
            self.unset(),
            self.source(),
            self.snapshot(),
            constant(&self.common.cluster, count),
            constant(&self.common.topic, count),
            Arc::new(Int32Array::from_value(epoch, count)),
            Arc::new(Int32Array::from_value(self.read.partition, count)),
            Arc::new(Int64Array::from(offsets)),
            Arc::new(ingested_at.with_timezone("UTC")),
        ]);
    }

    fn offset(&self, row: &Row) -> i64 {
        self.read.messages[self.wire.messages[row.from]].offset.0
    }

    fn unset(&self) -> ArrayRef {
        let unset: Vec<_> = self
            .common
            .table
            .columns
            .iter()
            .zip(self.after)
            .filter_map(|(column, after)| Some((column.name.as_str(), after.as_ref()?.unset.as_ref()?)))
            .collect();
        if unset.is_empty() {
            return new_null_array(&DataType::Utf8, self.selection.rows.len());
        }
        let names = self.selection.rows.iter().map(|row| {
            let of_row = unset
                .iter()
                .filter(|(_, unset)| row.image == Image::After && unset.value(row.from));
            let names: Vec<&str> = of_row.map(|(name, _)| *name).collect();
            (!names.is_empty()).then(|| names.join(","))
        });
        Arc::new(StringArray::from_iter(names))
    }

    /// The connector's name, else the feed that the row itself names.
    fn source(&self) -> ArrayRef {
        if let Some(name) = self.wire.source(SourceField::Name).and_then(as_text) {
            return self.selection.shared(&name);
        }
        let feed = self.common.table.source.and_then(|column| self.after[column].as_ref());
        match feed {
            Some(feed) if feed.array.data_type() == &DataType::Utf8 => self.selection.shared(&feed.array),
            _ => new_null_array(&DataType::Utf8, self.selection.rows.len()),
        }
    }

    fn snapshot(&self) -> ArrayRef {
        let Some(marks) = self.wire.source(SourceField::Snapshot).and_then(as_text) else {
            return new_null_array(&DataType::Utf8, self.selection.rows.len());
        };
        let marks = marks.as_string::<i32>();
        let is_mark = |row: usize| marks.is_valid(row) && marks.value(row) != "false";
        if !(0..marks.len()).any(is_mark) {
            return new_null_array(&DataType::Utf8, self.selection.rows.len());
        }
        let of_rows = self
            .selection
            .rows
            .iter()
            .map(|row| is_mark(row.from).then(|| marks.value(row.from)));
        Arc::new(StringArray::from_iter(of_rows))
    }
}

fn as_text(column: &WireColumn) -> Option<ArrayRef> {
    Some(convert(column, &DataType::Utf8, None)?.array)
}

fn constant(text: &str, rows: usize) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(rows, rows * text.len());
    for _ in 0..rows {
        texts.append_value(text);
    }
    Arc::new(texts.finish())
}
