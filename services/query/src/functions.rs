//! SQL functions over civil time, working days and parameters.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::calendar::Calendar;
use crate::civil::{london_date, london_midnight};
use crate::label::label_function;
use crate::moment::{Moment, MomentCell};

/// Numbers of `parameters.toml` by name.
pub(crate) type Parameters = BTreeMap<String, f64>;

pub(crate) const AS_OF: &str = "as_of";
pub(crate) const AS_OF_DATE: &str = "as_of_date";
pub(crate) const KNOWN_AT_DATE: &str = "known_at_date";

/// Functions that are the same for every statement.
pub(crate) fn civil_functions(calendar: &Arc<Calendar>, parameters: &Arc<Parameters>) -> Vec<Arc<ScalarUDF>> {
    let days = |days: Days| Arc::new(ScalarUDF::from(DayFunction::new(days, calendar.clone())));
    vec![
        days(Days::LondonDate),
        days(Days::LondonMidnight),
        days(Days::Between),
        days(Days::Add),
        Arc::new(ScalarUDF::from(Parameter::new(parameters.clone()))),
        label_function(),
    ]
}

/// The functions of the clock, which read the moment that a statement runs for from its cell when they are executed.
pub(crate) fn clock_functions(cell: &Arc<MomentCell>) -> Vec<Arc<ScalarUDF>> {
    let function = |clock: ClockFunction| Arc::new(ScalarUDF::from(ClockReading::new(clock, cell)));
    ClockFunction::ALL.into_iter().map(function).collect()
}

/// What a statement may ask the clock for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ClockFunction {
    /// `as_of()`: the moment that a number is for.
    AsOf,
    /// `as_of_date()`: its day in London.
    AsOfDate,
    /// `known_at_date()`: the day in London of the moment that the rows were known at.
    KnownAtDate,
}

impl ClockFunction {
    const ALL: [Self; 3] = [Self::AsOf, Self::AsOfDate, Self::KnownAtDate];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AsOf => AS_OF,
            Self::AsOfDate => AS_OF_DATE,
            Self::KnownAtDate => KNOWN_AT_DATE,
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::AsOf => timestamp_type(),
            Self::AsOfDate | Self::KnownAtDate => DataType::Date32,
        }
    }

    pub(crate) fn at(self, moment: &Moment) -> ScalarValue {
        match self {
            Self::AsOf => timestamp_scalar(moment.as_of.0),
            Self::AsOfDate => ScalarValue::Date32(Some(london_date(moment.as_of.0))),
            Self::KnownAtDate => ScalarValue::Date32(Some(london_date(moment.known_at.0))),
        }
    }

    /// What clients write of their own accord to ask for the time: a statement knows no other than its own moment.
    fn aliases(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::AsOf => &["now", "current_timestamp"],
            Self::AsOfDate => &["current_date", "today"],
            Self::KnownAtDate => &[],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }
}

pub(crate) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(crate) fn timestamp_scalar(moment_us: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(moment_us), Some("UTC".into()))
}

#[derive(Debug)]
struct ClockReading {
    clock: ClockFunction,
    aliases: Vec<String>,
    cell: Arc<MomentCell>,
    signature: Signature,
}

impl ClockReading {
    fn new(clock: ClockFunction, cell: &Arc<MomentCell>) -> Self {
        Self {
            clock,
            aliases: clock.aliases(),
            cell: cell.clone(),
            signature: Signature::nullary(Volatility::Volatile),
        }
    }
}

impl PartialEq for ClockReading {
    fn eq(&self, other: &Self) -> bool {
        self.clock == other.clock && Arc::ptr_eq(&self.cell, &other.cell)
    }
}

impl Eq for ClockReading {}

impl Hash for ClockReading {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.clock.hash(state);
        Arc::as_ptr(&self.cell).hash(state);
    }
}

impl ScalarUDFImpl for ClockReading {
    fn name(&self) -> &str {
        self.clock.name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.clock.data_type())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(moment) = self.cell.moment() else {
            return exec_err!("{}() was called outside of a statement", self.name());
        };
        Ok(ColumnarValue::Scalar(self.clock.at(&moment)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Days {
    LondonDate,
    LondonMidnight,
    Between,
    Add,
}

#[derive(Debug, PartialEq, Eq)]
struct DayFunction {
    days: Days,
    calendar: Arc<Calendar>,
    signature: Signature,
}

impl Hash for DayFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.days.hash(state);
    }
}

/// Whether a function looks at no more of a moment than its day in London.
pub(crate) fn is_day_function(name: &str) -> bool {
    [Days::LondonDate, Days::Between, Days::Add]
        .iter()
        .any(|days| days.name() == name)
}

impl Days {
    fn name(self) -> &'static str {
        match self {
            Self::LondonDate => "london_date",
            Self::LondonMidnight => "london_midnight",
            Self::Between => "working_days_between",
            Self::Add => "add_working_days",
        }
    }
}

impl DayFunction {
    fn new(days: Days, calendar: Arc<Calendar>) -> Self {
        Self {
            days,
            calendar,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn arguments(&self) -> usize {
        match self.days {
            Days::LondonDate | Days::LondonMidnight => 1,
            Days::Between | Days::Add => 2,
        }
    }

    fn compute(&self, values: &[DayColumn], rows: usize) -> ArrayRef {
        let first = |row: usize| values[0].day(row);
        match self.days {
            Days::LondonDate => Arc::new((0..rows).map(first).collect::<Date32Array>()),
            Days::LondonMidnight => {
                let moments = (0..rows).map(|row| first(row).map(london_midnight));
                Arc::new(moments.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            Days::Between => Arc::new(
                (0..rows)
                    .map(|row| Some(self.calendar.between(first(row)?, values[1].day(row)?)))
                    .collect::<Int64Array>(),
            ),
            Days::Add => Arc::new(
                (0..rows)
                    .map(|row| Some(self.calendar.add(first(row)?, values[1].number(row)?)))
                    .collect::<Date32Array>(),
            ),
        }
    }
}

impl ScalarUDFImpl for DayFunction {
    fn name(&self) -> &str {
        self.days.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.days {
            Days::LondonDate | Days::Add => DataType::Date32,
            Days::LondonMidnight => timestamp_type(),
            Days::Between => DataType::Int64,
        })
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if arguments.len() != self.arguments() {
            return plan_err!(
                "{} takes {} arguments, {} were given",
                self.name(),
                self.arguments(),
                arguments.len()
            );
        }
        let coerced = arguments.iter().enumerate().map(|(position, given)| {
            if self.days == Days::Add && position == 1 {
                return Ok(DataType::Int64);
            }
            match given {
                DataType::Timestamp(_, _) => Ok(timestamp_type()),
                DataType::Date32 | DataType::Date64 | DataType::Null => Ok(DataType::Date32),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(DataType::Date32),
                other => plan_err!("{} takes dates and timestamps, not {other}", self.name()),
            }
        });
        coerced.collect()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = arguments
            .args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { arguments.number_rows };
        let values = arguments.args.iter().map(DayColumn::new).collect::<Result<Vec<_>>>()?;
        let result = self.compute(&values, rows);
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// A column of days: dates, or the London days of moments; one value for all rows where it is a constant.
enum DayColumn {
    Date(Date32Array, bool),
    Moment(TimestampMicrosecondArray, bool),
    Number(Int64Array, bool),
}

impl DayColumn {
    fn new(value: &ColumnarValue) -> Result<Self> {
        let (array, constant) = match value {
            ColumnarValue::Array(array) => (array.clone(), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        Ok(match array.data_type() {
            DataType::Int64 => Self::Number(downcast(&array)?, constant),
            DataType::Timestamp(_, _) => Self::Moment(downcast(&cast(&array, &timestamp_type())?)?, constant),
            _ => Self::Date(downcast(&cast(&array, &DataType::Date32)?)?, constant),
        })
    }

    fn day(&self, row: usize) -> Option<i32> {
        match self {
            Self::Date(array, constant) => at(array, row, *constant).map(|row| array.value(row)),
            Self::Moment(array, constant) => at(array, row, *constant).map(|row| london_date(array.value(row))),
            Self::Number(..) => None,
        }
    }

    fn number(&self, row: usize) -> Option<i64> {
        match self {
            Self::Number(array, constant) => at(array, row, *constant).map(|row| array.value(row)),
            Self::Date(..) | Self::Moment(..) => None,
        }
    }
}

fn at(array: &dyn Array, row: usize, constant: bool) -> Option<usize> {
    let row = if constant { 0 } else { row };
    (!array.is_null(row)).then_some(row)
}

fn downcast<A: Array + Clone + 'static>(array: &ArrayRef) -> Result<A> {
    match array.as_any().downcast_ref::<A>() {
        Some(array) => Ok(array.clone()),
        None => exec_err!("an argument came as {}", array.data_type()),
    }
}

#[derive(Debug)]
struct Parameter {
    parameters: Arc<Parameters>,
    signature: Signature,
}

impl Parameter {
    fn new(parameters: Arc<Parameters>) -> Self {
        Self {
            parameters,
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        }
    }
}

impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.parameters, &other.parameters)
    }
}

impl Eq for Parameter {}

impl Hash for Parameter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.parameters).hash(state);
    }
}

impl ScalarUDFImpl for Parameter {
    fn name(&self) -> &str {
        "parameter"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = |name: &str| match self.parameters.get(name) {
            Some(value) => Ok(*value),
            None => exec_err!("there is no parameter '{name}' in parameters.toml"),
        };
        match arguments.args.first() {
            Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(name)))) => {
                Ok(ColumnarValue::Scalar(ScalarValue::Float64(Some(value(name)?))))
            }
            Some(ColumnarValue::Array(names)) => {
                let names: StringArray = downcast(names)?;
                let values = names
                    .iter()
                    .map(|name| name.map(value).transpose())
                    .collect::<Result<Float64Array>>()?;
                Ok(ColumnarValue::Array(Arc::new(values)))
            }
            _ => exec_err!("parameter() takes the name of a parameter"),
        }
    }
}
