//! What an authority is to look like, as data: curves the simulation steers to.
//!
//! A [`Profile`] names no mechanism. The allocation meeting ([`crate::allocation`]) hits `no_holder_*` exactly at the
//! end of each working day; the other curves are steered to by quotas. Sources: DOMAIN's scenario table (news,
//! inspection letters, commissioner) and the DfE workforce and children-in-need returns.

use crate::calendar::Day;

/// A curve through dated points, straight between them and level outside.
#[derive(Clone, Debug)]
pub struct Curve(Vec<(Day, f64)>);

impl Curve {
    /// A curve through these points, dates ascending.
    pub fn through(points: &[((i32, u32, u32), f64)]) -> Self {
        Self(
            points
                .iter()
                .map(|((y, m, d), value)| (Day::of(*y, *m, *d), *value))
                .collect(),
        )
    }

    /// The same value on every day.
    pub fn level(value: f64) -> Self {
        Self(vec![(Day(0), value)])
    }

    /// The value on a day.
    pub fn on(&self, day: Day) -> f64 {
        let after = self.0.partition_point(|(d, _)| *d <= day);
        if after == 0 {
            return self.0[0].1;
        }
        let (d0, v0) = self.0[after - 1];
        match self.0.get(after) {
            Some((d1, v1)) => v0 + (v1 - v0) * f64::from(day.0 - d0.0) / f64::from(d1.0 - d0.0),
            None => v0,
        }
    }

    /// The value on a day, rounded to a count.
    pub fn count(&self, day: Day) -> usize {
        self.on(day).round().max(0.0) as usize
    }

    fn times(mut self, scale: f64) -> Self {
        self.0.iter_mut().for_each(|(_, value)| *value *= scale);
        self
    }
}

/// Referrals of one year from 1 April.
#[derive(Clone, Copy, Debug)]
pub struct ReferralYear {
    /// The calendar year in which it begins.
    pub from: i32,
    /// Referrals received.
    pub referrals: f64,
    /// Share of decided referrals with no further action.
    pub no_further_action: f64,
    /// Share that follow another referral of the child within twelve months.
    pub re_referral: f64,
    /// Share decided for an assessment or a section 47 enquiry.
    pub assessed: f64,
}

/// The workforce at one 30 September, in tenths of a full-time equivalent, and the year before it.
#[derive(Clone, Copy, Debug)]
pub struct WorkforceYear {
    /// The calendar year.
    pub year: i32,
    /// Directly employed child-and-family social workers.
    pub in_post: u32,
    /// Agency social workers.
    pub agency: u32,
    /// Vacancies.
    pub vacancy: u32,
    /// Leavers from 1 October to 30 September.
    pub leavers: u32,
    /// Social workers, agency included, who hold a case.
    pub case_holders: u32,
    /// Days lost to sickness in the year, in full-time equivalents.
    pub sick_days: f64,
}

/// A case that waits because it was forgotten: plausible one by one, and what "the oldest wait" is made of.
#[derive(Clone, Copy, Debug)]
pub struct PinnedWait {
    /// Day its wait begins.
    pub from: Day,
    /// First day on which it may get a worker.
    pub until: Day,
    /// Does it wait on a transfer that is never accepted (else at the front door)?
    pub in_transfer: bool,
}

/// Everything the simulation is calibrated to.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Nine-character area code.
    pub authority: String,
    /// First letters of every identifier, so that authorities do not share keys.
    pub prefix: String,
    /// First simulated day: what exists before it is the initial snapshot.
    pub first_day: Day,
    /// Last simulated day.
    pub last_day: Day,
    /// Size against Northamptonshire; scales teams, staff and flows.
    pub scale: f64,
    /// Open child cases.
    pub open: Curve,
    /// Open child cases at the front door without a holder.
    pub no_holder_front_door: Curve,
    /// Open child cases elsewhere without a holder.
    pub no_holder_elsewhere: Curve,
    /// Of those at the front door, within the grace period.
    pub in_grace_front_door: Curve,
    /// Of those elsewhere, within the grace period.
    pub in_grace_elsewhere: Curve,
    /// Mean wait of those past the grace period, in calendar days.
    pub mean_wait: Curve,
    /// Longest wait, pinned ones aside, in calendar days.
    pub longest_wait: Curve,
    /// Periods, both days included, in which nobody may wait past the grace period at a day's end.
    pub none_past_grace: Vec<(Day, Day)>,
    /// Waits that last for known reasons.
    pub pinned: Vec<PinnedWait>,
    /// Cases held by personal advisers and family support workers.
    pub held_by_others: Curve,
    /// Cases on trays, duty desks and with managers.
    pub nominal: Curve,
    /// Full-time equivalents who hold cases at the front door, in tenths.
    pub front_door_fte: Curve,
    /// Working days an assessment takes, on average.
    pub assessment_days: Curve,
    /// Share of what leaves the front door's queue by closure without anybody having held it.
    pub closed_unheld: Curve,
    /// Referrals by year from 1 April.
    pub referral_years: Vec<ReferralYear>,
    /// Workforce by year to 30 September; the first is where the plan starts.
    pub workforce_years: Vec<WorkforceYear>,
}

impl Profile {
    /// Northamptonshire from 1 January 2018 to 30 September 2020: the failure, the recovery, the relapse, the end.
    pub fn northamptonshire() -> Self {
        Self {
            authority: "E10000021".to_owned(),
            prefix: "N".to_owned(),
            first_day: Day::of(2018, 1, 1),
            last_day: Day::of(2020, 9, 30),
            scale: 1.0,
            open: Curve::through(&[
                ((2018, 1, 1), 5360.0),
                ((2018, 3, 31), 5430.0),
                ((2018, 9, 30), 4885.0),
                ((2019, 3, 31), 4693.0),
                ((2019, 9, 30), 5255.0),
                ((2020, 3, 31), 5371.0),
                ((2020, 9, 30), 5215.0),
            ]),
            no_holder_front_door: Curve::through(&[
                ((2018, 1, 1), 278.0),
                ((2018, 1, 31), 276.0),
                ((2018, 4, 16), 262.0),
                ((2018, 7, 10), 274.0),
                ((2018, 10, 17), 267.0),
                ((2018, 11, 15), 190.0),
                ((2018, 12, 20), 80.0),
                ((2019, 1, 31), 50.0),
                ((2019, 4, 15), 72.0),
                ((2019, 5, 31), 100.0),
                ((2019, 9, 30), 198.0),
                ((2019, 10, 16), 222.0),
                ((2019, 10, 31), 210.0),
                ((2019, 12, 13), 90.0),
                ((2020, 1, 17), 32.0),
                ((2020, 7, 31), 22.0),
                ((2020, 9, 30), 20.0),
            ]),
            no_holder_elsewhere: Curve::through(&[
                ((2018, 1, 1), 262.0),
                ((2018, 1, 31), 275.0),
                ((2018, 3, 30), 205.0),
                ((2018, 10, 17), 116.0),
                ((2019, 1, 31), 31.0),
                ((2019, 5, 31), 52.0),
                ((2019, 9, 30), 105.0),
                ((2019, 10, 31), 112.0),
                ((2019, 12, 20), 40.0),
                ((2020, 1, 17), 14.0),
                ((2020, 7, 31), 9.0),
                ((2020, 9, 30), 8.0),
            ]),
            in_grace_front_door: Curve::through(&[
                ((2018, 1, 1), 42.0),
                ((2018, 10, 17), 36.0),
                ((2019, 1, 31), 18.0),
                ((2019, 5, 31), 23.0),
                ((2019, 10, 16), 34.0),
                ((2020, 1, 17), 28.0),
                ((2020, 7, 31), 20.0),
            ]),
            in_grace_elsewhere: Curve::through(&[
                ((2018, 1, 1), 14.0),
                ((2019, 1, 31), 7.0),
                ((2019, 10, 16), 12.0),
                ((2020, 1, 17), 10.0),
                ((2020, 7, 31), 8.0),
            ]),
            mean_wait: Curve::through(&[
                ((2018, 1, 1), 48.0),
                ((2018, 10, 17), 38.0),
                ((2019, 1, 31), 22.0),
                ((2019, 4, 30), 16.5),
                ((2019, 5, 31), 16.5),
                ((2019, 10, 31), 21.0),
                ((2020, 1, 17), 6.0),
            ]),
            longest_wait: Curve::through(&[
                ((2018, 1, 1), 170.0),
                ((2018, 9, 30), 118.0),
                ((2018, 10, 31), 116.0),
                ((2019, 1, 15), 66.0),
                ((2019, 5, 31), 60.0),
                ((2019, 10, 31), 60.0),
                ((2020, 1, 17), 14.0),
            ]),
            none_past_grace: vec![(Day::of(2020, 1, 27), Day::of(2020, 8, 2))],
            pinned: vec![
                PinnedWait {
                    from: Day::of(2018, 6, 18),
                    until: Day::of(2018, 10, 22),
                    in_transfer: true,
                },
                PinnedWait {
                    from: Day::of(2019, 3, 17),
                    until: Day::of(2019, 6, 4),
                    in_transfer: false,
                },
            ],
            held_by_others: Curve::level(790.0),
            nominal: Curve::through(&[((2018, 1, 1), 18.0), ((2018, 12, 31), 9.0), ((2020, 1, 31), 5.0)]),
            front_door_fte: Curve::through(&[
                ((2018, 1, 1), 190.0),
                ((2018, 11, 1), 195.0),
                ((2019, 6, 1), 300.0),
                ((2020, 9, 30), 420.0),
            ]),
            assessment_days: Curve::level(30.0),
            closed_unheld: Curve::through(&[((2018, 1, 1), 0.08), ((2019, 1, 31), 0.04), ((2020, 1, 31), 0.0)]),
            referral_years: vec![
                ReferralYear {
                    from: 2016,
                    referrals: 15_709.0,
                    no_further_action: 0.472,
                    re_referral: 0.356,
                    assessed: 0.42,
                },
                ReferralYear {
                    from: 2017,
                    referrals: 11_216.0,
                    no_further_action: 0.512,
                    re_referral: 0.302,
                    assessed: 0.43,
                },
                ReferralYear {
                    from: 2018,
                    referrals: 11_266.0,
                    no_further_action: 0.478,
                    re_referral: 0.299,
                    assessed: 0.44,
                },
                ReferralYear {
                    from: 2019,
                    referrals: 13_504.0,
                    no_further_action: 0.349,
                    re_referral: 0.328,
                    assessed: 0.48,
                },
                ReferralYear {
                    from: 2020,
                    referrals: 12_600.0,
                    no_further_action: 0.33,
                    re_referral: 0.32,
                    assessed: 0.48,
                },
            ],
            workforce_years: vec![
                WorkforceYear {
                    year: 2017,
                    in_post: 2376,
                    agency: 1647,
                    vacancy: 2660,
                    leavers: 425,
                    case_holders: 2414,
                    sick_days: 1039.0,
                },
                WorkforceYear {
                    year: 2018,
                    in_post: 3071,
                    agency: 1060,
                    vacancy: 1120,
                    leavers: 512,
                    case_holders: 1980,
                    sick_days: 1455.2,
                },
                WorkforceYear {
                    year: 2019,
                    in_post: 3160,
                    agency: 1425,
                    vacancy: 1249,
                    leavers: 619,
                    case_holders: 2206,
                    sick_days: 1490.0,
                },
                WorkforceYear {
                    year: 2020,
                    in_post: 3256,
                    agency: 1253,
                    vacancy: 1649,
                    leavers: 444,
                    case_holders: 2466,
                    sick_days: 1029.0,
                },
            ],
        }
    }

    /// An authority in a steady state, `scale` times Northamptonshire, that runs as long as the calendar does.
    pub fn steady(index: usize, scale: f64) -> Self {
        let model = Self::northamptonshire();
        let year = |year: i32| WorkforceYear {
            year,
            in_post: (3150.0 * scale) as u32,
            agency: (1250.0 * scale) as u32,
            vacancy: (1250.0 * scale) as u32,
            leavers: (500.0 * scale) as u32,
            case_holders: (2250.0 * scale) as u32,
            sick_days: 1400.0 * scale,
        };
        let steady_year = ReferralYear {
            from: 2016,
            referrals: 12_000.0 * scale,
            no_further_action: 0.35,
            re_referral: 0.25,
            assessed: 0.45,
        };
        Self {
            authority: format!("E{:08}", 6_000_900 + index),
            prefix: format!("A{index:03}"),
            last_day: Day::of(2030, 9, 29),
            scale,
            open: Curve::level(5100.0).times(scale),
            no_holder_front_door: Curve::level(60.0).times(scale),
            no_holder_elsewhere: Curve::level(30.0).times(scale),
            in_grace_front_door: Curve::level(26.0).times(scale),
            in_grace_elsewhere: Curve::level(8.0).times(scale),
            mean_wait: Curve::level(12.0),
            longest_wait: Curve::level(45.0),
            none_past_grace: vec![],
            pinned: vec![],
            held_by_others: model.held_by_others.times(scale),
            nominal: Curve::level(8.0).times(scale),
            front_door_fte: Curve::level(330.0).times(scale),
            assessment_days: Curve::level(30.0),
            closed_unheld: Curve::level(0.01),
            referral_years: vec![steady_year],
            workforce_years: (2017..=2030).map(year).collect(),
            ..model
        }
    }

    /// The year from 1 April that a day falls in.
    pub fn referral_year(&self, day: Day) -> ReferralYear {
        let position = self
            .referral_years
            .partition_point(|year| Day::of(year.from, 4, 1) <= day);
        self.referral_years[position.saturating_sub(1)]
    }

    /// May nobody wait past the grace period at the end of this day?
    pub fn forbids_past_grace(&self, day: Day) -> bool {
        self.none_past_grace
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_exact_at_its_points_and_straight_between() {
        let curve = Curve::through(&[((2018, 1, 1), 10.0), ((2018, 1, 11), 20.0)]);
        assert_eq!(curve.on(Day::of(2017, 6, 1)), 10.0);
        assert_eq!(curve.on(Day::of(2018, 1, 1)), 10.0);
        assert_eq!(curve.on(Day::of(2018, 1, 6)), 15.0);
        assert_eq!(curve.on(Day::of(2018, 1, 11)), 20.0);
        assert_eq!(curve.on(Day::of(2019, 1, 1)), 20.0);
    }

    #[test]
    fn published_counts_are_points_of_the_curves() {
        let profile = Profile::northamptonshire();
        let total = |day| profile.no_holder_front_door.count(day) + profile.no_holder_elsewhere.count(day);
        assert_eq!(total(Day::of(2018, 1, 31)), 551);
        assert_eq!(total(Day::of(2018, 10, 17)), 383);
        assert_eq!(profile.no_holder_front_door.count(Day::of(2018, 10, 17)), 267);
        assert_eq!(total(Day::of(2019, 1, 31)), 81);
        assert_eq!(total(Day::of(2019, 5, 31)), 152);
    }
}
