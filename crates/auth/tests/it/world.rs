use std::time::Duration;

use axum::Router;
use forebay_auth::SigningKey;
use forebay_embedded::testing::{TestDatabase, database};
use forebay_platform::admit::{Admit, TimeLimits};
use forebay_platform::db::Db;
use forebay_platform::quota::Quotas;
use forebay_pool::{Config, Mode, Pool, Rules};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::client::{self, Answer, request, send};

pub(crate) const EMAIL: &str = "ada@shop.example";
pub(crate) const PASSWORD: &str = "correct-horse-battery";

/// An auth service of its own.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) pool: Pool,
    pub(crate) key: SigningKey,
    pub(crate) database: TestDatabase,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = database().await;
        let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
        forebay_auth::MIGRATOR.run(&mut connection).await.unwrap();
        let rules = Rules { mode: Mode::Off, ..Rules::default() };
        let config = Config { rules, acquire_timeout: Duration::from_secs(20), ..Config::named("test") };
        let pool = Pool::connect(database.options(), config).unwrap();
        let key = SigningKey::from_seed([7; 32]);
        Self { router: router(&pool, &key, Quotas::default()), pool, key, database }
    }

    /// As after a start with another key.
    pub(crate) fn sign_with(&mut self, key: SigningKey) {
        self.router = router(&self.pool, &key, Quotas::default());
        self.key = key;
    }

    /// The same with these quotas for each client.
    pub(crate) fn within(self, quotas: Quotas) -> Self {
        Self { router: router(&self.pool, &self.key, quotas), ..self }
    }

    /// With one user in it.
    pub(crate) async fn with_ada() -> Self {
        let world = Self::new().await;
        let answer = world.post("register", &registration()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        world
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(&self.router, client::json(request("POST", &format!("/v1/auth/{path}")), body)).await
    }

    /// Ada logs in; the answer is her refresh token.
    pub(crate) async fn login(&self) -> String {
        let answer = self.post("login", &credentials(EMAIL, PASSWORD)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        token(&answer)
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("refresh", &json!({ "refresh_token": token })).await
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }
}

fn router(pool: &Pool, key: &SigningKey, quotas: Quotas) -> Router {
    let db = Db::forebay(pool.clone());
    let patient = Duration::from_secs(30);
    let admit = Admit::new(&db, TimeLimits { critical: patient, normal: patient }).quotas(quotas);
    forebay_auth::router(forebay_auth::State::new(db, admit, key.clone()))
}

pub(crate) fn registration() -> Value {
    json!({ "email": EMAIL, "password": PASSWORD, "name": "Ada" })
}

pub(crate) fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

pub(crate) fn token(answer: &Answer) -> String {
    answer.body["refresh_token"].as_str().unwrap().to_owned()
}
