use std::time::Duration;

use rand::RngExt;

use super::{Event, World};
use crate::client::{Client, Pause};
use crate::measure::{Asked, Ending, Try, USER_PATIENCE};
use crate::pool::{Ask, Caller};
use crate::scenario::{Abandoned, Kind, Load};

/// What a user wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Which of the scenario's kinds.
    pub(super) kind: u32,
    pub(super) client: Client,
    /// Its work is drawn from this, so that it is the same in every attempt and under every pool.
    pub(super) seed: u64,
    pub(super) begun: Duration,
    pub(super) sent: Duration,
    /// Attempts made, and how many of them were refused.
    made: u32,
    refused: u32,
    /// An answer to the present attempt is awaited.
    pub(super) waits: bool,
    /// It takes a connection and keeps it; such are no users.
    pub(super) holder: bool,
    /// Whose it is in a load of visits: the visit's index, and how many requests of it came before.
    visit: Option<(u32, u32)>,
}

impl Request {
    /// Somebody who asks for the first time.
    const fn new(kind: u32, client: Client, seed: u64, now: Duration) -> Self {
        let (begun, sent) = (now, now);
        Self { kind, client, seed, begun, sent, made: 0, refused: 0, waits: false, holder: false, visit: None }
    }
}

/// Everybody who wants something. An index is used again, an attempt's number under it never.
#[derive(Debug, Default)]
pub(super) struct Requests {
    entries: Vec<(u32, Option<Request>)>,
    free: Vec<u32>,
}

impl Requests {
    fn insert(&mut self, request: Request) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push((0, None));
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 users at once")
        });
        self.entries[index as usize].1 = Some(request);
        index
    }

    fn remove(&mut self, index: u32) -> Option<Request> {
        let request = self.entries[index as usize].1.take()?;
        self.free.push(index);
        Some(request)
    }

    /// The request, if this is its present attempt.
    pub(super) fn of(&mut self, caller: Caller) -> Option<&mut Request> {
        let (attempt, request) = self.entries.get_mut(caller.index as usize)?;
        request.as_mut().filter(|_| *attempt == caller.attempt)
    }

    fn all(&self) -> impl Iterator<Item = &Request> {
        self.entries.iter().filter_map(|(_, request)| request.as_ref())
    }
}

/// Clients: sending, waiting, sending again, giving up.
impl World<'_> {
    pub(super) fn expect_arrival(&mut self) {
        if let Some(at) = self.arrivals.as_mut().and_then(|arrivals| arrivals.next(&mut self.arriving)) {
            self.at(at, Event::Arrive);
        }
    }

    pub(super) fn arrive(&mut self) {
        let kind = self.draw_kind();
        let client = self.scenario.clients.draw(&mut self.arriving);
        let request = Request::new(kind, client, self.arriving.random(), self.now);
        self.admit(request);
    }

    fn admit(&mut self, request: Request) {
        let kind = request.kind;
        self.record.note(self.now, self.scenario.kinds[kind as usize].class, |tally| tally.requests += 1);
        self.record.bin(self.now).requests += 1;
        let index = self.requests.insert(request);
        self.send(index);
    }

    pub(super) fn expect_visit(&mut self, visit: u32) {
        let Load::Visits { visits, .. } = &self.scenario.load else { return };
        if let Some(next) = visits.get(visit as usize) {
            self.at(next.at, Event::Ask { visit, asked: 0 });
        }
    }

    /// A user of the load comes, or has thought.
    pub(super) fn visit(&mut self, visit: u32, asked: u32) {
        let Load::Visits { visits, .. } = &self.scenario.load else { return };
        if asked == 0 {
            self.expect_visit(visit + 1);
        }
        let Some(kind) = visits[visit as usize].kinds.get(asked as usize).copied() else { return };
        let client = self.scenario.clients.draw(&mut self.arriving);
        // By its place in the load, so that under every pool it is the same work.
        let seed = u64::from(visit) << 32 | u64::from(asked);
        let request = Request::new(kind, client, seed, self.now);
        self.admit(Request { visit: Some((visit, asked)), ..request });
    }

    pub(super) fn note_try(&mut self, request: &Request, ending: Ending) {
        if request.visit.is_some() {
            let Request { kind, sent: at, .. } = *request;
            self.record.visited.tries.push(Try { kind, at, end: self.now, ending });
        }
    }

    /// The user of a visit has the answer and thinks, or has given up.
    fn go_on_visiting(&mut self, request: &Request, ending: Ending) {
        let Some((visit, asked)) = request.visit else { return };
        let Request { kind, begun: at, made: attempts, .. } = *request;
        self.record.visited.asked.push(Asked { visit, kind, at, end: self.now, attempts, ending });
        if let (Load::Visits { think, .. }, Ending::Answered) = (&self.scenario.load, ending) {
            self.after(*think, Event::Ask { visit, asked: asked + 1 });
        }
    }

    /// Somebody who takes a connection and keeps it. It asks until it gets one.
    pub(super) fn leak(&mut self, again: Option<Duration>) {
        let client = Client {
            patience: Duration::MAX,
            attempts: if again.is_some() { u32::MAX } else { u32::MAX - 1 },
            pause: Pause::Fixed(again.unwrap_or(Duration::from_millis(100))),
        };
        let kind = self.least_important_kind();
        let request = Request { holder: true, ..Request::new(kind, client, 0, self.now) };
        let index = self.requests.insert(request);
        self.send(index);
    }

    fn least_important_kind(&self) -> u32 {
        let kinds = self.scenario.kinds.iter().zip(0..);
        kinds.max_by_key(|(kind, _)| kind.class).map_or(0, |(_, index)| index)
    }

    fn draw_kind(&mut self) -> u32 {
        let kinds = &self.scenario.kinds;
        let total: f64 = kinds.iter().map(|kind| kind.weight).sum();
        let mut point = crate::chance::uniform(&mut self.arriving) * total;
        let mut last = 0;
        for (kind, index) in kinds.iter().zip(0..) {
            point -= kind.weight;
            last = index;
            if point < 0.0 {
                break;
            }
        }
        last
    }

    fn send(&mut self, index: u32) {
        let (attempt, Some(request)) = &mut self.requests.entries[index as usize] else { return };
        *attempt = attempt.wrapping_add(1);
        request.made = request.made.saturating_add(1);
        request.sent = self.now;
        request.waits = true;
        let Request { kind, client, holder, .. } = *request;
        let caller = Caller { index, attempt: *attempt, kind };
        let class = self.scenario.kinds[kind as usize].class;
        if !holder {
            self.record.note(self.now, class, |tally| tally.attempts += 1);
            self.record.bin(self.now).attempts += 1;
        }
        let deadline = self.now.saturating_add(client.patience);
        self.pool.ask(self.now, Ask { caller, class, deadline }, &mut self.orders);
        self.settle();
        // Most of a flood is answered at once, with a refusal, and needs no timer.
        if self.requests.of(caller).is_some_and(|request| request.waits) {
            self.at(deadline, Event::Impatient(caller));
        }
    }

    pub(super) fn send_again(&mut self, caller: Caller) {
        if self.requests.of(caller).is_some_and(|request| !request.waits) {
            self.send(caller.index);
        }
    }

    pub(super) fn refuse(&mut self, caller: Caller, told: Option<Duration>) {
        let Some(request) = self.requests.of(caller).filter(|request| request.waits) else { return };
        request.refused += 1;
        let request = *request;
        self.note_try(&request, Ending::Refused);
        if !request.holder {
            let class = self.scenario.kinds[request.kind as usize].class;
            self.record.note(self.now, class, |tally| tally.refused += 1);
            self.record.bin(self.now).refused += 1;
        }
        self.try_again(caller, told, Ending::Refused);
    }

    pub(super) fn lose_patience(&mut self, caller: Caller) {
        let Some(request) = self.requests.of(caller).filter(|request| request.waits).copied() else { return };
        self.note_try(&request, Ending::Left);
        if self.scenario.abandoned != Abandoned::GoesOn {
            self.pool.leave(self.now, caller, &mut self.orders);
        }
        if self.scenario.abandoned == Abandoned::IsCutOff {
            self.cut_off(caller);
        }
        self.try_again(caller, None, Ending::Left);
    }

    /// The attempt came to nothing.
    pub(super) fn try_again(&mut self, caller: Caller, told: Option<Duration>, ending: Ending) {
        let Some(request) = self.requests.of(caller) else { return };
        request.waits = false;
        match request.client.pause(request.made, told, &mut self.clients) {
            Some(pause) => self.after(pause, Event::Again(caller)),
            None => self.finish(caller, ending),
        }
    }

    /// The user has an answer, or has given up.
    pub(super) fn finish(&mut self, caller: Caller, ending: Ending) {
        let Some(request) = self.requests.remove(caller.index) else { return };
        if request.holder {
            return;
        }
        let content = ending == Ending::Answered && self.now - request.begun <= USER_PATIENCE;
        self.conclude_request(&request, content);
        self.go_on_visiting(&request, ending);
        if matches!(self.scenario.load, Load::Closed { .. }) {
            self.at(self.now, Event::Arrive);
        }
    }

    fn conclude_request(&mut self, request: &Request, content: bool) {
        let Kind { class, .. } = self.scenario.kinds[request.kind as usize];
        self.record.note(request.begun, class, |tally| {
            tally.content += u64::from(content);
            tally.hit += u64::from(!content);
            tally.refused_requests += u64::from(request.refused > 0);
            tally.extra_attempts += if request.refused > 0 { u64::from(request.made - 1) } else { 0 };
        });
    }

    /// The end of the run: whoever has waited too long by now is lost; of the others nothing is known.
    pub(super) fn conclude(&mut self) {
        let open: Vec<Request> = self.requests.all().filter(|request| !request.holder).copied().collect();
        for request in open {
            self.record.visited.unfinished.extend(request.visit.map(|(visit, _)| visit));
            if self.scenario.end - request.begun > USER_PATIENCE {
                self.conclude_request(&request, false);
            }
        }
    }
}
