//! A small HTTP client with the requests of a buyer.

use http::{Method, Request, StatusCode, header::CONTENT_TYPE, response::Parts};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// What a request came to: an answer, or none at all.
pub(crate) type Answer = Option<(StatusCode, Value)>;

#[derive(Clone, Debug)]
pub(crate) struct Http {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Http {
    pub(crate) fn new(address: &str) -> Self {
        Self { base: format!("http://{address}"), client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// The answer's body as text; `None` where nobody answers.
    pub(crate) async fn text(&self, path: &str) -> Option<(StatusCode, String)> {
        let (status, bytes) = self.send(Method::GET, path, &[], None).await?;
        Some((status, String::from_utf8(bytes.to_vec()).unwrap()))
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        self.json(Method::POST, path, headers, Some(body)).await
    }

    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let (status, bytes) = self.send(method, path, headers, body).await?;
        Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Option<(StatusCode, Bytes)> {
        let (head, body) = self.whole(method, path, headers, body).await?;
        Some((head.status, body))
    }

    /// The whole answer; `None` where nobody answers.
    pub(crate) async fn whole(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Option<(Parts, Bytes)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let response = self.client.request(request.body(Full::new(body)).unwrap()).await.ok()?;
        let (head, body) = response.into_parts();
        Some((head, body.collect().await.ok()?.to_bytes()))
    }

    /// Makes an account; its access token.
    pub(crate) async fn register(&self, name: &str) -> Option<String> {
        let email = format!("{name}@example.test");
        let body = json!({"email": email, "name": name, "password": "correct-horse-battery"});
        let (status, account) = self.post("/v1/auth/register", &[], body).await?;
        assert_eq!(status, 201, "{account}");
        Some(account["access_token"].as_str().unwrap().to_owned())
    }

    /// A cart with one unit of `sku`.
    pub(crate) async fn cart_of(&self, sku: &str) -> Option<Cart> {
        let (status, cart) = self.json(Method::POST, "/v1/carts", &[], None).await?;
        assert_eq!(status, 201, "{cart}");
        let text = |field: &str| cart[field].as_str().unwrap().to_owned();
        let (id, token) = (text("id"), text("cart_token"));
        let path = format!("/v1/carts/{id}/items/{sku}");
        let headers = [("x-cart-token", token.as_str())];
        let (status, answer) = self.json(Method::PUT, &path, &headers, Some(json!({"quantity": 1}))).await?;
        assert_eq!(status, 200, "{answer}");
        Some(Cart { id, token, version: answer["version"].clone(), total: answer["total"].clone() })
    }

    /// Places an order for the cart, with the cart's id as idempotency key.
    pub(crate) async fn order(&self, access_token: &str, cart: &Cart) -> Answer {
        let bearer = format!("Bearer {access_token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("x-cart-token", cart.token.as_str()),
            ("idempotency-key", cart.id.as_str()),
        ];
        let address =
            json!({"name": "Ada", "line1": "1 Mill Lane", "city": "Ulm", "postal_code": "89073", "country": "DE"});
        let body = json!({
            "cart_id": cart.id, "cart_version": cart.version, "expected_total": cart.total,
            "payment_token": "tok_ok", "address": address,
        });
        self.post("/v1/orders", &headers, body).await
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Cart {
    pub(crate) id: String,
    pub(crate) token: String,
    /// What its buyer was shown.
    pub(crate) version: Value,
    pub(crate) total: Value,
}
