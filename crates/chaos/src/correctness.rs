//! Counts what must be zero after a drain and a sweep, whatever happened before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// What the sweep over the database found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Correctness {
    /// Orders that were placed during the play.
    pub orders: i64,
    /// Of those, paid.
    pub paid: i64,
    /// SKUs whose units do not add up: on hand + consumed is not what there was, or more is reserved than on hand.
    pub oversold: i64,
    /// Carts or Idempotency-Keys with more than one order.
    pub duplicates: i64,
    /// Charges that the provider keeps without a paid order, or paid orders without such a charge.
    pub paid_without_order: i64,
    /// Units still held for an order that cannot be paid for.
    pub stray_reservations: i64,
}

impl Correctness {
    /// Reads the counts. `on_hand` is what each SKU had before the play.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn read(conn: &mut PgConnection, on_hand: i64) -> Result<Self, sqlx::Error> {
        Ok(Self {
            orders: count(
                conn,
                "select count(*) from checkout.orders where id in (select order_id from checkout.idempotency_keys)",
            )
            .await?,
            paid: count(conn, PAID).await?,
            oversold: sqlx::query_scalar(OVERSOLD).bind(on_hand).fetch_one(&mut *conn).await?,
            duplicates: count(conn, DUPLICATES).await?,
            paid_without_order: count(conn, PAID_WITHOUT_ORDER).await?,
            stray_reservations: count(conn, STRAY).await?,
        })
    }

    /// Whether all that must be zero is zero.
    #[must_use]
    pub fn holds(&self) -> bool {
        let Self { orders: _, paid: _, oversold, duplicates, paid_without_order, stray_reservations } = self;
        [oversold, duplicates, paid_without_order, stray_reservations].into_iter().all(|count| *count == 0)
    }
}

const PAID: &str = "select count(*) from checkout.orders o join checkout.idempotency_keys k on k.order_id = o.id \
     where o.status = 'paid'";

/// Only this play's reservations have consumed units, since the stock was set just before it.
const OVERSOLD: &str = "select count(*) from checkout.inventory i left join ( \
         select r.sku, sum(r.quantity) filter (where r.state = 'consumed') as consumed, \
                sum(r.quantity) filter (where r.state = 'held') as held \
         from checkout.reservations r join checkout.idempotency_keys k using (order_id) group by r.sku \
     ) r using (sku) \
     where i.on_hand + coalesce(r.consumed, 0) <> $1 or i.reserved <> coalesce(r.held, 0) or i.reserved > i.on_hand";

const DUPLICATES: &str = "select \
     (select count(*) from (select cart_id from checkout.orders where status not in ('expired', 'cancelled') \
                            group by cart_id having count(*) > 1) c) + \
     (select count(*) from (select user_id, key from checkout.idempotency_keys group by 1, 2 having count(*) > 1) k) + \
     (select count(*) from (select order_id from checkout.payments where state = 'succeeded' \
                            group by order_id having count(*) > 1) p)";

const PAID_WITHOUT_ORDER: &str = "select \
     (select count(*) from payment_simulator.charges c left join checkout.orders o on o.id = c.order_id \
      where c.outcome = 'approved' and c.provider_ref like 'sim_%' and (o.id is null or o.status <> 'paid')) + \
     (select count(*) from checkout.orders o join checkout.idempotency_keys k on k.order_id = o.id \
      where o.status = 'paid' and not exists ( \
          select 1 from payment_simulator.charges c where c.order_id = o.id and c.outcome = 'approved'))";

const STRAY: &str = "select count(*) from checkout.reservations r join checkout.orders o on o.id = r.order_id \
     where r.state = 'held' and o.status not in ('pending_payment', 'payment_failed')";

async fn count(conn: &mut PgConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(conn).await
}
