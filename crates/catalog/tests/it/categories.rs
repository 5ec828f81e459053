use serde_json::json;

use crate::world::World;

const TREE: &str = "
    insert into catalog.categories (id, parent_id, slug, name, position) values
        ('00000000-0000-7000-8000-0000000000a0', null, 'tools', 'Tools', 0),
        ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000a0', 'saws', 'Saws', 2),
        ('00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-0000000000a0', 'hammers', 'Hammers', 1)";

#[tokio::test]
async fn categories_are_a_tree_in_the_order_of_their_positions() {
    let world = World::with(0).await;
    world.execute(TREE).await;
    let tree = world.get("/v1/categories").await;
    let slugs = |list: &serde_json::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["slug"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((tree.status.as_u16(), slugs(&tree.body)), (200, vec!["tools".into(), "things".into()]));
    assert_eq!(slugs(&tree.body[0]["children"]), ["hammers", "saws"]);
    assert_eq!(tree.body[1]["children"], json!([]));
    let again = world.get_with("/v1/categories", "if-none-match", tree.header("etag")).await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn a_category_knows_what_it_lies_in_and_what_lies_below() {
    let world = World::with(0).await;
    world.execute(TREE).await;
    let saws = world.get("/v1/categories/saws").await;
    let told = json!({
        "id": "00000000-0000-7000-8000-0000000000a1", "slug": "saws", "name": "Saws", "children": [],
        "parents": [{ "slug": "tools", "name": "Tools" }],
    });
    assert_eq!((saws.status.as_u16(), &saws.body), (200, &told));
    assert_eq!(world.get("/v1/categories/tools").await.body["children"].as_array().unwrap().len(), 2);
    assert_eq!(world.get("/v1/categories/nobody").await.problem(), (404, "not-found"));
    assert_eq!(world.get_with("/v1/categories/saws", "if-none-match", saws.header("etag")).await.status, 304);
}

#[tokio::test]
async fn the_tree_is_kept_for_a_while_and_a_category_that_it_lacks_is_looked_for() {
    let world = World::with(0).await;
    let before = world.get("/v1/categories").await;
    world.execute(TREE).await;
    assert_eq!(world.get("/v1/categories").await.body, before.body);
    assert_eq!(world.get("/v1/categories/saws").await.status, 200);
    assert_ne!(world.get("/v1/categories").await.body, before.body);
}
