//! How processes share a server's connections while they run, each by what all of them publish.
//!
//! A [`Member`] publishes what it may open and what it wants ([`Published`]), and looks at everybody's about once a second
//! ([`View`]). It grows only by what it has published and then seen to fit, opens only while its publication stands, and
//! publishes less only when the server holds no more of its sessions. So the sum of all sessions stays within the room,
//! however late anybody is.
//!
//! The order to call things: [`Member::look`] with what was read. When what it answers holds more than
//! [`Member::held`], publish it, read once more, and publish what [`Member::settle`] answers; else publish it when it differs
//! from [`Member::published`]. Then [`Member::confirm`] what is published, and let the pool have [`Member::ceiling`]; before
//! each opening ask [`Member::may_open`]. When it is unknown whether a publication stands, [`Member::lost`].
//!
//! Four times make it safe, in the clock of whoever waits: an answer older than *fresh* is not believed; an opening
//! reaches the server within *way*; two looks are at least *fresh* + *way* apart; and whoever is new grows no sooner after it
//! has first published than the longest time between two looks that count as recent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

mod level;

use level::Part;

/// What a member says of itself to all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// It opens no more than so many connections.
    pub holds: u32,
    /// It could use so many now.
    pub wants: u32,
    /// It is left so many, whatever others want.
    pub floor: u32,
    /// It never opens more.
    pub most: u32,
}

/// What a look shows of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// What it has published; of several the largest, since an old one may outlive its session.
    pub published: Option<Published>,
    /// Its sessions that the server really has.
    pub sessions: u32,
}

/// What a look shows: whoever looked is among the members when it has published or has sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// What all members together may open.
    pub room: u32,
    /// By a number that no two members share.
    pub members: BTreeMap<u64, Sighting>,
}

/// What is remembered of another member.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// What it may open or has open.
    charge: u32,
    published: Option<Published>,
    /// For how many looks it has kept what others lack.
    still: u8,
}

/// One of those who share.
#[derive(Clone, Debug)]
pub struct Member {
    me: u64,
    floor: u32,
    most: u32,
    /// What stands published.
    published: Option<Published>,
    /// How far it uses that: less while it shrinks.
    ceiling: u32,
    /// What stood published until it was lost.
    before: u32,
    somebody_went: bool,
    needs: VecDeque<u32>,
    others: BTreeMap<u64, Seen>,
}

impl Member {
    /// A need counts for so many looks.
    const MEMORY: usize = 8;
    /// Whoever keeps for so many looks what others lack is stopped, or cannot give it: it is taken as it is for a while,
    /// unless it publishes something else.
    const PATIENCE: u8 = 3;
    /// After so many looks it is asked again: two that take each other as they are would stay so.
    const FORGIVEN: u8 = 10;

    /// One that has published nothing yet. `me` must be no other member's number.
    #[must_use]
    pub fn new(me: u64, floor: u32, most: u32) -> Self {
        Self {
            me,
            floor: floor.min(most),
            most,
            published: None,
            ceiling: 0,
            before: 0,
            somebody_went: false,
            needs: VecDeque::new(),
            others: BTreeMap::new(),
        }
    }

    /// What stands published.
    #[must_use]
    pub const fn published(&self) -> Option<Published> {
        self.published
    }

    /// What others count for this member at least.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.published.map_or(0, |published| published.holds)
    }

    /// How many connections it may have now; those above are closed.
    #[must_use]
    pub const fn ceiling(&self) -> u32 {
        self.ceiling
    }

    /// Whether one more may be opened. `sessions` are those that the server has of this member, in an answer to a question that
    /// was asked over the session that publishes, a moment ago: so the publication stands, and what was closed is gone. `under
    /// way` are openings of which it is not known whether the server has them.
    #[must_use]
    pub fn may_open(&self, sessions: u32, under_way: u32) -> bool {
        sessions.saturating_add(under_way) < self.held()
    }

    /// Somebody's publication was gone at the last look: what that leaves is known at the next, which may come sooner.
    #[must_use]
    pub const fn is_looking_again(&self) -> bool {
        self.somebody_went
    }

    /// From now on it is of use up to `most`, and left `floor`.
    pub fn set_bounds(&mut self, floor: u32, most: u32) {
        (self.floor, self.most) = (floor.min(most), most);
        self.ceiling = self.ceiling.min(most);
    }

    /// It is unknown what stands published: nothing may be opened, and what is open stays. Unless that is `long` ago, as much is
    /// asked for again at once: all fitted together, and whoever has come since is seen.
    pub fn lost(&mut self, long: bool) {
        self.before = if long { 0 } else { self.before.max(self.held()) };
        self.published = None;
    }

    /// Takes in what was read, and says what to publish. `need` is how many connections there is use for, `open` how many
    /// there are, in the member's own books. Unless the look before was `recent`, somebody may have come and opened
    /// connections whose publication is gone again: nothing is asked for then.
    pub fn look(&mut self, view: &View, need: u32, open: u32, recent: bool) -> Published {
        self.remember(view);
        self.needs.push_back(need);
        if self.needs.len() > Self::MEMORY {
            self.needs.pop_front();
        }
        let wants = self.wants();
        let mine = self.own(view, open);
        let slack = i64::from(view.room) - self.charges() - i64::from(mine);
        let fair = self.fair(view.room, wants, mine);
        self.note_who_is_still(&fair, slack);
        if self.published.is_some() && mine > fair.mine && (slack < fair.lacking || mine > self.most) {
            self.ceiling = fair.mine.min(self.ceiling);
            return self.said(fair.mine.max(self.real(view, open)), wants);
        }
        // What is published may be used again, also when less was enough a moment ago.
        self.ceiling = self.published.map_or(self.ceiling, |published| published.holds);
        let grown = match self.published {
            None => self.before,
            Some(_) if recent => fair.grown,
            Some(_) => 0,
        };
        self.said(grown.max(self.held()).max(self.real(view, open)), wants)
    }

    /// Reads once more, after `asked` was published; says how much of it may be kept.
    #[must_use]
    pub fn settle(&self, view: &View, asked: Published, open: u32) -> Published {
        let gone =
            self.others.iter().filter(|(id, _)| !view.members.contains_key(id)).map(|(_, seen)| self.without(seen));
        let there = view.members.iter().filter(|(id, _)| **id != self.me);
        let there = there.map(|(id, now)| match self.others.get(id) {
            Some(seen) if now.published.is_none() => self.without(seen).max(now.sessions),
            _ => charge(*now),
        });
        let others: i64 = gone.chain(there).map(i64::from).sum();
        let fits = u32::try_from(i64::from(view.room) - others).unwrap_or(0);
        let least = self.held().max(self.real(view, open));
        Published { holds: asked.holds.min(fits.max(least)), ..asked }
    }

    /// This stands published now, and what it holds was seen to fit.
    pub fn confirm(&mut self, published: Published) {
        let grown = published.holds > self.held();
        self.published = Some(published);
        self.ceiling = if grown { published.holds } else { self.ceiling.min(published.holds) };
    }

    fn said(&self, holds: u32, wants: u32) -> Published {
        Published { holds, wants, floor: self.floor, most: self.most }
    }

    /// Sessions that count whatever is published: those that the server has, and those that are on their way.
    fn real(&self, view: &View, open: u32) -> u32 {
        view.members.get(&self.me).map_or(0, |seen| seen.sessions).max(open)
    }

    fn own(&self, view: &View, open: u32) -> u32 {
        let older = view.members.get(&self.me).and_then(|seen| seen.published).map_or(0, |published| published.holds);
        self.real(view, open).max(self.held()).max(older)
    }

    /// The largest need of late. What was published stays while it is about right: publishing costs a statement.
    fn wants(&self) -> u32 {
        let need = self.needs.iter().copied().max().unwrap_or(0).clamp(self.floor, self.most);
        let before = self.published.map_or(0, |published| published.wants).clamp(self.floor, self.most);
        if need <= before && need.saturating_add(1 + before / 4) > before { before } else { need }
    }

    /// Whose publication is gone may have grown since, and have openings under way: it is counted for one look with all that it
    /// may ever have, and from the next one on by what is open.
    fn remember(&mut self, view: &View) {
        let before = std::mem::take(&mut self.others);
        let is_there = |id| view.members.get(id).is_some_and(|now| now.published.is_some());
        self.somebody_went = before.iter().any(|(id, old)| old.published.is_some() && !is_there(id));
        for (id, now) in view.members.iter().filter(|(id, _)| **id != self.me) {
            let mut seen = Seen { charge: charge(*now), published: now.published, still: 0 };
            if let Some(old) = before.get(id) {
                seen.still = if old.published == now.published { old.still } else { 0 };
                if now.published.is_none() {
                    seen.charge = seen.charge.max(self.without(old));
                }
            }
            self.others.insert(*id, seen);
        }
        for (id, old) in before.into_iter().filter(|(id, _)| !view.members.contains_key(id)) {
            if old.published.is_some() {
                self.others.insert(id, Seen { charge: self.without(&old), published: None, still: 0 });
            }
        }
    }

    /// What to count for one whose publication is gone since it was seen. Whoever has lost its own asks for what it had, beside
    /// what all others had: a restart of the server takes everybody's.
    fn without(&self, seen: &Seen) -> u32 {
        match seen.published {
            None => 0,
            Some(_) if self.published.is_none() => seen.charge,
            Some(published) => published.most.max(seen.charge),
        }
    }

    fn charges(&self) -> i64 {
        self.others.values().map(|seen| i64::from(seen.charge)).sum()
    }

    /// What each should have: first what all want, from the least on; then what is left, likewise.
    fn fair(&self, mut room: u32, wants: u32, mine: u32) -> Fair {
        // In the same order for all, or what cannot be divided would be everybody's, or nobody's.
        let mut parts = BTreeMap::from([(self.me, Part { has: mine, floor: self.floor, wants, most: self.most })]);
        for (id, seen) in &self.others {
            match seen.published {
                Some(said) if seen.still < Self::PATIENCE => {
                    let Published { floor, wants, most, .. } = said;
                    parts.insert(*id, Part { has: seen.charge, floor, wants, most });
                }
                _ => room = room.saturating_sub(seen.charge),
            }
        }
        let ids: Vec<u64> = parts.keys().copied().collect();
        let me = parts.range(..self.me).count();
        let parts: Vec<Part> = parts.into_values().collect();
        let wanted = level::wanted(room, &parts);
        let all = level::all(room, &parts, &wanted);
        let lacks = |at: usize| i64::from(wanted[at].saturating_sub(parts[at].has));
        let lacking: i64 = (0..parts.len()).filter(|at| *at != me).map(lacks).sum();
        let slack = i64::from(room) - parts.iter().map(|part| i64::from(part.has)).sum::<i64>();
        let rest = u32::try_from(slack - lacking - lacks(me)).unwrap_or(0);
        let grown = level::of_slack(room, &parts, &wanted)[me];
        let grown = if rest > 0 { all[me].min(wanted[me].max(mine).saturating_add(rest)).max(grown) } else { grown };
        let over = (0..parts.len()).filter(|at| parts[*at].has > all[*at]).map(|at| ids[at]).collect();
        Fair { mine: all[me], grown, lacking, over }
    }

    fn note_who_is_still(&mut self, fair: &Fair, slack: i64) {
        for (id, seen) in &mut self.others {
            let keeps = slack < fair.lacking && fair.over.contains(id);
            seen.still = match seen.still {
                Self::FORGIVEN => 0,
                still if still >= Self::PATIENCE => still + 1,
                still if keeps => still + 1,
                _ => 0,
            };
        }
    }
}

/// What a look comes to.
#[derive(Debug)]
struct Fair {
    /// What this member should have in the end.
    mine: u32,
    /// What it may have at once.
    grown: u32,
    /// What others should have and lack.
    lacking: i64,
    /// Who has more than it should in the end.
    over: BTreeSet<u64>,
}

/// What a member may open or has open.
fn charge(seen: Sighting) -> u32 {
    seen.published.map_or(0, |published| published.holds).max(seen.sessions)
}
