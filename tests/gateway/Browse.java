import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;

/** What tools over JDBC do: browse, ask with parameters, read in pieces, fail and go on. Says `jdbc: well` at the end. */
class Browse {
    public static void main(String[] arguments) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", arguments[1]);
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("sslmode", "require");
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            browse(connection);
            parameters(connection);
            types(connection);
            pieces(connection);
            failures(connection);
        }
        System.out.println("jdbc: well");
    }

    static void browse(Connection connection) throws SQLException {
        var meta = connection.getMetaData();
        same("PostgreSQL", meta.getDatabaseProductName());
        Set<String> schemas = new TreeSet<>();
        try (ResultSet rows = meta.getSchemas()) {
            while (rows.next()) schemas.add(rows.getString("TABLE_SCHEM"));
        }
        same(true, schemas.contains("public") && schemas.contains("history"));
        Set<String> tables = new TreeSet<>();
        try (ResultSet rows = meta.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})) {
            while (rows.next()) tables.add(rows.getString("TABLE_NAME") + " " + rows.getString("TABLE_TYPE"));
        }
        same(true, tables.contains("cases TABLE") && tables.contains("allocation_state VIEW"));
        String type = null;
        String remarks = null;
        try (ResultSet rows = meta.getColumns(null, "public", "cases", "opened_at")) {
            while (rows.next()) {
                type = rows.getString("TYPE_NAME");
                remarks = rows.getString("REMARKS");
            }
        }
        same("timestamptz", type);
        same(true, remarks != null && !remarks.isEmpty());
        keys(meta);
        try (ResultSet rows = meta.getTypeInfo()) {
            same(true, rows.next());
        }
        try (ResultSet rows = meta.getCatalogs()) {
            same(true, rows.next());
        }
        same(true, meta.getSQLKeywords() != null);
    }

    static void parameters(Connection connection) throws SQLException {
        String sql = "select count(*) as n, max(opened_at) as last from cases where opened_at < ? and case_id <> ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            // More than five times, so that the driver turns to a prepared statement of the server and to binary values.
            for (int round = 0; round < 8; round++) {
                statement.setObject(1, OffsetDateTime.parse("2018-01-20T00:00:00Z"));
                statement.setString(2, "nothing");
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    same(true, rows.getLong("n") > 1000);
                    OffsetDateTime last = rows.getObject("last", OffsetDateTime.class);
                    same(true, last.isBefore(OffsetDateTime.parse("2018-01-20T00:00:00Z")));
                }
            }
        }
    }

    static void types(Connection connection) throws SQLException {
        String sql = "select ?::int, ?::date, ?::numeric(12,2), ?::boolean, ?::text, cast(? as double precision)";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int round = 0; round < 8; round++) {
                statement.setInt(1, 7);
                statement.setObject(2, LocalDate.of(2018, 10, 17));
                statement.setBigDecimal(3, new BigDecimal("-1234.50"));
                statement.setBoolean(4, true);
                statement.setString(5, "O'Neil; drop table cases");
                statement.setDouble(6, 0.25);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    same(7, rows.getInt(1));
                    same(Date.valueOf("2018-10-17"), rows.getDate(2));
                    same(new BigDecimal("-1234.50"), rows.getBigDecimal(3));
                    same(true, rows.getBoolean(4));
                    same("O'Neil; drop table cases", rows.getString(5));
                    same(0.25, rows.getDouble(6));
                }
            }
        }
    }

    static void pieces(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (var statement = connection.createStatement()) {
            statement.setFetchSize(100);
            int count = 0;
            try (ResultSet rows = statement.executeQuery("select case_id from cases order by case_id limit 1050")) {
                while (rows.next()) count++;
            }
            same(1050, count);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void failures(Connection connection) throws SQLException {
        same("42P01", state(connection, "select * from nothing_like_it"));
        same("42703", state(connection, "select nothing_like_it from cases"));
        same("42601", state(connection, "select from where 1 = = 2"));
        same("25006", state(connection, "delete from cases"));
        try (var statement = connection.createStatement(); ResultSet rows = statement.executeQuery("select 1")) {
            same(true, rows.next());
        }
    }

    static void keys(DatabaseMetaData meta) throws SQLException {
        try (ResultSet rows = meta.getPrimaryKeys(null, "public", "cases")) {
            same(true, rows.next());
            same("case_id 1 cases_pkey", rows.getString("COLUMN_NAME") + " " + rows.getInt("KEY_SEQ") + " " + rows.getString("PK_NAME"));
            same(false, rows.next());
        }
        Set<String> imported = new TreeSet<>();
        try (ResultSet rows = meta.getImportedKeys(null, "public", "cases")) {
            while (rows.next()) {
                imported.add(rows.getString("FKCOLUMN_NAME") + " " + rows.getString("PKTABLE_NAME") + " " + rows.getString("PKCOLUMN_NAME"));
            }
        }
        // Not its team: a team's key is two columns, as it is another from each day on that it changes.
        same(Set.of("child_id children child_id", "referral_id referrals referral_id"), imported);
        Set<String> exported = new TreeSet<>();
        try (ResultSet rows = meta.getExportedKeys(null, "public", "cases")) {
            while (rows.next()) exported.add(rows.getString("FKTABLE_NAME"));
        }
        same(true, exported.contains("allocations") && exported.contains("visits"));
        try (ResultSet rows = meta.getIndexInfo(null, "public", "cases", false, true)) {
            same(true, rows.next());
            same("cases_pkey case_id", rows.getString("INDEX_NAME") + " " + rows.getString("COLUMN_NAME"));
            same(false, rows.getBoolean("NON_UNIQUE"));
        }
        try (ResultSet rows = meta.getPrimaryKeys(null, "history", "cases")) {
            same(false, rows.next());
        }
    }

    static String state(Connection connection, String sql) {
        try (var statement = connection.createStatement()) {
            statement.execute(sql);
            return "no failure";
        } catch (SQLException failure) {
            return failure.getSQLState();
        }
    }

    static void same(Object expected, Object found) {
        if (!expected.equals(found)) throw new AssertionError("expected " + expected + ", found " + found);
    }
}
