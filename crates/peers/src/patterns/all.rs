use std::time::Duration;

use sqlx::PgConnection;

use super::{Pattern, Step, Way};
use crate::BenchError;

/// A simulated provider's answer.
const PAYMENT: Duration = Duration::from_millis(50);

/// Of whom and what the statements speak.
struct Sample {
    /// A user with orders.
    user: String,
    /// Products as the first page shows them.
    page: Vec<String>,
    /// A hundred SKUs in their order.
    skus: Vec<String>,
    /// Where the two hundredth page of a list by date begins.
    far: (String, String),
}

impl Sample {
    async fn of(conn: &mut PgConnection) -> Result<Self, BenchError> {
        let user =
            "select user_id::text from checkout.orders where user_id is not null order by placed_at desc limit 1";
        let page =
            "select id::text from catalog.products where status = 'active' order by popularity desc, id desc limit 50";
        let skus = "select sku from checkout.inventory where on_hand > 1000 order by sku limit 100";
        let far = "select created_at::text, id::text from catalog.products where status = 'active' \
                   order by created_at desc, id desc offset 3999 limit 1";
        Ok(Self {
            user: sqlx::query_scalar(user).fetch_one(&mut *conn).await?,
            page: sqlx::query_scalar(page).fetch_all(&mut *conn).await?,
            skus: sqlx::query_scalar(skus).fetch_all(&mut *conn).await?,
            far: sqlx::query_as(far).fetch_one(&mut *conn).await?,
        })
    }
}

pub(super) async fn patterns(conn: &mut PgConnection) -> Result<Vec<Pattern>, BenchError> {
    let sample = Sample::of(conn).await?;
    Ok(vec![
        missing_index(&sample),
        one_by_one(&sample),
        counted_pages(&sample),
        line_by_line(&sample),
        paid_while_held(&sample),
    ])
}

fn shown(sql: impl Into<String>) -> Step {
    Step::Run { sql: sql.into(), shown: true }
}

fn hidden(sql: impl Into<String>) -> Step {
    Step::Run { sql: sql.into(), shown: false }
}

fn list<'a>(values: impl IntoIterator<Item = &'a String>) -> String {
    let quoted: Vec<_> = values.into_iter().map(|value| format!("'{value}'")).collect();
    quoted.join(", ")
}

fn missing_index(sample: &Sample) -> Pattern {
    let sql = format!(
        "select id, status, total, placed_at from checkout.orders where user_id = '{}' order by placed_at desc, id desc limit 20",
        sample.user
    );
    Pattern {
        title: "No index for what is asked",
        about: "The list of a user's orders reads all orders when nothing leads from the user to them. The statement is the same; an index \
                on `(user_id, placed_at, id)` also has the order of the list in it, so that twenty rows are read and none is sorted.",
        slow: Way {
            name: "without the index",
            before: Some("drop index checkout.orders_user_idx"),
            steps: vec![shown(sql.clone())],
        },
        good: Way { name: "with it", before: None, steps: vec![shown(sql)] },
    }
}

fn one_by_one(sample: &Sample) -> Pattern {
    let one =
        |id: &String| format!("select sku, price, attributes from catalog.skus where product_id = '{id}' and active");
    let mut slow = vec![shown(one(&sample.page[0]))];
    slow.extend(sample.page[1..].iter().map(|id| hidden(one(id))));
    let all = format!(
        "select product_id, sku, price, attributes from catalog.skus where product_id in ({}) and active",
        list(&sample.page)
    );
    Pattern {
        title: "A statement for each row (N+1)",
        about: "A page of fifty products, and a statement for the SKUs of each. Each is fast, and each is a round trip in which the \
                connection waits for its client. One statement asks for all of them.",
        slow: Way { name: "50 statements", before: None, steps: slow },
        good: Way { name: "1 statement", before: None, steps: vec![shown(all)] },
    }
}

fn counted_pages(sample: &Sample) -> Pattern {
    let (at, id) = &sample.far;
    let columns = "id, slug, name, brand, base_price, currency, availability";
    Pattern {
        title: "`select *` with a count and an offset",
        about: "Page 200 of a list. The count reads every row to say how many pages there are, the offset reads the 4,000 rows that it \
                leaves out, and the star carries descriptions that no list shows. A cursor that says after which row the page begins reads the twenty \
                rows of the page from the index, at whatever depth; a reader who wants a number gets the planner's estimate.",
        slow: Way {
            name: "count, star, offset",
            before: None,
            steps: vec![
                shown("select count(*) from catalog.products where status = 'active'"),
                shown(
                    "select * from catalog.products where status = 'active' order by created_at desc, id desc offset 4000 limit 20",
                ),
            ],
        },
        good: Way {
            name: "keyset",
            before: None,
            steps: vec![shown(format!(
                "select {columns} from catalog.products where status = 'active' and (created_at, id) < ('{at}', '{id}') \
                 order by created_at desc, id desc limit 20"
            ))],
        },
    }
}

fn line_by_line(sample: &Sample) -> Pattern {
    let one = |sku: &String| {
        format!(
            "update checkout.inventory set reserved = reserved + 1, updated_at = now() where sku = '{sku}' and reserved + 1 <= on_hand"
        )
    };
    let mut slow = vec![shown(one(&sample.skus[0]))];
    slow.extend(sample.skus[1..].iter().map(|sku| hidden(one(sku))));
    let all = format!(
        "with wanted as (select i.sku from checkout.inventory i where i.sku in ({}) and i.reserved + 1 <= i.on_hand \
         order by i.sku for update) \
         update checkout.inventory i set reserved = i.reserved + 1, updated_at = now() from wanted w where i.sku = w.sku",
        list(&sample.skus)
    );
    Pattern {
        title: "An order of a hundred lines, line by line",
        about: "This shop's own: it reserved stock by a statement for each line, in the order of SKUs, so that no two orders wait for each \
                other in a circle. All the time the rows that everyone wants are locked, and a hundred round trips long. One statement locks them in \
                the same order (`order by … for update`) and changes them at once.",
        slow: Way { name: "100 statements", before: None, steps: slow },
        good: Way { name: "1 statement", before: None, steps: vec![shown(all)] },
    }
}

fn paid_while_held(sample: &Sample) -> Pattern {
    let read = format!(
        "select id, total from checkout.orders where user_id = '{}' order by placed_at desc, id desc limit 1",
        sample.user
    );
    let write = format!(
        "update checkout.orders set version = version + 1 where user_id = '{}' and status = 'shipped'",
        sample.user
    );
    Pattern {
        title: "Other work while the connection is held",
        about: "A payment takes 50 ms here, a password's hash 17 ms, a page's rendering some hundred µs. In the middle of a \
                transaction each of them is time in which the connection does nothing and nobody else has it: `idle in transaction`, as in the outage. \
                Two short transactions with the payment \
                between them hold it for their statements alone. No plan shows it.",
        slow: Way {
            name: "paid within the transaction",
            before: None,
            steps: vec![hidden(read.clone()), Step::Elsewhere(PAYMENT), hidden(write.clone())],
        },
        good: Way { name: "paid between two", before: None, steps: vec![hidden(read), hidden(write)] },
    }
}
