//! What tiles show: only what adds up is added up, and what is not known is not 0.

use std::collections::{BTreeSet, HashMap};

use casewatch_metrics::SourceFile;
use casewatch_query::Scope;

use crate::figures::Figures;
use crate::fixtures::{BOARD, catalogue, figures, layout, names};
use crate::layout::Layout;
use crate::subject::{Asked, Subject, SubjectError};
use crate::table::csv_of;
use crate::tiles::Scene;
use crate::view::TileShown;

fn asked(level: &str, id: &str) -> Asked {
    let mut asked = Asked::default();
    match level {
        "authority" => asked.authority = Some(id.to_owned()),
        "service" => asked.service = Some(id.to_owned()),
        "team" => asked.team = Some(id.to_owned()),
        _ => {}
    }
    asked
}

fn set_of(ids: &[&str]) -> Option<BTreeSet<String>> {
    Some(ids.iter().map(|id| (*id).to_owned()).collect())
}

/// Tiles of everything that a viewer may see of `asked`, by id.
fn tiles(asked: &Asked, scope: &Scope, figures: &Figures, unknown: Option<&str>) -> HashMap<String, TileShown> {
    let (catalogue, layout, names) = (catalogue(), layout(), names());
    let subject = Subject::resolve(asked, scope, &names).unwrap();
    let before = Figures::default();
    let scene = Scene {
        layout: &layout,
        catalogue: &catalogue,
        names: &names,
        subject: &subject,
        figures,
        before: Some(("2018-10-16".to_owned(), &before)),
        unknown: unknown.map(str::to_owned),
    };
    let sections = scene.sections();
    let tiles = sections.into_iter().flat_map(|section| section.tiles);
    tiles.map(|tile| (tile.id.clone(), tile)).collect()
}

fn shown(level: &str, id: &str) -> HashMap<String, TileShown> {
    tiles(&asked(level, id), &Scope::default(), &figures(&catalogue()), None)
}

#[test]
fn counts_are_added_up_maxima_are_not_and_shares_are_those_of_the_level_itself() {
    let north = shown("authority", "north");
    assert_eq!(north["waiting"].value, Some(10.0));
    assert_eq!(north["oldest"].value, Some(30.0));
    assert_eq!(
        north["in_time"].value,
        Some(50.0),
        "in percent, of the authority's own series"
    );
    assert_eq!(north["late_share"].value, Some(60.0), "6 of 10");
    assert_eq!(
        shown("service", "desk")["waiting"].value,
        Some(28.0),
        "of both authorities"
    );
    let team = shown("team", "A1");
    assert_eq!(team["waiting"].value, Some(8.0), "with the team below it");
    assert_eq!(team["oldest"].value, Some(30.0));
    assert_eq!(team["in_time"].value, Some(75.0), "of the team itself");
}

#[test]
fn a_share_of_several_authorities_is_unknown_and_not_a_mean_of_them() {
    let all = shown("", "");
    assert_eq!(all["waiting"].value, Some(30.0));
    assert_eq!(all["in_time"].value, None);
    assert!(
        all["in_time"].unknown.as_ref().unwrap().contains("choose one"),
        "{:?}",
        all["in_time"].unknown
    );
}

#[test]
fn what_is_not_known_has_a_reason_and_no_number_anywhere_on_its_tile() {
    let gone = HashMap::from([(
        "casewatch_waiting".to_owned(),
        Err("the feed a has been silent".to_owned()),
    )]);
    let figures = Figures::new(gone, None);
    let tiles_now = tiles(&asked("authority", "north"), &Scope::default(), &figures, None);
    let waiting = &tiles_now["waiting"];
    assert_eq!(waiting.value, None);
    assert_eq!(waiting.unknown.as_deref(), Some("the feed a has been silent"));
    assert!(
        waiting.parts.iter().all(|part| part.value.is_none()),
        "{:?}",
        waiting.parts
    );
    let table = &tiles_now["by_team"];
    assert!(table.unknown.is_some() && !table.rows.is_empty());
    assert!(
        table.rows.iter().all(|row| row.cells.iter().all(Option::is_none)),
        "{:?}",
        table.rows
    );
    assert_eq!(
        tiles_now["oldest"].unknown.as_deref(),
        Some("it has not been computed yet")
    );
}

#[test]
fn while_nothing_is_to_be_shown_no_tile_has_a_number_or_a_tier() {
    let known = figures(&catalogue());
    for tile in tiles(
        &asked("authority", "south"),
        &Scope::default(),
        &known,
        Some("catching up"),
    )
    .values()
    {
        let cells = tile.rows.iter().flat_map(|row| row.cells.iter().take(1));
        let parts = tile.parts.iter().map(|part| &part.value);
        let numbers: Vec<_> = parts.chain(cells).chain([&tile.value]).flatten().collect();
        assert!(numbers.is_empty(), "{}: {numbers:?}", tile.id);
        assert_eq!(
            (tile.unknown.as_deref(), &tile.tier),
            (Some("catching up"), &None),
            "{}",
            tile.id
        );
    }
}

#[test]
fn a_tier_is_the_worst_that_any_team_of_what_is_looked_at_has_reached() {
    let severity = |level: &str, id: &str| shown(level, id)["waiting"].tier.as_ref().map(|tier| tier.severity);
    assert_eq!(severity("authority", "south"), Some("page"));
    assert_eq!(
        severity("authority", "north"),
        Some("warn"),
        "A2 has 5, and no team over 10"
    );
    assert_eq!(severity("team", "B1"), None);
    let bounds: Vec<f64> = shown("authority", "north")["waiting"]
        .thresholds
        .iter()
        .map(|bound| bound.value)
        .collect();
    assert_eq!(bounds, [3.0, 10.0]);
}

#[test]
fn a_table_has_a_row_for_each_team_the_worst_first_with_a_link_to_its_page() {
    let tiles = shown("authority", "north");
    let rows: Vec<_> = tiles["by_team"]
        .rows
        .iter()
        .map(|row| (row.id.as_str(), row.cells.clone()))
        .collect();
    assert_eq!(
        rows,
        [
            ("A1", vec![Some(8.0), Some(75.0)]),
            ("A2", vec![Some(5.0), None]),
            ("B1", vec![Some(2.0), None]),
        ]
    );
    let first = &tiles["by_team"].rows[0];
    assert_eq!(
        (first.title.as_str(), first.link.as_deref()),
        ("A1's name", Some("/?team=A1"))
    );
    assert!(!shown("team", "B1").contains_key("by_team"), "nothing is below it");
}

#[test]
fn rates_stand_beside_the_newest_figure_that_is_published_for_the_region() {
    let tiles = shown("authority", "north");
    let rates = &tiles["rates"];
    let titles: Vec<&str> = rates.columns.iter().map(|column| column.title.as_str()).collect();
    assert_eq!(titles, ["Now", "Region 2018", "Target"]);
    assert_eq!(rates.rows[0].cells, [Some(50.0), Some(60.0), Some(90.0)]);
    let benchmark = tiles["in_time"].benchmark.as_ref().unwrap();
    assert_eq!((benchmark.name.as_str(), benchmark.value), ("England 2018", 60.0));
}

#[test]
fn whoever_may_see_one_team_sees_its_tree_and_nothing_else() {
    let scope = Scope {
        teams: set_of(&["A1"]),
        ..Scope::default()
    };
    let own = tiles(&Asked::default(), &scope, &figures(&catalogue()), None);
    assert_eq!(own["waiting"].value, Some(8.0), "the own team is where one starts");
    let refused = |level: &str, id: &str| Subject::resolve(&asked(level, id), &scope, &names()).unwrap_err();
    for (level, id) in [("team", "B1"), ("authority", "north"), ("service", "desk")] {
        assert!(
            matches!(refused(level, id), SubjectError::Forbidden { .. }),
            "{level} {id}"
        );
    }
    assert!(Subject::resolve(&asked("team", "A2"), &scope, &names()).is_ok());
    let may = names().within(&scope);
    let teams: Vec<&str> = may.teams.iter().map(|team| team.called.id.as_str()).collect();
    assert_eq!((teams.as_slice(), may.authorities.len()), (["A1", "A2"].as_slice(), 0));
}

#[test]
fn whoever_may_see_one_authority_sees_no_number_of_another() {
    let scope = Scope {
        authorities: set_of(&["north"]),
        ..Scope::default()
    };
    let known = figures(&catalogue());
    assert_eq!(
        tiles(&Asked::default(), &scope, &known, None)["waiting"].value,
        Some(10.0)
    );
    let by_service = tiles(&asked("service", "desk"), &scope, &known, None);
    assert_eq!(by_service["waiting"].value, Some(8.0), "without the south's desk");
    for (level, id) in [("authority", "south"), ("team", "C1")] {
        let refused = Subject::resolve(&asked(level, id), &scope, &names()).unwrap_err();
        assert!(matches!(refused, SubjectError::Forbidden { .. }), "{level} {id}");
    }
    let unknown = Subject::resolve(&asked("team", "Z9"), &Scope::default(), &names()).unwrap_err();
    assert_eq!(unknown.to_string(), "no team is called \"Z9\" at that time");
}

#[test]
fn a_tile_as_csv_says_unknown_where_the_page_does_and_holds_no_formula() {
    let mut tile = shown("authority", "north")["by_team"].clone();
    tile.rows[0].title = "=cmd()".to_owned();
    let text = String::from_utf8(csv_of(&tile, "2018-10-17", None).unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "series,date,part,column,unit,value");
    assert_eq!(lines[1], "now,2018-10-17,'=cmd(),Waiting,cases,8");
    assert!(lines.contains(&"now,2018-10-17,A2's name,In time,%,unknown"), "{text}");
}

#[test]
fn what_the_catalogue_does_not_have_and_what_does_not_add_up_is_refused_with_its_place() {
    let faults = |from: &str, to: &str| -> Vec<String> {
        let text = BOARD.replacen(from, to, 1);
        assert_ne!(text, BOARD, "the test must change the file");
        match Layout::parse(SourceFile::new("board.toml", text)) {
            Ok((layout, file)) => {
                let faults = layout.faults(&file, &catalogue());
                faults.iter().map(ToString::to_string).collect()
            }
            Err(fault) => vec![fault.to_string()],
        }
    };
    let (unchanged, file) = Layout::parse(SourceFile::new("board.toml", BOARD)).unwrap();
    assert_eq!(unchanged.faults(&file, &catalogue()), []);
    for (from, to, message) in [
        (
            "\"casewatch_waiting\"",
            "\"casewatch_waitin\"",
            "did you mean \"casewatch_waiting\"?",
        ),
        (
            "by = \"state\"",
            "by = \"stat\"",
            "casewatch_waiting has no label \"stat\"",
        ),
        (
            "\"casewatch_in_time_ratio\", combine = \"own\"",
            "\"casewatch_in_time_ratio\", combine = \"sum\"",
            "casewatch_in_time_ratio does not add up",
        ),
        (
            "\"casewatch_oldest_calendardays\", combine = \"max\"",
            "\"casewatch_flow\", combine = \"sum\"",
            "nothing says that casewatch_flow adds up",
        ),
        ("state = [\"late\"]", "stat = [\"late\"]", "has no label \"stat\""),
        ("trend = true", "trends = true", "unknown field `trends`"),
        ("id = \"oldest\"", "id = \"waiting\"", "tile \"waiting\" stands twice"),
        (
            "combine = \"max\" }",
            "combine = \"max\", judged = true }",
            "no tier of thresholds.toml is of casewatch_oldest_calendardays",
        ),
        ("by = \"team\"", "by = \"state\"", "a table needs rows"),
    ] {
        let found = faults(from, to);
        assert!(
            found.iter().any(|fault| fault.contains(message)),
            "{message}: {found:?}"
        );
        assert!(
            found
                .iter()
                .all(|fault| fault.starts_with("board.toml:") && !fault.contains("toml:1:1:")),
            "{found:?}"
        );
    }
}

#[test]
fn a_trend_has_thirty_days_and_thirty_ends_of_months_the_last_of_which_is_looked_at() {
    let day = |text: &str| (text.parse::<chrono::NaiveDate>().unwrap() - chrono::NaiveDate::default()).num_days();
    let (days, months) = crate::history::days_before(i32::try_from(day("2018-10-17")).unwrap());
    let shown = |days: &[i32]| -> Vec<String> {
        days.iter()
            .map(|day| crate::history::date_of(*day).to_string())
            .collect()
    };
    assert_eq!((days.len(), months.len()), (29, 29));
    assert_eq!(
        (shown(&days[..1]), shown(&days[28..])),
        (vec!["2018-09-18".into()], vec!["2018-10-16".into()])
    );
    assert_eq!(
        (shown(&months[..1]), shown(&months[28..])),
        (vec!["2016-05-31".into()], vec!["2018-09-30".into()])
    );
}
