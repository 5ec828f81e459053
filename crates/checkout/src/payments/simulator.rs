//! A provider in this process that behaves like an outside one: it takes its time, declines some, loses answers, and keeps
//! its charges in a book of its own, over one connection of its own, never a lease.

use std::time::Duration;

use forebay_platform::webhook::Secrets;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use tokio::time::sleep;
use uuid::Uuid;

use super::message::Message;
use super::provider::{
    Bill, Charge, Collected, GivenBack, Outcome, Place, Provider, Refund, RefundBill, Reply, Unknown,
};

mod book;
mod sender;

use book::{Book, Find, FindRefund, Give, List, ListRefunds, Record};
use sender::Sender;
pub use sender::{InvalidMessageUrl, MessageUrl, Messages};

/// The simulated provider.
///
/// Tokens: `tok_ok` is charged, save for the given percentage; `tok_decline` is declined; `tok_lost` is charged, but the
/// answer never arrives; any other is declined. What befalls a charge is drawn from its order and attempt, and what befalls
/// a refund from its id, so that a run can be repeated.
#[derive(Debug)]
pub struct Simulator {
    book: Book,
    knobs: Knobs,
    sender: Option<Sender>,
}

/// How the simulated provider behaves; by default it is quick and never fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knobs {
    /// How long it takes for a charge or a refund.
    pub latency: Duration,
    /// How many of a hundred charges it declines.
    pub decline_percent: u8,
    /// Of how many of a hundred charges and refunds its answer is lost, though it did what it was asked.
    pub lost_percent: u8,
}

impl Simulator {
    /// Keeps its book in `payment_simulator` of the database that `book` leads to. Connects when it is first asked.
    #[must_use]
    pub fn new(book: PgConnectOptions, knobs: Knobs) -> Self {
        Self { book: Book::new(book), knobs, sender: None }
    }

    /// Sends a message, signed with these, for each charge and refund that ends. In the background, and from memory: what is
    /// under way when the process ends is not sent.
    #[must_use]
    pub fn sending(self, messages: Messages, secrets: Secrets) -> Self {
        Self { sender: Some(Sender::new(messages, secrets)), ..self }
    }

    /// What stands in the book; the first time, everybody who listens is told.
    async fn record(&self, bill: &Bill, outcome: Outcome) -> Result<Charge, Unknown> {
        let (charge, is_new) = self.book.ask(&Record { bill, outcome }).await?;
        if let Some(sender) = self.sender.as_ref().filter(|_| is_new) {
            sender.send(bill.order_id, &Message::Charge(bill.clone(), charge.clone()));
        }
        Ok(charge)
    }

    fn decide(&self, bill: &Bill, token: &str) -> Outcome {
        let is_lucky = drawn("charge", bill.order_id, bill.attempt) >= u32::from(self.knobs.decline_percent);
        match token {
            "tok_lost" => Outcome::Approved,
            "tok_ok" if is_lucky => Outcome::Approved,
            _ => Outcome::Declined,
        }
    }

    fn loses(&self, id: Uuid, attempt: i16) -> bool {
        drawn("answer", id, attempt) < u32::from(self.knobs.lost_percent)
    }
}

impl Provider for Simulator {
    fn charge<'a>(&'a self, bill: &'a Bill, token: &'a str) -> Reply<'a, Charge> {
        Box::pin(async move {
            sleep(self.knobs.latency).await;
            let charge = self.record(bill, self.decide(bill, token)).await?;
            let is_lost = token == "tok_lost" || self.loses(bill.order_id, bill.attempt);
            if is_lost { Err(Unknown::Lost) } else { Ok(charge) }
        })
    }

    fn void<'a>(&'a self, bill: &'a Bill) -> Reply<'a, Charge> {
        Box::pin(self.record(bill, Outcome::Voided))
    }

    fn look_up<'a>(&'a self, bill: &'a Bill) -> Reply<'a, Option<Charge>> {
        Box::pin(async move { Ok(self.book.ask(&Find { bill }).await?) })
    }

    /// Its answer is lost only the first time: whoever asks again learns what became of it.
    fn refund<'a>(&'a self, bill: &'a RefundBill) -> Reply<'a, Refund> {
        Box::pin(async move {
            sleep(self.knobs.latency).await;
            if let Some(refund) = self.book.ask(&FindRefund { refund_id: bill.refund_id }).await? {
                return Ok(refund);
            }
            let refund = self.book.ask(&Give { bill }).await?;
            if let Some(sender) = &self.sender {
                sender.send(bill.refund_id, &Message::Refund(bill.clone(), refund.clone()));
            }
            if self.loses(bill.refund_id, bill.attempt) { Err(Unknown::Lost) } else { Ok(refund) }
        })
    }

    fn look_up_refund(&self, refund_id: Uuid) -> Reply<'_, Option<Refund>> {
        Box::pin(async move { Ok(self.book.ask(&FindRefund { refund_id }).await?) })
    }

    fn charges<'a>(&'a self, after: &'a Place) -> Reply<'a, Vec<Collected>> {
        Box::pin(async move { Ok(self.book.ask(&List { after }).await?) })
    }

    fn refunds<'a>(&'a self, after: &'a Place) -> Reply<'a, Vec<GivenBack>> {
        Box::pin(async move { Ok(self.book.ask(&ListRefunds { after }).await?) })
    }
}

impl From<sqlx::Error> for Unknown {
    fn from(error: sqlx::Error) -> Self {
        Self::Unreachable(Box::new(error))
    }
}

/// From 0 to 99, the same whenever it is drawn for the same.
fn drawn(what: &str, id: Uuid, attempt: i16) -> u32 {
    let digest = Sha256::new().chain_update(what).chain_update(id).chain_update(attempt.to_be_bytes()).finalize();
    digest[..4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) % 100
}

#[cfg(test)]
mod tests;
