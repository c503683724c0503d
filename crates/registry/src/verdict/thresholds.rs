//! The demands of each test in `window`. docs/explanation/leaks.md says where the numbers come from, docs/decisions/0011-verdicts.md what
//! others cost; `tests::rates` measures a change of them.

/// Standard errors by which growth has to exceed chance: 4.5 is for 5,000 callsites looked at a hundred times.
pub(super) const WHOLE: f64 = 4.5;
/// The same of the last third alone.
pub(super) const LAST_THIRD: f64 = 2.5;

/// If objects are freed too, some may only not have reached their age yet. Growth then takes more evidence, a longer life, and
/// a share of what lives, since a few objects that live for very long make the number rise a little for very long.
pub(super) const WHOLE_OF_CHURN: f64 = 5.0;
pub(super) const SHARE_OF_CHURN: f64 = 0.15;
pub(super) const CHURN_SECONDS: f64 = 150.0;

/// Pieces of a stretch of which the least number of live objects is compared, and Mann and Kendall's statistic of them: of
/// objects, and of bytes, whose chance is only known from the series itself.
pub(super) const PIECES: usize = 9;
pub(super) const FLOORS: f64 = 3.0;
pub(super) const FLOORS_OF_BYTES: f64 = 3.3;

/// Growth in the last third, as a part of the mean of those before.
pub(super) const CONTINUES: f64 = 0.75;
/// The very end of the stretch, what part of the mean growth has to be seen there, and how many errors it may lack.
pub(super) const LAST_PIECE: f64 = 0.12;
pub(super) const LAST_PIECE_SHARE: f64 = 0.6;
pub(super) const LAST_PIECE_ERRORS: f64 = 0.5;

/// Changes are squared over so many snapshots, so that those that turn back do not count; their mean, of so few, may be too
/// small by a factor.
pub(super) const LAG: usize = 3;
pub(super) const WALK: f64 = 1.5;

/// A callsite is young in a stretch that begins before it is older than this part of the stretch.
pub(super) const YOUNG: f64 = 0.5;
/// A set that fills at random and empties at random rises in the last third by this part of the mean before, when it is still
/// a sixth below its level; and the errors by which growth has to exceed that.
pub(super) const FILLING: f64 = 0.45;
pub(super) const FILLING_ERRORS: f64 = 1.5;

/// The factor above the present level at which a steady state would have to lie if hardly anything is freed.
pub(super) const PLATEAU: f64 = 3.0;
/// The part of the growth that has to come from objects that stay longer rather than from more of them, beyond so many errors.
pub(super) const BY_RESIDENCE: f64 = 0.5;
pub(super) const RESIDENCE_ERRORS: f64 = 2.0;

/// All allocations of the process that rise by this power of the live objects, and by so many errors, explain them in
/// stretches no longer than this.
pub(super) const BY_LOAD: f64 = 0.36;
pub(super) const LOAD_ERRORS: f64 = 2.0;
pub(super) const LOAD_SECONDS: f64 = 21_600.0;

/// The least growth that is worth a verdict: 1.4 MiB a day.
pub(super) const LEAST_BYTES_PER_MINUTE: f64 = 1024.0;

/// Objects that get larger: so many bytes more, which are this share of what lives, and this power of it by size.
pub(super) const LEAST_BYTES: f64 = 65_536.0;
pub(super) const LEAST_SHARE: f64 = 0.2;
pub(super) const BY_SIZE: f64 = 0.7;

/// Pieces of a stretch from which its course is found.
pub(super) const COURSE_PIECES: usize = 8;
/// Errors by which a stretch has to slow down to be said to; and the decay below which it does not matter: growth at the end of
/// the stretch is then three quarters of that at its beginning.
pub(super) const SLOWS_ERRORS: f64 = 2.5;
pub(super) const SLOWS_LEAST: f64 = 0.3;
/// The decay that a stretch must not have, and the errors by which: of young histories, and of old ones.
pub(super) const EVEN_DECAY: f64 = 0.8;
pub(super) const EVEN_ERRORS_YOUNG: f64 = 2.6;
pub(super) const EVEN_ERRORS_OLD: f64 = 1.5;
pub(super) const EVEN_ERRORS_CHURN: f64 = 0.7;
pub(super) const CHURN_FREED: f64 = 2.0;
pub(super) const EVEN_YOUNG_SECONDS: f64 = 150.0;
pub(super) const EVEN_OLD_SECONDS: f64 = 700.0;
/// A course that is even as far as is known will be known to be even with somewhat more than the samples that are missing.
pub(super) const MISSING_MARGIN: f64 = 1.25;
/// No course has a larger decay.
pub(super) const MOST_DECAY: f64 = 30.0;
/// A load at the beginning is left out if it rises so many times as fast as what follows, and ends within this part.
pub(super) const LOADS_FASTER: f64 = 3.0;
pub(super) const LOADS_WITHIN: [f64; 4] = [0.04, 0.1, 0.2, 0.33];
/// Growth begins when this part of it has come.
pub(super) const BEGINS: f64 = 0.1;

/// A height counts as lost once so much of it is left, beyond so many errors. It must be exceeded by this factor, and by so many
/// errors, to be news.
pub(super) const LOST: f64 = 0.5;
pub(super) const LOST_ERRORS: f64 = 4.0;
pub(super) const ABOVE: f64 = 1.25;
pub(super) const ABOVE_ERRORS: f64 = 3.0;

/// A callsite that frees more than this part of what it takes is not thin.
pub(super) const THIN_FREED: f64 = 0.5;
/// Changes from snapshot to snapshot say how much chance there is where this many times as much is freed as grows.
pub(super) const WALK_FREED: f64 = 1.0;
