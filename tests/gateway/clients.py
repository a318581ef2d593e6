#!/usr/bin/env python3
"""What analysts do from Python: psycopg, SQLAlchemy, pandas; many connections; and the queries that tools send when they
connect and browse, by their sources. Each part says `NAME: well` at its end.

usage: clients.py psycopg|sqlalchemy|pandas|asked|many DSN [ARGUMENT...]
"""
import datetime
import decimal
import pathlib
import sys
import threading
import time

import psycopg


def same(expected, found):
    assert expected == found, f"expected {expected!r}, found {found!r}"


def values(connection, sql, parameters=None):
    return connection.execute(sql, parameters).fetchall()


def with_psycopg(dsn):
    with psycopg.connect(dsn) as connection:
        sql = "select %s::int, %s::text, %s::date, %s::timestamptz, %s::numeric(12,3), %s::bool, %s::text[]"
        moment = datetime.datetime(2018, 10, 17, 9, 30, tzinfo=datetime.timezone.utc)
        given = (7, "O'Neil", datetime.date(2018, 10, 17), moment, decimal.Decimal("-12.345"), True, ["a", 'b "c"', None])
        for binary in (False, True):
            for prepare in (False, True):
                with connection.cursor(binary=binary) as cursor:
                    row = cursor.execute(sql, given, prepare=prepare).fetchone()
                    same(given, (*row[:3], row[3].astimezone(datetime.timezone.utc), *row[4:]))
        in_many = values(connection, "select count(*) from allocation_state where state = any(%s)", (["unallocated", "allocated"],))
        one_by_one = values(connection, "select count(*) from allocation_state where state in ('unallocated', 'allocated')")
        same(one_by_one, in_many)
        same([None], [row[0] for row in values(connection, "select %s::text", (None,))])
        connection.commit()
        try:
            values(connection, "select nothing_like_it from cases")
            raise AssertionError("no failure")
        except psycopg.errors.UndefinedColumn as failure:
            same("42703", failure.diag.sqlstate)
            same("8", failure.diag.statement_position)
        try:
            values(connection, "select 1")
            raise AssertionError("a failed transaction goes on")
        except psycopg.errors.InFailedSqlTransaction:
            connection.rollback()
        try:
            values(connection, "insert into cases values (1)")
            raise AssertionError("something was written")
        except psycopg.errors.ReadOnlySqlTransaction:
            connection.rollback()
        with connection.cursor(name="in_pieces") as cursor:
            cursor.execute("select case_id from cases order by case_id limit 25")
            same([10, 10, 5, 0], [len(cursor.fetchmany(10)) for _ in range(4)])
        with connection.cursor() as cursor, cursor.copy("copy (select 1 as a, 'x,y' as b) to stdout with (format csv, header)") as copy:
            same("a,b\n1,\"x,y\"\n", b"".join(bytes(piece) for piece in copy).decode())
        connection.rollback()
        connection.execute("set casewatch.as_of = '2018-01-10'")
        before = values(connection, "select as_of_date(), count(*) from open_cases")[0]
        same(datetime.date(2018, 1, 10), before[0])
        connection.execute("reset casewatch.as_of")
        with connection.pipeline():
            first = connection.execute("select 1")
            second = connection.execute("select %s::int", (2,))
        same([(1,), (2,)], [first.fetchone(), second.fetchone()])


def with_sqlalchemy(dsn):
    import sqlalchemy
    from sqlalchemy.engine import URL

    engine = sqlalchemy.create_engine(url_of(dsn, URL))
    inspector = sqlalchemy.inspect(engine)
    assert {"public", "history"} <= set(inspector.get_schema_names())
    assert "cases" in inspector.get_table_names()
    assert "allocation_state" in inspector.get_view_names()
    columns = {column["name"]: column for column in inspector.get_columns("cases")}
    assert isinstance(columns["opened_at"]["type"], sqlalchemy.types.TIMESTAMP) and columns["opened_at"]["type"].timezone
    assert columns["opened_at"]["comment"], "columns have their docs"
    assert inspector.get_table_comment("cases")["text"]
    same(["case_id"], inspector.get_pk_constraint("cases")["constrained_columns"])
    foreign = {key["constrained_columns"][0]: (key["referred_table"], key["referred_columns"]) for key in inspector.get_foreign_keys("cases")}
    # Not its team: a team's key is two columns, as it is another from each day on that it changes.
    same({"child_id": ("children", ["child_id"]), "referral_id": ("referrals", ["referral_id"])}, foreign)
    same([], inspector.get_indexes("cases"))
    same([], inspector.get_unique_constraints("cases"))
    same([], inspector.get_pk_constraint("cases", schema="history")["constrained_columns"])
    assert "primary_holder" in inspector.get_view_definition("allocation_state")
    cases = sqlalchemy.Table("cases", sqlalchemy.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        query = sqlalchemy.select(sqlalchemy.func.count()).where(cases.c.opened_at < datetime.datetime(2018, 1, 20, tzinfo=datetime.timezone.utc))
        assert connection.execute(query).scalar_one() > 1000


def url_of(dsn, url):
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    return url.create(
        "postgresql+psycopg", parts["user"], parts["password"], parts["host"], int(parts["port"]), parts["dbname"],
        {"sslmode": parts["sslmode"]},
    )


def with_pandas(dsn):
    import pandas
    import sqlalchemy
    from sqlalchemy.engine import URL

    engine = sqlalchemy.create_engine(url_of(dsn, URL))
    frame = pandas.read_sql("select state, count(*) as cases from allocation_state group by state order by state", engine)
    same(["state", "cases"], list(frame.columns))
    assert frame["cases"].sum() > 1000, frame
    opened = pandas.read_sql(sqlalchemy.text("select case_id, opened_at from cases where opened_at < :before"), engine, params={"before": "2018-01-15T00:00:00Z"})
    assert str(opened["opened_at"].dtype).startswith("datetime64"), opened.dtypes


def asked(dsn, folder):
    """Every query gives the columns that its client reads, and where it says so rows."""
    failures = []
    count = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        known = dict(values(connection, "select relname, oid from pg_class where relname = 'cases' and relnamespace = 2200"))
        for path in sorted(pathlib.Path(folder).glob("*.sql")):
            for query in path.read_text().split("-- query")[1:]:
                head, *rest = query.split("\n")
                wanted = [word.strip() for word in head.partition("columns:")[2].partition(";")[0].split(",") if word.strip()]
                wants_rows = "rows" in head.partition(";")[2]
                sql = "\n".join(rest).strip().rstrip(";").replace("$oid", str(known["cases"]))
                count += 1
                try:
                    cursor = connection.execute(sql.encode(), prepare=False)
                    found = [column.name for column in cursor.description or []]
                    missing = [name for name in wanted if name not in found]
                    rows = cursor.fetchall() if cursor.description else []
                    if missing:
                        failures.append(f"{path.name}: no column {missing} in {found}:\n{sql}")
                    if wants_rows and not rows:
                        failures.append(f"{path.name}: no rows:\n{sql}")
                except psycopg.Error as failure:
                    failures.append(f"{path.name}: {failure}:\n{sql}")
    assert not failures, f"{len(failures)} of {count}:\n" + "\n\n".join(failures)
    assert count >= 65, f"only {count} queries were found"


def many(dsn):
    """A hundred connections that say nothing, and twenty that ask without pause."""
    idle = [psycopg.connect(dsn) for _ in range(100)]
    ends_at = time.monotonic() + 5
    answered, faults = [], []

    def ask():
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                while True:
                    assert values(connection, "select count(*) from allocation_state")[0][0] > 0
                    answered.append(1)
                    if time.monotonic() > ends_at:
                        break
        except Exception as fault:  # every fault counts, whatever it is
            faults.append(repr(fault))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    same([], faults)
    assert len(answered) >= 20, answered
    for connection in idle:
        same([(1,)], values(connection, "select 1"))
        connection.close()
    print(f"{len(answered)} statements of 20 connections in 5 s beside 100 idle ones")


PARTS = {"psycopg": with_psycopg, "sqlalchemy": with_sqlalchemy, "pandas": with_pandas, "asked": asked, "many": many}

if __name__ == "__main__":
    PARTS[sys.argv[1]](*sys.argv[2:])
    print(f"{sys.argv[1]}: well")
