//! What the reader should not miss, in words: levels that were crossed, what got worse or better, what nobody knows.

use std::collections::BTreeMap;

use casewatch_metrics::TierBound;
use serde::Serialize;

use crate::figures::Figure;
use crate::layout::{Good, Indicator};
use crate::page::severity;
use crate::words::{self, Direction, Style};

/// Sentences, in the order of the indicators.
#[derive(Debug, Default, Serialize)]
pub struct Exceptions {
    pub crossed: Vec<String>,
    pub worse_than_last_month: Vec<String>,
    pub worse_than_last_year: Vec<String>,
    pub better_than_last_month: Vec<String>,
    pub better_than_last_year: Vec<String>,
    /// What has no figure, by its reason.
    pub unknown: Vec<String>,
    pub withheld: Option<String>,
    pub not_published: Option<String>,
}

/// What one indicator has to say.
#[derive(Debug)]
pub struct Judged {
    title: String,
    is_part: bool,
    crossed: Option<String>,
    good: Good,
    style: Style,
    now: Figure,
    last_month: Figure,
    last_year: Figure,
}

impl Judged {
    /// `title` says of a part what it is a part of, too.
    pub fn new(
        title: String,
        indicator: &Indicator,
        style: &Style,
        now: &Figure,
        last_month: &Figure,
        last_year: &Figure,
        reached: Option<&TierBound>,
    ) -> Self {
        let crossed = reached.zip(now.number()).map(|(tier, number)| {
            let (is, level) = (style.tell(style.shown(number)), style.write(style.shown(tier.bound)));
            let severity = severity(tier.severity);
            format!("{title}: {is}, above the level of {level} ({severity}).")
        });
        Self {
            title,
            is_part: indicator.part,
            crossed,
            good: indicator.good,
            style: style.clone(),
            now: now.clone(),
            last_month: last_month.clone(),
            last_year: last_year.clone(),
        }
    }

    /// Good news are told of the whole: a part of it that got worse is told by itself.
    fn whole(&self) -> Option<&Self> {
        (!self.is_part).then_some(self)
    }

    /// A sentence where the change from `before` is large enough and goes in this direction.
    fn moved(&self, before: &Figure, direction: Direction, notable: f64) -> Option<String> {
        let (from, to) = before.number().zip(self.now.number())?;
        let (from, to) = (self.style.shown(from), self.style.shown(to));
        let tells = Direction::of(self.good, from, to) == direction && words::is_notable(from, to, notable);
        tells.then(|| format!("{} {}.", self.title, words::moved(&self.style, from, to)))
    }
}

impl Exceptions {
    pub fn of(judged: &[Judged], notable: f64) -> Self {
        let tell = |of: &dyn Fn(&Judged) -> Option<String>| judged.iter().filter_map(of).collect::<Vec<_>>();
        let with = |figure: &Figure| -> Option<String> {
            let titles: Vec<String> = judged
                .iter()
                .filter(|it| it.now == *figure)
                .map(|it| it.title.clone())
                .collect();
            (!titles.is_empty()).then(|| words::list(&titles))
        };
        let worse = Direction::Worse;
        let better = Direction::Better;
        Self {
            crossed: tell(&|it| it.crossed.clone()),
            worse_than_last_month: tell(&|it| it.moved(&it.last_month, worse, notable)),
            worse_than_last_year: tell(&|it| it.moved(&it.last_year, worse, notable)),
            better_than_last_month: tell(&|it| it.whole()?.moved(&it.last_month, better, notable)),
            better_than_last_year: tell(&|it| it.whole()?.moved(&it.last_year, better, notable)),
            unknown: unknown(judged),
            withheld: with(&Figure::Withheld),
            not_published: with(&Figure::NotPublished),
        }
    }
}

/// What nobody knows, what shares a reason told together.
fn unknown(judged: &[Judged]) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for it in judged {
        let reason = match &it.now {
            Figure::Unknown(reason) => reason,
            Figure::Failed(Some(error)) => error,
            Figure::Failed(None) => "it could not be computed",
            Figure::Nothing => "there was nothing to count",
            Figure::Number(_) | Figure::Withheld | Figure::NotPublished => continue,
        };
        reasons.entry(reason).or_default().push(it.title.clone());
    }
    let told = reasons.into_iter();
    told.map(|(reason, titles)| format!("{}: {reason}.", words::list(&titles)))
        .collect()
}
