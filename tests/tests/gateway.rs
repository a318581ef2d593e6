//! SQL over PostgreSQL's protocol, asked by the programs that analysts have: psql, Python and Java, against a running demo.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use casewatch_tests::server::signal;
use casewatch_tests::{Demo, root, until};

const PATIENCE: Duration = Duration::from_secs(180);

/// A demo that has played its first weeks, and serves.
struct Played {
    folder: PathBuf,
    /// What psql connects with, by user: the words of the line that the demo prints.
    lines: BTreeMap<String, (String, String)>,
}

static PLAYED: OnceLock<Played> = OnceLock::new();

/// One for all tests of this file. It dies with the thread that started it, so that thread stays.
fn demo() -> &'static Played {
    PLAYED.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut demo = Demo::start_with(&["--speed", "500", "--until", "2018-01-31"]);
            let said = until("the demo to have played", PATIENCE, || {
                let said = demo.said();
                assert!(demo.is_running(), "the demo ended by itself");
                match said.contains("everything goes on being served") {
                    true => Ok(said),
                    false => Err(said),
                }
            });
            let folder = demo.folder().to_owned();
            sender.send((folder, said)).expect("somebody waits for the demo");
            loop {
                std::thread::park();
            }
        });
        let (folder, said) = receiver.recv().expect("the demo has played");
        let lines = said.lines().filter_map(|line| {
            let (password, rest) = line.trim().strip_prefix("PGPASSWORD=")?.split_once(" psql \"")?;
            let (dsn, _) = rest.split_once('"')?;
            let user = dsn.split_whitespace().find_map(|word| word.strip_prefix("user="))?;
            Some((user.to_owned(), (dsn.to_owned(), password.to_owned())))
        });
        let lines: BTreeMap<_, _> = lines.collect();
        assert!(lines.len() >= 4, "no lines for psql in:\n{said}");
        Played { folder, lines }
    })
}

impl Played {
    fn dsn(&self, user: &str) -> &str {
        &self.lines[user].0
    }

    fn password(&self, user: &str) -> &str {
        &self.lines[user].1
    }

    fn psql(&self, user: &str, arguments: &[&str]) -> Output {
        self.psql_to(self.dsn(user), self.password(user), arguments)
    }

    fn psql_to(&self, dsn: &str, password: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("psql");
        command
            .args([dsn, "--no-psqlrc", "--no-password"])
            .args(arguments)
            .env("PGPASSWORD", password)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command.output().expect("psql can be run: tests/install installs it")
    }

    /// What psql shows, which must be without a failure.
    fn shown(&self, user: &str, arguments: &[&str]) -> String {
        let output = self.psql(user, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("psql writes UTF-8")
    }

    fn value(&self, user: &str, sql: &str) -> String {
        self.shown(user, &["-At", "-c", sql]).trim().to_owned()
    }

    /// How a statement fails, with its state.
    fn failure(&self, user: &str, sql: &str) -> String {
        let output = self.psql(user, &["-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        assert!(!output.status.success(), "{sql} did not fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn script(&self, script: &str, arguments: &[&str]) {
        let mut command = Command::new(root().join("tests/servers").join(script));
        command
            .args(arguments)
            .env("PGPASSWORD", self.password("analyst"))
            .stdin(Stdio::null());
        let output = command.output().expect("the script can be run");
        let (said, errors) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success() && said.contains(": well"),
            "{script} {arguments:?}:\n{said}{errors}"
        );
        print!("{said}");
    }

    fn python(&self, what: &str, arguments: &[&str]) {
        let dsn = format!("{} password={}", self.dsn("analyst"), self.password("analyst"));
        let all: Vec<&str> = [what, &dsn].into_iter().chain(arguments.iter().copied()).collect();
        self.script("python-clients", &all);
    }
}

#[test]
fn psql_lists_schemas_tables_and_columns_with_their_docs() {
    let demo = demo();
    let schemas = demo.shown("analyst", &["-c", "\\dn"]);
    assert!(schemas.contains("history") && schemas.contains("public"), "{schemas}");
    let tables = demo.shown("analyst", &["-c", "\\dt"]);
    assert!(tables.contains("| cases ") && tables.contains("table"), "{tables}");
    let views = demo.shown("analyst", &["-c", "\\dv"]);
    assert!(views.contains("| allocation_state "), "{views}");
    let columns = demo.shown("analyst", &["-c", "\\d cases"]);
    assert!(
        columns.contains("opened_at") && columns.contains("timestamp with time zone"),
        "{columns}"
    );
    assert!(
        columns.contains("\"cases_pkey\" PRIMARY KEY, btree (case_id)")
            && columns.contains("FOREIGN KEY (child_id) REFERENCES children(child_id)")
            && columns.contains("TABLE \"allocations\" CONSTRAINT \"allocations_case_id_fkey\""),
        "{columns}"
    );
    let docs = demo.shown("analyst", &["-c", "\\d+ cases"]);
    let opened = docs
        .lines()
        .find(|line| line.contains("opened_at"))
        .expect("a line of the column");
    let doc = opened.rsplit('|').next().unwrap_or_default().trim();
    assert!(doc.len() > 10, "the column's doc stands beside it: {docs}");
    let view = demo.shown("analyst", &["-c", "\\d+ allocation_state"]);
    assert!(
        view.contains("View definition:") && view.contains("primary_holder"),
        "{view}"
    );
    let hidden = demo.value(
        "director",
        "select count(*) from pg_views where viewname = 'allocation_state'",
    );
    assert_eq!(hidden, "0", "whoever may not read a view is not told how it is made");
    let history = demo.shown("analyst", &["-c", "\\dt history.*"]);
    assert!(history.contains("| cases "), "{history}");
    // What the tab key asks after `select * from allocation_s`.
    let completed = "select pg_catalog.quote_ident(c.relname) from pg_catalog.pg_class c where c.relkind in ('r', 'S', 'v', \
                     'm', 'f', 'p') and (c.relname) like 'allocation\\_s%' and pg_catalog.pg_table_is_visible(c.oid) limit 1000";
    assert!(demo.value("analyst", completed).contains("allocation_state"));
    for command in [
        "\\l", "\\du", "\\df", "\\di", "\\ds", "\\dT", "\\dp", "\\d", "\\dm", "\\dx",
    ] {
        let output = demo.psql("analyst", &["-c", command]);
        let said = String::from_utf8_lossy(&output.stderr);
        let is_none = said.starts_with("Did not find any");
        assert!(output.status.success() || is_none, "{command}: {said}");
    }
}

#[test]
fn values_come_as_their_types_and_columns_by_their_names() {
    let demo = demo();
    let shown = demo.shown(
        "analyst",
        &[
            "-A",
            "-c",
            "select count(*) > 0, 1.50::numeric(5,2), date '2018-10-17', array[1,2], null, 'x' as \"Odd Name\" from cases",
        ],
    );
    let mut lines = shown.lines();
    assert_eq!(lines.next(), Some("?column?|numeric|date|array|?column?|Odd Name"));
    assert_eq!(lines.next(), Some("t|1.50|2018-10-17|{1,2}||x"));
    let winter = "select timestamptz '2018-10-17T08:30:00Z'";
    assert_eq!(
        demo.value("analyst", winter),
        "2018-10-17 09:30:00+01",
        "London's time, where nothing else is set"
    );
    let shown = demo.shown("analyst", &["-At", "-c", "set time zone 'UTC'", "-c", winter]);
    assert_eq!(shown, "SET\n2018-10-17 08:30:00+00\n");
}

#[test]
fn the_past_is_asked_for_by_a_setting() {
    let demo = demo();
    let sql = "select as_of_date(), count(*) from open_cases";
    let past = demo.shown(
        "analyst",
        &["-At", "-c", "set casewatch.as_of = '2018-01-10'", "-c", sql],
    );
    let now = demo.value("analyst", sql);
    assert!(past.contains("2018-01-10|"), "{past}");
    assert!(
        now.starts_with("2018-01-31|") || now.starts_with("2018-02-01|"),
        "{now}"
    );
    let shown = demo.shown(
        "analyst",
        &[
            "-At",
            "-c",
            "set casewatch.as_of = '2018-01-10'",
            "-c",
            "show casewatch.as_of",
        ],
    );
    assert_eq!(shown, "SET\n2018-01-10\n");
}

#[test]
fn copy_writes_files_on_the_side_of_the_client() {
    let demo = demo();
    let file = demo.folder.join("states.csv");
    let copy = format!(
        "\\copy (select state, count(*) as cases from allocation_state group by state order by state) to '{}' csv header",
        file.display()
    );
    let said = demo.shown("analyst", &["-c", &copy]);
    let written = std::fs::read_to_string(&file).expect("psql wrote the file");
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines[0], "state,cases");
    assert_eq!(said.trim(), format!("COPY {}", lines.len() - 1));
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.split(',').nth(1).is_some_and(|count| count.parse::<u64>().is_ok()))
    );
}

#[test]
fn what_is_wrong_is_said_with_its_state_and_place_and_nothing_is_written() {
    let demo = demo();
    for (sql, state, said) in [
        (
            "select stat from allocation_state",
            "42703",
            "perhaps you meant the column \"state\"",
        ),
        (
            "select * from nothing_like_it",
            "42P01",
            "relation \"nothing_like_it\" does not exist",
        ),
        ("select 1 from cases where = 2", "42601", "LINE 1:"),
        ("drop table cases", "25006", "only reading is allowed"),
        ("copy cases to '/tmp/x'", "42501", "not allowed"),
        ("select * from read_csv('/etc/passwd')", "25006", "read_csv"),
        (
            "set nothing.at_all = 1",
            "42704",
            "unrecognized configuration parameter",
        ),
        ("select 1/0", "22012", "division by zero"),
        (
            "select count(*) from history.cases a, history.cases b, history.cases c where a.case_id <> b.case_id or \
             c.case_id = a.case_id",
            "53200",
            "the statement needs more memory than it may use",
        ),
    ] {
        let failure = demo.failure("analyst", sql);
        assert!(
            failure.contains(&format!("{state}:")) && failure.contains(said),
            "{sql}: {failure}"
        );
    }
}

#[test]
fn whoever_does_not_encrypt_or_prove_who_they_are_is_refused() {
    let demo = demo();
    let (dsn, password) = (demo.dsn("analyst"), demo.password("analyst"));
    let refused = |dsn: &str, password: &str| {
        let output = demo.psql_to(dsn, password, &["-c", "select 1"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let plain = refused(&dsn.replace("sslmode=require", "sslmode=disable"), password);
    assert!(plain.contains("this server answers over TLS only"), "{plain}");
    let wrong = refused(dsn, "not-the-password");
    let nobody = refused(&dsn.replace("user=analyst", "user=nobody"), password);
    assert!(
        wrong.contains("password authentication failed for user \"analyst\""),
        "{wrong}"
    );
    assert_eq!(
        wrong.replace("analyst", "X"),
        nobody.replace("nobody", "X"),
        "a name is not told from another"
    );
    let elsewhere = refused(&dsn.replace("dbname=casewatch", "dbname=other"), password);
    assert!(elsewhere.contains("database \"other\" does not exist"), "{elsewhere}");
}

#[test]
fn ctrl_c_ends_a_statement() {
    let demo = demo();
    let sql = "select count(*) from (select case_id from history.cases limit 1000) a, generate_series(1, 1000000000) n \
               where a.case_id <> cast(n.value as varchar)";
    let child = Command::new("psql")
        .args([demo.dsn("analyst"), "--no-psqlrc", "-c", sql])
        .env("PGPASSWORD", demo.password("analyst"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql can be run");
    std::thread::sleep(Duration::from_secs(3));
    let told = Instant::now();
    signal("INT", child.id());
    let output = child.wait_with_output().expect("psql ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("canceling statement due to user request"), "{said}");
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    let late = demo.psql("analyst", &["-c", "set statement_timeout = '500ms'", "-c", sql]);
    let said = String::from_utf8_lossy(&late.stderr);
    assert!(said.contains("it took longer than 0.5 s"), "{said}");
}

#[test]
fn each_role_sees_its_own_and_the_audit_log_knows_it() {
    let demo = demo();
    let cases = "select count(*) from cases";
    let all: u64 = demo.value("analyst", cases).parse().expect("a number");
    let own: u64 = demo.value("manager", cases).parse().expect("a number");
    assert!(own > 0 && own < all, "the manager's team holds {own} of {all} cases");
    let teams = "select count(distinct team_id) from cases";
    assert_eq!(demo.value("manager", teams), "1");
    let failure = demo.failure("director", "select * from cases");
    assert!(failure.contains("42P01:"), "a viewer reads no rows: {failure}");
    let marked = "select 'a mark in the log', count(*) from cases";
    demo.value("manager", marked);
    let entry = "select \"user\", role, surface, rows, outcome from lake.audit where action like '%a mark in the log%' \
                 and \"user\" = 'manager'";
    let told = until("the audit log to have the statement", Duration::from_secs(30), || {
        let told = demo.value("auditor", entry);
        if told.is_empty() { Err(told) } else { Ok(told) }
    });
    assert!(told.starts_with("manager|team_manager|sql|1|"), "{told}");
}

#[test]
fn a_line_of_the_worklist_opens_by_a_lookup_with_a_reason() {
    let demo = demo();
    let shown = demo.value(
        "manager",
        "select case_id from team_worklist where case_id is not null order by case_id limit 1",
    );
    assert!(
        shown.len() == 16 && !shown.starts_with("NC"),
        "a pseudonym, and no reference: {shown}"
    );
    let joined = format!("select count(*) from cases where case_id = '{shown}'");
    assert_eq!(demo.value("manager", &joined), "1", "rows join by it");
    let sql = format!("select case_id from cases where case_id_pseudonym = '{shown}'");
    let refused = demo.failure("lookup", &sql);
    assert!(
        refused.contains("42501:") && refused.contains("for a reason only"),
        "{refused}"
    );
    let reason = "set casewatch.reason = 'on the worklist of the morning'";
    let found = demo.shown("lookup", &["-At", "-c", reason, "-c", &sql]);
    let found = found.trim_start_matches("SET").trim();
    assert!(found.starts_with('N') && found != shown, "{found}");
    for (many, state) in [
        ("select string_agg(case_id, ',') from cases", "42501"),
        ("select case_id from cases", "53400"),
    ] {
        let output = demo.psql("lookup", &["-v", "VERBOSITY=verbose", "-At", "-c", reason, "-c", many]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!("{state}:")), "{many}: {said}");
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(listed.lines().count() <= 21, "{listed}");
    }
    let entry = "select reason, rows from lake.audit where \"user\" = 'lookup' and outcome = 'ok' and rows = 1";
    let told = until("the audit log to have the lookup", Duration::from_secs(30), || {
        let told = demo.value("auditor", entry);
        if told.is_empty() { Err(told) } else { Ok(told) }
    });
    assert_eq!(told, "on the worklist of the morning|1");
}

#[test]
fn python_asks_with_parameters_of_every_type() {
    demo().python("psycopg", &[]);
}

#[test]
fn sqlalchemy_reflects_tables_and_their_docs() {
    demo().python("sqlalchemy", &[]);
}

#[test]
fn pandas_reads_frames() {
    demo().python("pandas", &[]);
}

#[test]
fn what_tools_send_when_they_browse_is_answered() {
    let asked = root().join("tests/gateway/asked");
    demo().python("asked", &[asked.to_str().expect("the path is text")]);
}

#[test]
fn a_hundred_idle_and_twenty_busy_connections_hold() {
    demo().python("many", &[]);
}

#[test]
fn java_browses_and_asks_over_jdbc() {
    let demo = demo();
    let word = |name: &str| {
        let words = demo.dsn("analyst").split_whitespace();
        let found = words
            .filter_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .next();
        found.expect("the line has it").to_owned()
    };
    let url = format!("jdbc:postgresql://{}:{}/casewatch", word("host"), word("port"));
    let program = root().join("tests/gateway/Browse.java");
    demo.script("jdbc", &[program.to_str().expect("the path is text"), &url, "analyst"]);
}
