use std::time::Duration;

use axum::Router;
use forebay_auth::{SigningKey, State};
use forebay_embedded::testing::{Template, TestDatabase};
use forebay_platform::admit::{Admit, TimeLimits};
use forebay_platform::db::Db;
use forebay_platform::quota::Quotas;
use forebay_pool::{Config, Mode, Pool, Rules};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::client::{self, Answer, request, send};

pub(crate) const EMAIL: &str = "ada@shop.example";
pub(crate) const PASSWORD: &str = "correct-horse-battery";

static MIGRATED: Template = Template::new();

async fn migrate(database: TestDatabase) {
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    forebay_platform::audit::MIGRATOR.run(&mut connection).await.unwrap();
    forebay_auth::MIGRATOR.run(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// An auth service of its own.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) state: State,
    pub(crate) pool: Pool,
    pub(crate) key: SigningKey,
    pub(crate) database: TestDatabase,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = MIGRATED.database(migrate).await;
        let rules = Rules { mode: Mode::Off, ..Rules::default() };
        let config = Config { rules, acquire_timeout: Duration::from_secs(20), ..Config::named("test") };
        let way = database.way().await;
        let pool = Pool::connect(way.options, config.with_settings(way.setting).unwrap()).unwrap();
        let key = SigningKey::from_seed([7; 32]);
        let state = state(&pool, &key, Quotas::default());
        Self { router: forebay_auth::router(state.clone()), state, pool, key, database }
    }

    /// As after a start with another key.
    pub(crate) fn sign_with(&mut self, key: SigningKey) {
        self.state = state(&self.pool, &key, Quotas::default());
        self.router = forebay_auth::router(self.state.clone());
        self.key = key;
    }

    /// The same with these quotas for each client.
    pub(crate) fn within(self, quotas: Quotas) -> Self {
        let state = state(&self.pool, &self.key, quotas);
        Self { router: forebay_auth::router(state.clone()), state, ..self }
    }

    /// Another replica of this service, on the same database.
    pub(crate) fn replica(&self) -> State {
        state(&self.pool, &self.key, Quotas::default())
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
        self.log_in().await.refresh
    }

    /// Ada logs in; the answer is all that she has then.
    pub(crate) async fn log_in(&self) -> LoggedIn {
        let answer = self.post("login", &credentials(EMAIL, PASSWORD)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        LoggedIn::from(&answer)
    }

    /// A request with a bearer token, and a body where there is one.
    pub(crate) async fn ask(&self, method: &str, path: &str, bearer: &str, body: Option<&Value>) -> Answer {
        let builder = request(method, path).header("authorization", format!("Bearer {bearer}"));
        send(&self.router, client::json_if_any(builder, body)).await
    }

    pub(crate) async fn get(&self, path: &str, bearer: &str) -> Answer {
        self.ask("GET", path, bearer, None).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("refresh", &json!({ "refresh_token": token })).await
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }

    /// As a hash was made before, with these parameters and of the bytes as they were typed.
    async fn set_hash(&self, password: &str, memory: u32, passes: u32) {
        use argon2::password_hash::PasswordHasher;
        let params = argon2::Params::new(memory, passes, 1, None).unwrap();
        let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let hash = argon2.hash_password(password.as_bytes()).unwrap().to_string();
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        sqlx::query("update auth.users set password_hash = $1").bind(hash).execute(&mut connection).await.unwrap();
    }

    /// Ada's password, hashed with less.
    pub(crate) async fn set_weak_hash(&self) {
        self.set_hash(PASSWORD, 4_096, 3).await;
    }

    /// Another password for Ada, hashed as it is.
    pub(crate) async fn set_hash_of(&self, password: &str) {
        self.set_hash(password, 19_456, 2).await;
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }
}

fn state(pool: &Pool, key: &SigningKey, quotas: Quotas) -> State {
    let db = Db::forebay(pool.clone());
    let patient = Duration::from_secs(30);
    let admit = Admit::new(&db, TimeLimits { critical: patient, normal: patient }).quotas(quotas);
    State::new(db, admit, key.clone())
}

/// What a login gives.
#[derive(Clone, Debug)]
pub(crate) struct LoggedIn {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl From<&Answer> for LoggedIn {
    fn from(answer: &Answer) -> Self {
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
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
