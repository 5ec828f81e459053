//! A server with few connections and many members on it, in virtual time: what they send may be late or lost, and they are
//! stopped, cut off, killed and started as they go.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use forebay_pool_core::share::{Member, Published, Sighting, View};

use crate::cases::Draw;

mod process;

/// Milliseconds.
pub(super) type Time = u64;

/// Between what was read and the next look.
const LOOK_EVERY: Time = 1_000;
/// The same when somebody's publication is gone, or this one's is new.
const LOOK_AGAIN: Time = 950;
/// Two looks are recent when there was no more time between what was asked first and what was answered last.
const RECENT: Time = 1_800;
/// Whoever has not looked for so long begins anew.
const LONG: Time = 10_000;
/// A confirmation that took longer is not believed.
const FRESH: Time = 500;
/// The longest way of an opening to the server.
const WAY: Time = 400;
/// A statement without an answer for so long has lost its session.
const PATIENCE: Time = 3_000;

/// A rule that is not kept, to show that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    GrowsUnpublished,
    GrowsWithoutASecondLook,
    PublishesLessBeforeItCloses,
    OpensUnconfirmed,
    ForgetsWhatItJustClosed,
    BelievesLateConfirmations,
    ForgetsAtOnceWhoIsGone,
}

#[derive(Clone, Copy, Debug)]
enum Sent {
    Look { at: Time },
    Ask { published: Published },
    Tell { published: Published },
    Confirm { at: Time },
}

#[derive(Clone, Debug)]
enum Said {
    Viewed {
        view: View,
        at: Time,
    },
    Asked {
        view: View,
        published: Published,
    },
    Told {
        published: Published,
    },
    Confirmed {
        sessions: u32,
        at: Time,
    },
    /// The session that it was sent over is gone.
    Broken,
}

#[derive(Clone, Debug)]
enum Event {
    Wake {
        who: usize,
    },
    Arrives {
        who: usize,
        session: u64,
        sent: Sent,
    },
    Answered {
        who: usize,
        session: u64,
        said: Said,
    },
    Opens {
        who: usize,
    },
    /// The server is done with one of its connections; the member hears of it when `told`.
    Ends {
        who: usize,
        told: bool,
    },
    ClaimEnds {
        session: u64,
    },
    Up,
}

#[derive(Debug)]
struct Process {
    member: Member,
    alive: bool,
    /// Nothing is done before then; what comes waits.
    stopped: Time,
    /// Nothing arrives before then.
    cut: Time,
    need: u32,
    /// Connections in its own books, with those under way.
    open: u32,
    /// Of these, on their way to the server.
    under_way: u32,
    session: Option<u64>,
    asked: Option<Time>,
    /// When the last look that was answered was sent, and the one before.
    looked: [Option<Time>; 2],
    /// When it was told that it is seen by others, for the first time.
    since: Option<Time>,
    /// Since when it asks whether it may open one.
    confirms: Option<Time>,
    next_look: Time,
    /// A second of its clock, in a thousandth of a second's.
    pace: u64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Time,
    draw: Draw,
    broken: Broken,
    pub(super) room: u32,
    up: bool,
    /// Nothing is lost or late any more.
    pub(super) quiet: bool,
    events: BinaryHeap<(std::cmp::Reverse<(Time, u64)>, usize)>,
    pending: BTreeMap<usize, Event>,
    count: u64,
    claims: BTreeMap<u64, (usize, Published)>,
    ended: BTreeSet<u64>,
    sessions: Vec<u32>,
    total: u32,
    processes: Vec<Process>,
    pub(super) most_open: u32,
    /// What was opened though there was no room.
    pub(super) refused: u32,
}

impl Process {
    /// Nobody can have come, grown, and lost its publication unseen. Whoever has just come waits until that is so for others.
    fn has_looked_lately(&self, now: Time) -> bool {
        let time = RECENT * self.pace / 1_000;
        let known = self.since.is_some_and(|since| now >= since + time);
        known && self.looked[1].is_some_and(|before| now <= before + time * 95 / 100)
    }
}

impl World {
    pub(super) fn new(seed: u64, room: u32, broken: Broken) -> Self {
        Self {
            now: 0,
            draw: Draw(seed),
            broken,
            room,
            up: true,
            quiet: false,
            events: BinaryHeap::new(),
            pending: BTreeMap::new(),
            count: 0,
            claims: BTreeMap::new(),
            ended: BTreeSet::new(),
            sessions: Vec::new(),
            total: 0,
            processes: Vec::new(),
            most_open: 0,
            refused: 0,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        u64::from(self.draw.small(0, u32::try_from(end).expect("small")))
    }

    fn later(&mut self, after: Time, event: Event) {
        self.count += 1;
        let key = usize::try_from(self.count).expect("fits");
        self.pending.insert(key, event);
        self.events.push((std::cmp::Reverse((self.now + after, self.count)), key));
    }

    pub(super) fn start(&mut self, floor: u32, most: u32, need: u32) {
        let who = self.processes.len();
        let member = Member::new(u64::try_from(who).expect("fits"), floor, most);
        let pace = 990 + self.below(21);
        self.processes.push(Process {
            member,
            alive: true,
            stopped: 0,
            cut: 0,
            need,
            open: 0,
            under_way: 0,
            session: None,
            asked: None,
            confirms: None,
            looked: [None; 2],
            since: None,
            next_look: self.now,
            pace,
        });
        self.sessions.push(0);
        self.later(0, Event::Wake { who });
    }

    /// Lets so much time pass.
    pub(super) fn run(&mut self, time: Time) {
        let end = self.now + time;
        while let Some((std::cmp::Reverse((at, _)), key)) = self.events.peek().copied() {
            if at > end {
                break;
            }
            self.events.pop();
            self.now = at;
            let event = self.pending.remove(&key).expect("each is there once");
            self.happen(event);
        }
        self.now = end;
    }

    pub(super) fn alive(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|who| self.processes[*who].alive).collect()
    }

    pub(super) fn need(&mut self, who: usize, need: u32) {
        self.processes[who].need = need;
    }

    pub(super) fn stop(&mut self, who: usize, time: Time) {
        self.processes[who].stopped = self.now + time;
    }

    /// The server finds out in its own time, of each session apart.
    pub(super) fn cut(&mut self, who: usize, time: Time) {
        self.processes[who].cut = self.now + time;
        if let Some(session) = self.processes[who].session {
            let after = 500 + self.below(3_000);
            if after < time {
                self.later(after, Event::ClaimEnds { session });
            }
        }
        for _ in 0..self.sessions[who] {
            let after = 500 + self.below(3_000);
            if after < time {
                self.later(after, Event::Ends { who, told: true });
            }
        }
    }

    pub(super) fn kill(&mut self, who: usize) {
        self.processes[who].alive = false;
        if let Some(session) = self.processes[who].session {
            let after = self.below(50);
            self.later(after, Event::ClaimEnds { session });
        }
        for _ in 0..self.sessions[who] {
            // Some are at work, and go on until they are done.
            let after = if self.below(5) == 0 { self.below(4_000) } else { self.below(50) };
            self.later(after, Event::Ends { who, told: false });
        }
    }

    pub(super) fn lose_claim(&mut self, who: usize) {
        if let Some(session) = self.processes[who].session {
            self.later(0, Event::ClaimEnds { session });
        }
    }

    pub(super) fn restart(&mut self) {
        self.up = false;
        self.claims.clear();
        self.ended.extend(self.processes.iter().filter_map(|process| process.session));
        for who in 0..self.sessions.len() {
            for _ in 0..std::mem::take(&mut self.sessions[who]) {
                self.heard_of_an_end(who);
            }
        }
        self.total = 0;
        let after = WAY + FRESH + self.below(1_500);
        self.later(after, Event::Up);
    }

    /// What each that lives has published.
    pub(super) fn published(&self) -> Vec<(usize, Published)> {
        self.alive().into_iter().filter_map(|who| Some((who, self.processes[who].member.published()?))).collect()
    }

    pub(super) fn open(&self, who: usize) -> u32 {
        self.sessions[who]
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Up => self.up = true,
            Event::ClaimEnds { session } => {
                self.ended.insert(session);
                self.claims.remove(&session);
            }
            Event::Ends { who, told } => {
                if self.sessions[who] > 0 {
                    self.sessions[who] -= 1;
                    self.total -= 1;
                    if told {
                        self.heard_of_an_end(who);
                    }
                }
            }
            Event::Opens { who } => self.opens(who),
            Event::Arrives { who, session, sent } => self.arrives(who, session, sent),
            Event::Wake { who } | Event::Answered { who, .. } if self.processes[who].stopped > self.now => {
                // It waits in the socket.
                let after = self.processes[who].stopped - self.now;
                self.later(after, event);
            }
            Event::Wake { who } => self.wake(who),
            Event::Answered { who, session, said } => {
                let process = &self.processes[who];
                if process.alive && process.cut <= self.now && process.session == Some(session) {
                    self.answered(who, said);
                }
            }
        }
    }

    /// In the member's books, when it notices: late enough to be counted too long rather than too short.
    fn heard_of_an_end(&mut self, who: usize) {
        self.processes[who].open = self.processes[who].open.saturating_sub(1);
    }

    fn opens(&mut self, who: usize) {
        self.processes[who].under_way -= 1;
        if !self.up || self.processes[who].cut > self.now {
            self.heard_of_an_end(who);
            return;
        }
        if self.total >= self.room {
            self.refused += 1;
            self.heard_of_an_end(who);
            return;
        }
        self.sessions[who] += 1;
        self.total += 1;
        self.most_open = self.most_open.max(self.total);
        if !self.processes[who].alive {
            let after = self.below(50);
            self.later(after, Event::Ends { who, told: false });
        }
    }

    fn send(&mut self, who: usize, sent: Sent) {
        let session = match self.processes[who].session {
            Some(session) => session,
            None => {
                self.count += 1;
                self.processes[who].session = Some(self.count);
                self.count
            }
        };
        if !matches!(sent, Sent::Confirm { .. }) {
            self.processes[who].asked = Some(self.now);
        }
        let after = self.way();
        self.later(after, Event::Arrives { who, session, sent });
    }

    /// Mostly at once, sometimes late.
    fn way(&mut self) -> Time {
        match self.below(50) {
            _ if self.quiet => 1 + self.below(3),
            0 => self.below(2_000),
            1..5 => self.below(300),
            _ => 1 + self.below(3),
        }
    }

    fn arrives(&mut self, who: usize, session: u64, sent: Sent) {
        let lost = self.processes[who].cut > self.now || !self.quiet && self.below(400) == 0;
        if lost {
            return;
        }
        let said = if !self.up || self.ended.contains(&session) {
            Said::Broken
        } else {
            match sent {
                Sent::Look { at } => Said::Viewed { view: self.view(), at },
                Sent::Confirm { at } => Said::Confirmed { sessions: self.sessions[who], at },
                Sent::Tell { published } => {
                    self.claims.insert(session, (who, published));
                    Said::Told { published }
                }
                Sent::Ask { published } => {
                    self.claims.insert(session, (who, published));
                    Said::Asked { view: self.view(), published }
                }
            }
        };
        // What the answer to a tell of one that has just died shows does not matter.
        if !self.processes[who].alive {
            self.claims.remove(&session);
        }
        let after = self.way();
        self.later(after, Event::Answered { who, session, said });
    }

    fn view(&self) -> View {
        let mut members: BTreeMap<u64, Sighting> = BTreeMap::new();
        for (who, published) in self.claims.values() {
            let seen = members.entry(u64::try_from(*who).expect("fits")).or_default();
            let holds = seen.published.map_or(0, |published| published.holds).max(published.holds);
            seen.published = Some(Published { holds, ..*published });
        }
        for (who, sessions) in self.sessions.iter().enumerate().filter(|(_, sessions)| **sessions > 0) {
            members.entry(u64::try_from(who).expect("fits")).or_default().sessions = *sessions;
        }
        View { room: self.room, members }
    }
}
