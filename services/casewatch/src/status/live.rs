//! The status as a view that moves, on a screen of its own. The terminal is as it was before, however the view ends: by a
//! key, a signal, an error or a panic.

use std::io::{Stdout, Write};
use std::panic;
use std::time::Duration;

use chrono::Utc;
use ratatui::backend::TermionBackend;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::termion::cursor;
use ratatui::termion::event::Key;
use ratatui::termion::input::TermRead;
use ratatui::termion::raw::{IntoRawMode, RawTerminal};
use ratatui::termion::screen::{AlternateScreen, IntoAlternateScreen, ToMainScreen};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table};
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc;

use super::Instance;
use super::board::{Block, Board};
use super::seen::State;
use crate::failure::Failure;
use crate::signals::stop_on_signal;

/// How often the instance is asked.
const INTERVAL: Duration = Duration::from_secs(1);
const KEYS: &str = "q or Ctrl-C ends";

type Screen = Terminal<TermionBackend<AlternateScreen<RawTerminal<Stdout>>>>;

/// What there is to draw.
enum View {
    Board(Board),
    /// The instance does not answer, and why.
    Nothing(String),
}

/// Draws what the instance says each second, until somebody ends it.
///
/// # Errors
/// A terminal that cannot be drawn to. An instance that is away is shown as such, and asked again.
pub async fn show(instance: &Instance) -> Result<(), Failure> {
    let stop = stop_on_signal();
    leave_the_screen_on_panic();
    let mut screen = open().map_err(Failure::output)?;
    let mut keys = keys();
    let mut turns = tokio::time::interval(INTERVAL);
    let mut view = View::Nothing("asking".to_owned());
    loop {
        screen.draw(|frame| draw(frame, &view)).map_err(Failure::output)?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            key = keys.recv() => match key {
                Some(Key::Char('q') | Key::Ctrl('c') | Key::Esc) | None => return Ok(()),
                Some(_) => {}
            },
            _ = turns.tick() => view = look(instance).await,
        }
    }
}

async fn look(instance: &Instance) -> View {
    let page = instance.ask().await;
    match page.and_then(|page| instance.read(&page)) {
        Ok(seen) => View::Board(Board::of(&seen, instance.url.as_str(), Utc::now())),
        Err(failure) => View::Nothing(failure.message),
    }
}

/// Dropping it shows the terminal as it was.
fn open() -> std::io::Result<Screen> {
    let screen = std::io::stdout().into_raw_mode()?.into_alternate_screen()?;
    let mut screen = Terminal::new(TermionBackend::new(screen))?;
    screen.hide_cursor()?;
    Ok(screen)
}

/// A panic's message belongs on the screen that stays.
fn leave_the_screen_on_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        // There is nobody to tell that the terminal is gone.
        let _ = write!(std::io::stdout(), "{ToMainScreen}{}", cursor::Show);
        let _ = std::io::stdout().flush();
        before(panic);
    }));
}

/// Keys as they are pressed. The thread waits for the next one when the program ends, and ends with it.
fn keys() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        for key in std::io::stdin().keys().map_while(Result::ok) {
            if sender.blocking_send(key).is_err() {
                return;
            }
        }
    });
    receiver
}

fn draw(frame: &mut Frame<'_>, view: &View) {
    match view {
        View::Board(board) => draw_board(frame, board),
        View::Nothing(why) => {
            let lines: Vec<Line<'_>> = why.lines().chain(["", KEYS]).map(Line::from).collect();
            frame.render_widget(Paragraph::new(lines), frame.area());
        }
    }
}

fn draw_board(frame: &mut Frame<'_>, board: &Board) {
    let mut head = vec![Line::styled(board.headline.as_str(), style(board.state))];
    head.extend(board.facts.iter().map(|fact| Line::from(fact.as_str())));
    let lines = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    // A block takes a blank line, its title, its heads and its rows.
    let blocks = board
        .blocks
        .iter()
        .map(|block| Constraint::Max(lines(block.rows.len() + 3)));
    let heights = [Constraint::Length(lines(head.len()))].into_iter().chain(blocks);
    let heights = heights.chain([Constraint::Min(1)]);
    let areas = Layout::vertical(heights).split(frame.area());
    frame.render_widget(Paragraph::new(head), areas[0]);
    for (block, area) in board.blocks.iter().zip(areas.iter().skip(1)) {
        let [_, title, table] =
            Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(0)]).areas(*area);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        frame.render_widget(Line::styled(block.title.as_str(), bold), title);
        frame.render_widget(table_of(block), table);
    }
    if let Some(area) = areas.last() {
        let dim = Style::new().add_modifier(Modifier::DIM);
        frame.render_widget(Paragraph::new(vec![Line::from(""), Line::styled(KEYS, dim)]), *area);
    }
}

fn table_of(block: &Block) -> Table<'_> {
    let widths = block.widths().into_iter();
    let widths = widths.map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
    let rows = block.rows.iter().map(|row| Row::new(row.iter().map(String::as_str)));
    let heads = Row::new(block.columns.iter().copied()).style(Style::new().add_modifier(Modifier::DIM));
    Table::new(rows, widths).header(heads).column_spacing(2)
}

/// The word says it all; a colour makes it seen from afar, for whoever wants colours.
fn style(state: State) -> Style {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return bold;
    }
    bold.fg(match state {
        State::Fresh => Color::Green,
        State::CatchingUp => Color::Yellow,
        State::Halted | State::NotReady | State::Stale => Color::Red,
    })
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::super::board::tests::board;
    use super::*;

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut screen = Terminal::new(TestBackend::new(width, height)).unwrap();
        screen.draw(|frame| draw(frame, view)).unwrap();
        screen.backend().to_string()
    }

    #[test]
    fn the_view_shows_the_state_every_block_and_how_to_leave() {
        let text = drawn(&View::Board(board()), 150, 40);
        for expected in [
            "casewatch 0.1.0 at http://127.0.0.1:9464: fresh",
            "5430",
            "2 malformed",
            "mosaic",
            "casewatch_late",
            "broker away (3 times)",
            KEYS,
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn a_small_terminal_is_no_error_and_an_instance_that_is_away_says_so() {
        assert!(drawn(&View::Board(board()), 20, 3).contains("casewatch 0.1.0"));
        let away = View::Nothing("no instance answers at http://x\nhint: y".to_owned());
        let text = drawn(&away, 60, 6);
        assert!(
            text.contains("no instance answers at http://x") && text.contains(KEYS),
            "{text}"
        );
    }
}
