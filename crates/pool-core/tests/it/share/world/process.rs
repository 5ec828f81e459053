//! What a process does when it wakes up, and with an answer.

use forebay_pool_core::share::View;

use super::{Broken, Event, FRESH, LONG, LOOK_AGAIN, LOOK_EVERY, PATIENCE, Said, Sent, Time, WAY, World};

impl World {
    pub(super) fn wake(&mut self, who: usize) {
        if !self.processes[who].alive {
            return;
        }
        let after = 50 + self.below(20);
        self.later(after, Event::Wake { who });
        let process = &self.processes[who];
        if process.asked.is_some_and(|at| self.now - at > PATIENCE * process.pace / 1_000) {
            self.lost(who);
        } else if process.asked.is_none() && process.next_look <= self.now {
            self.send(who, Sent::Look { at: self.now });
        }
        self.close_what_is_above(who);
        let now = self.now;
        let process = &mut self.processes[who];
        process.confirms.take_if(|at| now - *at > FRESH);
        if process.open < process.need.min(process.member.ceiling()) && process.confirms.is_none() {
            if self.broken == Broken::OpensUnconfirmed {
                self.send_opening(who);
            } else {
                process.confirms = Some(now);
                self.send(who, Sent::Confirm { at: now });
            }
        }
    }

    fn send_opening(&mut self, who: usize) {
        self.processes[who].open += 1;
        self.processes[who].under_way += 1;
        let after = self.below(WAY);
        self.later(after, Event::Opens { who });
    }

    fn close_what_is_above(&mut self, who: usize) {
        let process = &mut self.processes[who];
        // Not those under way, and of the others not all at once: some are on loan.
        if process.open > process.member.ceiling() && self.sessions[who] > 0 && process.cut <= self.now {
            process.open -= 1;
            let after = self.below(300);
            self.later(after, Event::Ends { who, told: false });
        }
    }

    fn lost(&mut self, who: usize) {
        let process = &mut self.processes[who];
        let last = process.looked[0].unwrap_or(0);
        process.member.lost(self.now - last > LONG);
        process.since = None;
        let session = process.session.take();
        (process.asked, process.confirms) = (None, None);
        process.next_look = self.now + 100;
        if let Some(session) = session {
            // The server hears of it when it can.
            let after = if self.below(5) == 0 { self.below(10_000) } else { self.below(50) };
            self.later(after, Event::ClaimEnds { session });
        }
    }

    pub(super) fn answered(&mut self, who: usize, said: Said) {
        let broken = self.broken;
        let room = self.room;
        let now = self.now;
        let process = &mut self.processes[who];
        let fresh = |at: Time| (now - at) * 1_000 / process.pace <= FRESH;
        match said {
            Said::Broken => self.lost(who),
            Said::Confirmed { sessions, at } => {
                let late = broken == Broken::BelievesLateConfirmations;
                if process.confirms.take_if(|since| *since == at).is_none() && !late {
                    return;
                }
                let closed = broken == Broken::ForgetsWhatItJustClosed;
                let sessions = if closed { process.open - process.under_way } else { sessions };
                let (wanted, under_way) = (process.need.min(process.member.ceiling()), process.under_way);
                if process.open < wanted && (fresh(at) || late) && process.member.may_open(sessions, under_way) {
                    self.send_opening(who);
                }
            }
            Said::Viewed { view, at } => {
                process.asked = None;
                process.looked = [Some(at), process.looked[0]];
                let recent = process.has_looked_lately(now);
                if broken == Broken::ForgetsAtOnceWhoIsGone {
                    process.member.look(&View { room, ..View::default() }, process.need, process.open, false);
                    process.member.look(&View { room, ..View::default() }, process.need, process.open, false);
                }
                let mut said = process.member.look(&view, process.need, process.open, recent);
                let every = if process.member.is_looking_again() { LOOK_AGAIN } else { LOOK_EVERY };
                process.next_look = now + every * process.pace / 1_000;
                if broken == Broken::PublishesLessBeforeItCloses && process.member.ceiling() < process.member.held() {
                    said.holds = process.member.ceiling();
                }
                if said.holds > process.member.held() {
                    if broken == Broken::GrowsUnpublished {
                        process.member.confirm(said);
                    } else if fresh(at) {
                        self.send(who, Sent::Ask { published: said });
                    }
                } else if Some(said) != process.member.published() {
                    self.send(who, Sent::Tell { published: said });
                }
            }
            Said::Asked { view, published } => {
                process.asked = None;
                let returns = process.member.published().is_none();
                let mut settled = process.member.settle(&view, published, process.open);
                if !returns && !process.has_looked_lately(now) {
                    settled.holds = process.member.held();
                }
                if broken == Broken::GrowsWithoutASecondLook {
                    settled = published;
                }
                if settled == published {
                    process.since.get_or_insert(now);
                    process.member.confirm(published);
                } else {
                    self.send(who, Sent::Tell { published: settled });
                }
            }
            Said::Told { published } => {
                process.asked = None;
                process.since.get_or_insert(now);
                process.member.confirm(published);
            }
        }
    }
}
