//! Files to typed rows.

use super::*;
use crate::load::testing::{contract, manifest};
use ::parquet::arrow::ArrowWriter;
use arrow::array::{
    AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, LargeStringArray, StringArray,
    TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow::util::pretty::pretty_format_batches;

struct Delivered {
    folder: tempfile::TempDir,
    table: Arc<Table>,
    rows: u64,
    ignore: Vec<String>,
}

impl Delivered {
    fn new(table: &str, rows: u64) -> Self {
        let table = Arc::clone(contract().table(table).unwrap());
        Self {
            folder: tempfile::tempdir().unwrap(),
            table,
            rows,
            ignore: Vec::new(),
        }
    }

    fn read(&self, name: &str) -> Result<Extract, Problems> {
        let mut problems = Problems::default();
        let manifest = manifest(&[(&self.table.name, self.rows)]);
        let file = self.folder.path().join(name);
        let progress = ProgressBar::hidden();
        let extract = read(&file, &self.table, &manifest, &self.ignore, &mut problems, &progress);
        if extract.is_some() {
            let bytes = std::fs::metadata(&file).unwrap().len();
            assert_eq!(progress.position(), bytes, "whoever waits saw it read to its end");
        }
        extract.ok_or(problems)
    }

    fn csv(&self, bytes: impl AsRef<[u8]>) -> Result<Extract, Problems> {
        std::fs::write(self.folder.path().join("file.csv"), bytes).unwrap();
        self.read("file.csv")
    }

    fn parquet(&self, columns: Vec<(&str, ArrayRef)>) -> Result<Extract, Problems> {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)));
        let batch = batch.unwrap();
        let file = std::fs::File::create(self.folder.path().join("file.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        self.read("file.parquet")
    }

    /// The problems, without the folder's name.
    fn problems(&self, read: Result<Extract, Problems>) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        read.unwrap_err()
            .to_string()
            .lines()
            .map(|line| line.replace(&folder, ""))
            .collect()
    }
}

fn shown(extract: &Extract, columns: &[&str]) -> String {
    let places: Vec<_> = columns
        .iter()
        .map(|name| extract.rows.schema().index_of(name).unwrap())
        .collect();
    pretty_format_batches(&[extract.rows.project(&places).unwrap()])
        .unwrap()
        .to_string()
}

const CONTRACTS: [&str; 11] = [
    "contract_id",
    "worker_id",
    "employment",
    "role",
    "child_family_sw",
    "case_holding",
    "fte",
    "team_id",
    "started_on",
    "ended_on",
    "authority",
];

#[test]
fn cells_become_values_of_their_columns_and_what_a_file_lacks_comes_from_the_manifest() {
    let extract = Delivered::new("contracts", 2)
        .csv(
            "worker_id,CONTRACT_ID,employment,role,child_family_sw,case_holding,fte,team_id,started_on,ended_on\n\
             w1, c1 ,permanent,case_holder,yes,1,0.81081,t1,2018-01-31,\n\
             w2,c2,agency,case_holder,FALSE,n,NULL,t1,2018-01-31 00:00:00,2019-12-31\n",
        )
        .unwrap();
    let expected = "\
+-------------+-----------+------------+-------------+-----------------+--------------+-------+---------+------------+------------+-----------+
| contract_id | worker_id | employment | role        | child_family_sw | case_holding | fte   | team_id | started_on | ended_on   | authority |
+-------------+-----------+------------+-------------+-----------------+--------------+-------+---------+------------+------------+-----------+
| c1          | w1        | permanent  | case_holder | true            | true         | 0.811 | t1      | 2018-01-31 |            | E06000061 |
| c2          | w2        | agency     | case_holder | false           | false        |       | t1      | 2018-01-31 | 2019-12-31 | E06000061 |
+-------------+-----------+------------+-------------+-----------------+--------------+-------+---------+------------+------------+-----------+";
    assert_eq!(shown(&extract, &CONTRACTS), expected);
}

#[test]
fn a_byte_order_mark_windows_line_ends_and_quoted_line_breaks_are_no_part_of_the_data() {
    let delivered = Delivered::new("teams", 2);
    let plain = "team_id,valid_from,name,service,case_holding\n1,2018-01-01,\"North, and\nSouth\",assessment,1\n2,2018-01-01,\"the \"\"best\"\"\",other,0\n";
    let windows = format!("\u{feff}{}", plain.replace('\n', "\r\n").replace("and\r\n", "and\n"));
    let (plain, windows) = (delivered.csv(plain).unwrap(), delivered.csv(windows).unwrap());
    assert_eq!(plain.rows, windows.rows);
    let names = plain.rows.column_by_name("name").unwrap().as_string::<i32>();
    assert_eq!((names.value(0), names.value(1)), ("North, and\nSouth", "the \"best\""));
}

#[test]
fn every_cell_that_does_not_fit_is_told_by_line_and_column_and_never_shown() {
    let delivered = Delivered::new("teams", 5);
    let read = delivered.csv(
        b"team_id,valid_from,name,service,case_holding\n\
          1,31/01/2018,\"two\nlines\",assessment,1\n\
          2,2018-01-01,SECRET,adoption,perhaps\n\
          ,2018-01-01,a,assessment,1\n\
          3,2018-01-01,caf\xe9,assessment,1\n\
          4,2018-01-01,a,assessment\n"
            .as_slice(),
    );
    assert_eq!(
        delivered.problems(read),
        [
            "file.csv:2: column valid_from: expected a date such as 2018-01-31 (it cannot be empty)",
            "file.csv:4: column service: expected one of front_door, assessment, safeguarding, looked_after, leaving_care, disability, fostering_adoption, out_of_hours, other (it cannot be empty)",
            "file.csv:4: column case_holding: expected true or false (or yes, no, y, n, t, f, 1, 0) (it cannot be empty)",
            "file.csv:5: column team_id: expected text in UTF-8 (it cannot be empty)",
            "file.csv:6: column name: expected text in UTF-8 (save the file as `CSV UTF-8`)",
            "file.csv:7: 4 columns; expected 5, as in the header",
        ]
    );
}

#[test]
fn twenty_problems_are_shown_and_all_are_counted() {
    let delivered = Delivered::new("teams", 30);
    let rows: String = (0..30).map(|id| format!("{id},soon,a,assessment,1\n")).collect();
    let problems = delivered
        .csv(format!("team_id,valid_from,name,service,case_holding\n{rows}"))
        .unwrap_err();
    assert_eq!(problems.count, 30);
    let text = problems.to_string();
    assert_eq!(text.lines().count(), 21);
    assert!(text.ends_with("... and 10 more"), "{text}");
}

#[test]
fn columns_that_are_missing_unknown_or_twice_are_told() {
    let mut delivered = Delivered::new("teams", 0);
    let header = "team_id,valid_from,name,servic,case_holding,Name\n";
    let told = delivered.problems(delivered.csv(header));
    assert_eq!(told.len(), 3);
    assert!(
        told[0].starts_with("file.csv:1: column servic: unknown; expected some of team_id, "),
        "{told:?}"
    );
    assert_eq!(told[1], "file.csv:1: column Name: named twice");
    assert!(
        told[2].starts_with("file.csv:1: column service: missing; every row needs it"),
        "{told:?}"
    );

    delivered.ignore.push("colour".to_owned());
    delivered
        .csv("team_id,valid_from,name,service,case_holding,recorded_at,colour\n")
        .unwrap();
}

#[test]
fn a_key_stands_once_and_the_control_total_is_met() {
    let delivered = Delivered::new("teams", 4);
    let rows = "team_id,valid_from,name,service,case_holding\n1,2018-01-01,a,other,1\n2,2018-01-01,a,other,1\n1,2018-01-01,b,other,1\n1,2019-01-01,a,other,1\n";
    let told = delivered.problems(delivered.csv(rows));
    assert_eq!(
        told,
        ["file.csv:4: the key stands already in line 2; expected each key once"]
    );

    let delivered = Delivered::new("teams", 5);
    let told = delivered.problems(delivered.csv(rows));
    assert_eq!(told, ["file.csv: 4 rows; expected 5, the control total of teams"]);
}

#[test]
fn parquet_gives_the_same_rows_as_csv_whatever_types_its_writer_chose() {
    let delivered = Delivered::new("contracts", 2);
    let csv = delivered.csv(
        "contract_id,worker_id,employment,role,child_family_sw,case_holding,fte,team_id,started_on,ended_on\n\
         1,w1,permanent,case_holder,yes,1,0.6,t1,2018-01-31,\n\
         2,w2,agency,case_holder,no,0,,t1,2018-01-31,2019-12-31\n",
    );
    let parquet = delivered.parquet(vec![
        ("contract_id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("worker_id", Arc::new(LargeStringArray::from(vec!["w1", "w2"]))),
        ("employment", Arc::new(StringArray::from(vec!["permanent", "agency"]))),
        ("role", Arc::new(StringArray::from(vec!["case_holder", "case_holder"]))),
        ("child_family_sw", Arc::new(BooleanArray::from(vec![true, false]))),
        ("case_holding", Arc::new(Int64Array::from(vec![1, 0]))),
        ("fte", Arc::new(Float64Array::from(vec![Some(0.6), None]))),
        ("team_id", Arc::new(StringArray::from(vec!["t1", "t1"]))),
        ("started_on", Arc::new(Date32Array::from(vec![17_562, 17_562]))),
        (
            "ended_on",
            Arc::new(TimestampMillisecondArray::from(vec![None, Some(1_577_750_400_000)])),
        ),
    ]);
    let (csv, parquet) = (csv.unwrap(), parquet.unwrap());
    assert_eq!(csv.rows, parquet.rows);
    assert_eq!(csv.keys, parquet.keys);
}

#[test]
fn what_is_not_csv_is_told_once_and_not_column_by_column() {
    let delivered = Delivered::new("teams", 1);
    let text = "team_id,valid_from,name,service,case_holding\n1,2018-01-01,a,other,1\n";
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let commas = "its columns are separated by semicolons; expected commas";
    for (bytes, told) in [
        (Vec::new(), "it is empty; expected a line with the names of its columns"),
        (
            utf16,
            "its text is UTF-16; expected UTF-8 (save the file as `CSV UTF-8`)",
        ),
        (text.replace(',', ";").into_bytes(), commas),
    ] {
        let read = delivered.csv(bytes);
        assert_eq!(delivered.problems(read), [format!("file.csv:1: {told}")]);
    }
    assert!(delivered.csv(text).is_ok());
}

#[test]
fn parquet_timestamps_are_instants_or_london_time_as_their_type_says() {
    let delivered = Delivered::new("supervisions", 2);
    let micros = 1_530_401_400_000_000; // 2018-06-30T23:30:00Z
    let text = |value: &str| Arc::new(StringArray::from(vec![value, value])) as ArrayRef;
    let held_at = |values: ArrayRef| {
        let extract = delivered.parquet(vec![
            (
                "supervision_id",
                Arc::new(StringArray::from(vec!["1", "2"])) as ArrayRef,
            ),
            ("kind", text("case")),
            ("worker_id", text("w")),
            ("supervisor_id", text("s")),
            ("held_at", values),
        ]);
        let held_at = extract.unwrap().rows.column_by_name("held_at").unwrap().clone();
        held_at
            .as_primitive::<arrow::datatypes::TimestampMicrosecondType>()
            .value(1)
    };
    let instants = TimestampNanosecondArray::from(vec![micros * 1000; 2]).with_timezone("UTC");
    assert_eq!(held_at(Arc::new(instants)), micros);
    let local = TimestampMillisecondArray::from(vec![(micros + 3_600_000_000) / 1000; 2]);
    assert_eq!(held_at(Arc::new(local)), micros);
    assert_eq!(held_at(text("2018-07-01T00:30:00")), micros);
}

#[test]
fn parquet_problems_name_row_and_column_and_a_fraction_is_no_identifier() {
    let delivered = Delivered::new("teams", 2);
    let texts = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let read = delivered.parquet(vec![
        ("team_id", Arc::new(Float64Array::from(vec![1.0, 2.0])) as ArrayRef),
        ("valid_from", texts(["2018-01-01", "soon"])),
        ("name", texts(["a", "b"])),
        ("service", texts(["other", "other"])),
        ("case_holding", texts(["1", "1"])),
    ]);
    assert_eq!(
        delivered.problems(read),
        [
            "file.parquet: column team_id: its values are of type Float64; expected text in UTF-8",
            "file.parquet:2: column valid_from: expected a date such as 2018-01-31 (it cannot be empty)",
        ]
    );
    std::fs::write(delivered.folder.path().join("file.parquet"), "PAR1 and then nothing").unwrap();
    let told = delivered.problems(delivered.read("file.parquet"));
    assert!(
        told[0].starts_with("file.parquet: cannot be read as Parquet: "),
        "{told:?}"
    );
}

#[test]
fn files_are_of_the_table_they_are_named_after_one_each() {
    let files = ["cases.csv", "cases.parquet", "casess.csv", "feeds.csv"].map(PathBuf::from);
    let mut problems = Problems::default();
    let found = files_of_tables(&files, &contract(), &mut problems);
    assert_eq!(found.len(), 1);
    let text = problems.to_string();
    assert!(text.contains("cases.parquet: the table is also in cases.csv"), "{text}");
    assert!(
        text.contains("casess.csv: no table has this name; expected one of absences, "),
        "{text}"
    );
    assert!(
        text.contains("feeds.csv: this table is written by loading itself"),
        "{text}"
    );
}
