//! The state of one suspicion over many looks: since when, how long, and why no longer.
//!
//! One look may be wrong, and the next may differ. A suspicion begins when two of the last six looks agree, and ends only when growth
//! has not been seen for minutes, or most of what grew was freed. So nobody gets two answers within a minute. It has no clock and
//! keeps no file (the server does). Called by the server's `suspects`.

use std::time::{Duration, SystemTime};

use crate::verdict::{Judgement, Verdict};

/// Looks that are remembered, and how many of them have to agree.
const LOOKS: u8 = 0b11_1111;
const AGREE: u32 = 2;
/// A suspicion ends when growth is known to have slowed down for this long, or was merely not seen for this long.
const SLOWED: Duration = Duration::from_secs(60);
const UNSEEN: Duration = Duration::from_secs(300);
/// It ends at once when no more than this part is left of the bytes that were live when growth was last seen.
const FREED: f64 = 0.5;

/// A suspicion of one leak.
#[derive(Clone, Debug, Default)]
pub struct Suspicion {
    /// One bit for each of the last looks, the newest lowest: growth was seen.
    looks: u8,
    seen: Option<SeenGrowth>,
    state: SuspicionState,
}

/// Whether something is suspected.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum SuspicionState {
    /// It was never suspected.
    #[default]
    Unsuspected,
    /// It is suspected since then.
    Suspected(SystemTime),
    /// It was suspected, until it was cleared for a reason.
    Cleared {
        /// The time at which it was first suspected.
        since: SystemTime,
        /// The time at which it was cleared.
        at: SystemTime,
        /// The reason.
        why: String,
    },
}

/// The last growth that was seen.
#[derive(Clone, PartialEq, Debug)]
pub struct SeenGrowth {
    /// When it was seen.
    pub at: SystemTime,
    /// The judgement then.
    pub judgement: Judgement,
    /// Bytes that were live then.
    pub bytes: f64,
}

impl Suspicion {
    /// A suspicion that a server had before it was restarted.
    pub fn restored(since: SystemTime, seen: SeenGrowth) -> Suspicion {
        Suspicion { looks: 0, seen: Some(seen), state: SuspicionState::Suspected(since) }
    }

    /// Takes one look into account. `bytes` are live now.
    pub fn look(&mut self, at: SystemTime, judgement: &Judgement, bytes: f64) {
        let grows = judgement.verdict == Verdict::Growing;
        self.looks = (self.looks << 1 | u8::from(grows)) & LOOKS;
        if grows {
            self.seen = Some(SeenGrowth { at, judgement: judgement.clone(), bytes });
            if !self.is_suspected() && self.looks.count_ones() >= AGREE {
                self.state = SuspicionState::Suspected(at);
            }
        } else if let Some(why) = self.seen.as_ref().and_then(|seen| cleared(seen, at, judgement, bytes)) {
            self.clear(at, why);
        }
    }

    /// Takes a look into account that had nothing to judge, because the callsites of the leak do not meet any more.
    pub fn miss(&mut self, at: SystemTime) {
        self.looks = self.looks << 1 & LOOKS;
        if self.seen.as_ref().is_some_and(|seen| at.duration_since(seen.at).is_ok_and(|unseen| unseen >= UNSEEN)) {
            self.clear(at, "its callsites do not grow together any more".to_owned());
        }
    }

    fn clear(&mut self, at: SystemTime, why: String) {
        if let SuspicionState::Suspected(since) = self.state {
            self.state = SuspicionState::Cleared { since, at, why };
            self.looks = 0;
        }
    }

    /// The state.
    pub fn state(&self) -> &SuspicionState {
        &self.state
    }

    /// The last growth that was seen, if any.
    pub fn seen(&self) -> Option<&SeenGrowth> {
        self.seen.as_ref()
    }

    /// Whether it is suspected now.
    pub fn is_suspected(&self) -> bool {
        matches!(self.state, SuspicionState::Suspected(_))
    }

    /// The judgement that holds now, where one look alone says `judgement`.
    pub fn revise(&self, judgement: Judgement, now: SystemTime) -> Judgement {
        match (&self.seen, self.is_suspected(), judgement.verdict == Verdict::Growing) {
            (Some(seen), true, false) => {
                let ago = now.duration_since(seen.at).unwrap_or_default().as_secs();
                let why = format!("{}; last seen {ago} s ago", seen.judgement.why);
                Judgement { why, oldest_age: judgement.oldest_age, ..seen.judgement.clone() }
            }
            (_, false, true) => {
                let why = format!("seen once, and a suspect if it is seen again within a minute: {}", judgement.why);
                Judgement { verdict: Verdict::Watching, is_suspect: false, why, ..judgement }
            }
            _ => judgement,
        }
    }
}

/// The reason to clear a suspicion, if there is one.
fn cleared(seen: &SeenGrowth, at: SystemTime, judgement: &Judgement, bytes: f64) -> Option<String> {
    if bytes <= FREED * seen.bytes {
        return Some("most of what was live has been freed".to_owned());
    }
    let unseen = at.duration_since(seen.at).unwrap_or_default();
    let has_slowed = matches!(judgement.verdict, Verdict::Saturating | Verdict::Shrinking);
    (unseen >= if has_slowed { SLOWED } else { UNSEEN }).then(|| judgement.why.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rate;

    fn judgement(verdict: Verdict) -> Judgement {
        Judgement {
            verdict,
            why: verdict.name().to_owned(),
            growth: Rate::default(),
            growth_count: Rate::default(),
            oldest_age: None,
            rank_key: 1.0,
            is_suspect: verdict == Verdict::Growing,
        }
    }

    /// The states after looks that are ten seconds apart.
    fn after(looks: &[(Verdict, f64)]) -> Suspicion {
        let mut suspicion = Suspicion::default();
        for (number, (verdict, bytes)) in looks.iter().enumerate() {
            suspicion.look(at(number as u64), &judgement(*verdict), *bytes);
        }
        suspicion
    }

    fn at(number: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(10 * number)
    }

    #[test]
    fn one_look_is_not_enough_and_two_within_a_minute_are() {
        use Verdict::{Growing, Steady};
        let once = after(&[(Steady, 1.0), (Growing, 1.0)]);
        assert!(!once.is_suspected());
        let revised = once.revise(judgement(Growing), at(1));
        assert!(!revised.is_suspect && revised.verdict == Verdict::Watching);
        assert!(after(&[(Growing, 1.0), (Steady, 1.0), (Steady, 1.0), (Growing, 1.0)]).is_suspected());
        let mut far = vec![(Growing, 1.0)];
        far.extend([(Steady, 1.0); 6]);
        far.push((Growing, 1.0));
        assert!(!after(&far).is_suspected());
    }

    #[test]
    fn it_holds_until_growth_is_unseen_for_minutes() {
        use Verdict::{Growing, Saturating, Steady};
        let mut looks = vec![(Growing, 1.0); 2];
        looks.extend([(Steady, 1.0); 29]);
        let held = after(&looks);
        assert!(held.is_suspected());
        let said = held.revise(judgement(Steady), at(30));
        assert!(said.is_suspect && said.why.ends_with("last seen 290 s ago"), "{said:?}");
        looks.push((Steady, 1.0));
        let expected = SuspicionState::Cleared { since: at(1), at: at(31), why: "steady".to_owned() };
        assert_eq!(*after(&looks).state(), expected);
        let mut slows = vec![(Growing, 1.0); 2];
        slows.extend([(Saturating, 1.0); 5]);
        assert!(after(&slows).is_suspected());
        slows.push((Saturating, 1.0));
        assert!(!after(&slows).is_suspected());
    }

    #[test]
    fn a_leak_that_is_not_judged_any_more_is_cleared_after_minutes() {
        let mut suspicion = after(&[(Verdict::Growing, 1.0); 2]);
        for number in 2..31 {
            suspicion.miss(at(number));
            assert!(suspicion.is_suspected(), "{number}");
        }
        suspicion.miss(at(31));
        assert!(matches!(suspicion.state(), SuspicionState::Cleared { at: cleared, .. } if *cleared == at(31)));
        let mut never = after(&[(Verdict::Growing, 1.0)]);
        never.miss(at(99));
        assert_eq!(*never.state(), SuspicionState::Unsuspected);
    }

    #[test]
    fn what_is_freed_is_cleared_at_once_and_may_be_suspected_again() {
        use Verdict::{Growing, Steady};
        let looks = [(Growing, 9.0), (Growing, 10.0), (Steady, 4.0)];
        assert!(matches!(after(&looks).state(), SuspicionState::Cleared { .. }));
        let again = [looks.as_slice(), &[(Growing, 5.0), (Growing, 6.0)]].concat();
        assert_eq!(*after(&again).state(), SuspicionState::Suspected(at(4)));
    }
}
