use super::*;
use crate::fixture::{catalogue, directory, layout};

/// The only fault of the layout with a text replaced.
fn refused(from: &str, to: &str) -> String {
    let faults = layout(from, to).unwrap_err();
    assert_eq!(faults.0.len(), 1, "{faults}");
    faults.to_string()
}

#[test]
fn a_layout_names_every_metric_that_its_report_reads() {
    let directory = directory();
    let catalogue = catalogue(directory.path());
    let layout = Layout::load(directory.path(), &catalogue).unwrap();
    let names: Vec<String> = layout.metrics(&catalogue).into_iter().collect();
    let expected = [
        "casewatch_agency_ratio",
        "casewatch_benchmark_ratio",
        "casewatch_wait_mean_calendardays",
        "casewatch_waiting",
    ];
    assert_eq!(names, expected);
    assert!(
        layout
            .authorities_in(directory.path())
            .ends_with("reports/authorities.sql")
    );
}

#[test]
fn a_name_that_no_metric_has_is_told_with_its_place_and_the_nearest() {
    let fault = refused("\"casewatch_agency_ratio\"", "\"casewatch_agency_rati\"");
    assert!(
        fault.contains("monthly.toml:45:10: error: no metric is called \"casewatch_agency_rati\""),
        "{fault}"
    );
    assert!(fault.contains("did you mean \"casewatch_agency_ratio\"?"), "{fault}");
}

#[test]
fn what_does_not_add_up_is_not_summed() {
    let mean = "metric = \"casewatch_wait_mean_calendardays\"\ntotal = \"max\"";
    let fault = refused(mean, "metric = \"casewatch_wait_mean_calendardays\"\ntotal = \"sum\"");
    assert!(
        fault.contains("casewatch_wait_mean_calendardays does not add up"),
        "{fault}"
    );
    let year = "metric = \"casewatch_agency_ratio\"\ntotal = \"given\"";
    let faults = layout(year, "metric = \"casewatch_benchmark_ratio\"\ntotal = \"sum\"")
        .unwrap_err()
        .to_string();
    assert!(
        faults.contains("the values of \"year\" of casewatch_benchmark_ratio do not add up"),
        "{faults}"
    );
    assert!(faults.contains("has no label \"authority\""), "{faults}");
}

#[test]
fn a_finer_level_is_not_chosen_without_the_one_around_it() {
    let fault = refused(
        "where = { service = [\"s\"], team = [\"t1\"] }\ntotal = \"sum\"",
        "where = { team = [\"t1\"] }\ntotal = \"sum\"",
    );
    assert!(
        fault.contains("\"team\" is chosen, and \"service\", which it lies in, is not"),
        "{fault}"
    );
}

#[test]
fn one_series_is_left_where_one_is_given() {
    let fault = refused(
        "where = { service = [\"s\"], team = [\"t1\"] }\ntotal = \"given\"",
        "where = { service = [\"s\"] }\ntotal = \"given\"",
    );
    assert!(
        fault.contains("expected: one value in `where` for each of team"),
        "{fault}"
    );
    let fault = refused(", where = { measure = [\"agency\"] } }", " }");
    assert!(
        fault.contains("several series of casewatch_benchmark_ratio are left"),
        "{fault}"
    );
}

#[test]
fn labels_tiers_files_and_numbers_that_are_not_there_are_told() {
    let fault = refused("service = [\"s\"], team", "servise = [\"s\"], service = [\"s\"], team");
    assert!(
        fault.contains("has no label \"servise\"") && fault.contains("did you mean \"service\"?"),
        "{fault}"
    );
    let fault = refused("target = \"warn\"", "target = \"alarm\"");
    assert!(
        fault.contains("has no tier \"alarm\"") && fault.contains("one of warn, page"),
        "{fault}"
    );
    let fault = refused("authorities.sql", "nobody.sql");
    assert!(fault.contains("there is no file nobody.sql"), "{fault}");
    let fault = refused("months = 14", "months = 12");
    assert!(fault.contains("12 months") && fault.contains("13 to 120"), "{fault}");
    let fault = refused("good = \"low\"", "good = \"lower\"");
    assert!(fault.contains("unknown variant `lower`"), "{fault}");
    let fault = refused("part = true", "parts = true");
    assert!(fault.contains("unknown field `parts`"), "{fault}");
}
