//! What requests are made of that the shop knows: tokens, carts, orders, products. It grows by what the shop answers.

use std::collections::HashMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::Value;

/// The password of all users, whether they were seeded or are registered here.
pub(super) const PASSWORD: &str = "correct-horse-battery";
/// Few, so that what one request has made is met by the next: a cart by its buyer, an item by who takes it out again.
const KEPT: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Larder {
    access_tokens: Vec<String>,
    /// Of somebody who runs the shop.
    pub(super) admin_token: String,
    refresh_tokens: Vec<String>,
    /// Ids and tokens.
    carts: Vec<(String, String)>,
    /// Versions and totals of carts by their ids, as they were shown last.
    shown: HashMap<String, (Value, Value)>,
    /// Ids by the collection that they were found in.
    ids: HashMap<String, Vec<String>>,
    pub(super) skus: Vec<String>,
}

impl Larder {
    /// Takes what it can use from an answer to a request for `path`.
    pub(super) fn keep(&mut self, path: &str, answer: &Value, dice: &mut StdRng) {
        put(&mut self.access_tokens, answer["access_token"].as_str().map(str::to_owned), dice);
        put(&mut self.refresh_tokens, answer["refresh_token"].as_str().map(str::to_owned), dice);
        let cart = answer["id"].as_str().zip(answer["cart_token"].as_str());
        put(&mut self.carts, cart.map(|(id, token)| (id.to_owned(), token.to_owned())), dice);
        if let (Some(id), Some(_)) = (answer["id"].as_str(), answer["version"].as_u64()) {
            self.shown.insert(id.to_owned(), (answer["version"].clone(), answer["total"].clone()));
        }
        let collection = path.split('/').filter(|part| !part.is_empty()).nth(1).unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        for name in [collection, last] {
            let ids = self.ids.entry(name.to_owned()).or_default();
            ids_in(answer, &mut |id| put(ids, Some(id.to_owned()), dice));
        }
        for sku in answer["skus"].as_array().into_iter().flatten() {
            put(&mut self.skus, sku["sku"].as_str().map(str::to_owned), dice);
        }
    }

    pub(super) fn access_token(&self, dice: &mut StdRng) -> String {
        self.access_tokens.choose(dice).cloned().unwrap_or_default()
    }

    pub(super) fn refresh_token(&self, dice: &mut StdRng) -> String {
        self.refresh_tokens.choose(dice).cloned().unwrap_or_default()
    }

    pub(super) fn cart(&self, dice: &mut StdRng) -> (String, String) {
        self.carts.choose(dice).cloned().unwrap_or_default()
    }

    /// What an order of the cart names: its version and its total.
    pub(super) fn shown(&self, cart: &str) -> (Value, Value) {
        self.shown.get(cart).cloned().unwrap_or_else(|| (1.into(), Value::Null))
    }

    pub(super) fn sku(&self, dice: &mut StdRng) -> String {
        self.skus.choose(dice).cloned().unwrap_or_else(|| "SKU-000001".to_owned())
    }

    /// An id from this collection, or one of nothing.
    pub(super) fn id(&self, collection: &str, dice: &mut StdRng) -> String {
        let known = self.ids.get(collection).and_then(|ids| ids.choose(dice)).cloned();
        known.unwrap_or_else(|| uuid::Uuid::from_u128(dice.random()).to_string())
    }
}

/// At a random place, once it is full.
fn put<T>(shelf: &mut Vec<T>, thing: Option<T>, dice: &mut StdRng) {
    let Some(thing) = thing else { return };
    if shelf.len() < KEPT {
        shelf.push(thing);
    } else {
        shelf[dice.random_range(0..KEPT)] = thing;
    }
}

/// The ids of what an answer is about, or lists; not of what these consist of.
fn ids_in(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            let names: Vec<_> = ["id", "slug"].iter().filter_map(|name| members.get(*name)?.as_str()).collect();
            if names.is_empty() {
                members.values().for_each(|inner| ids_in(inner, found));
            }
            names.into_iter().for_each(found);
        }
        Value::Array(items) => items.iter().for_each(|item| ids_in(item, found)),
        _ => {}
    }
}
