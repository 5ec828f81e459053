use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::World;

/// Categories `tools` with `saws` and `hammers` below, and `toys`; 240 products, every value of a column with every other's.
const STOCKED: &str = "
    insert into catalog.categories (id, parent_id, slug, name, position) values
        ('00000000-0000-7000-8000-0000000000a0', null, 'tools', 'Tools', 2),
        ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000a0', 'saws', 'Saws', 1),
        ('00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-0000000000a0', 'hammers', 'Hammers', 2),
        ('00000000-0000-7000-8000-0000000000a3', null, 'toys', 'Toys', 3);
    insert into catalog.products (id, slug, name, description, brand, category_id, base_price, currency, popularity,
                                  availability, created_at)
    select ('00000000-0000-7000-8000-' || lpad(to_hex(n * 7919 % 65521), 12, '0'))::uuid, 'thing-' || n,
           (array['Alder', 'Birch', 'Cedar'])[1 + n % 3] || ' ' || (array['Saw', 'Kettle'])[1 + n / 3 % 2],
           'Made to be repaired.', (array['Alder', 'Birch', 'Cedar'])[1 + n % 3],
           ('00000000-0000-7000-8000-0000000000a' || n / 6 % 4)::uuid, 100 * (n / 24 % 5), 'EUR', n % 7,
           (array['in_stock', 'low', 'out_of_stock'])[1 + n / 120 + n % 2],
           '2024-08-10 12:00Z'::timestamptz - (n / 2) * interval '1 minute'
    from generate_series(0, 239) n;
";

async fn stocked() -> World {
    let world = World::with(0).await;
    world.execute(STOCKED).await;
    world
}

/// All rows of a list, page by page, along the `Link` of each.
async fn walk(world: &World, query: &str, limit: usize) -> Vec<Value> {
    let mut path = format!("/v1/products?{query}&limit={limit}");
    let mut rows = Vec::new();
    for _page in 0..1_000 {
        let page = world.get(&path).await;
        assert_eq!(page.status, 200, "{path} {page:?}");
        let data = page.body["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        rows.extend(data.clone());
        match page.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) {
            Some(next) => next.clone_into(&mut path),
            None => {
                assert!(page.body["page"]["next_cursor"].is_null());
                return rows;
            }
        }
    }
    panic!("the list has no end: {path}");
}

fn slugs(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["slug"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_filter_and_all_of_them_together_hold_on_every_page_of_every_sort() {
    let world = stocked().await;
    let filters = [
        ("category=saws", "c.slug = 'saws'"),
        ("category=tools", "c.slug in ('tools', 'saws', 'hammers')"),
        ("brand=Birch", "p.brand = 'Birch'"),
        ("min_price=200", "base_price >= 200"),
        ("max_price=300", "base_price <= 300"),
        ("min_price=100&max_price=300", "base_price between 100 and 300"),
        ("in_stock=true", "availability <> 'out_of_stock'"),
        ("in_stock=false", "availability = 'out_of_stock'"),
        ("q=kettle", "p.name like '%Kettle'"),
        ("q=cedar", "p.brand = 'Cedar'"),
        ("q=kettle+-cedar", "p.name like '%Kettle' and p.brand <> 'Cedar'"),
        ("category=nobody", "false"),
    ];
    for (number, (one, holds)) in filters.iter().enumerate() {
        let mut combined = vec![((*one).to_owned(), (*holds).to_owned())];
        let name = one.split('=').next().unwrap();
        for (other, also) in &filters[number + 1..] {
            let is_repeated =
                other.split('&').any(|pair| pair.starts_with(name)) || one.contains(other.split('=').next().unwrap());
            if !is_repeated {
                combined.push((format!("{one}&{other}"), format!("{holds} and {also}")));
            }
        }
        for (query, holds) in combined {
            let wanted = world.slugs_where(&holds).await;
            // Longer lists of hits end at the two hundredth.
            assert!(wanted.len() <= 200, "{query}");
            for sort in ["newest", "popular", "price_asc", "price_desc", "name", "relevance"] {
                if sort == "relevance" && !query.contains("q=") {
                    continue;
                }
                let rows = walk(&world, &format!("{query}&sort={sort}"), 37).await;
                let found = slugs(&rows);
                let all: BTreeSet<_> = found.iter().map(|slug| (*slug).to_owned()).collect();
                assert_eq!((found.len(), &all), (wanted.len(), &wanted), "{query} by {sort}");
            }
        }
    }
}

#[tokio::test]
async fn a_list_of_ids_has_those_that_are_sold_and_no_others() {
    let world = stocked().await;
    let rows = walk(&world, "brand=Alder", 100).await;
    let ids: Vec<_> = rows.iter().take(3).map(|row| row["id"].as_str().unwrap()).collect();
    let asked = format!("ids={},{},00000000-0000-7000-8000-00000000ffff,{}", ids[2], ids[0], ids[1]);
    let found = walk(&world, &asked, 2).await;
    assert_eq!(slugs(&found), slugs(&rows[..3]));
    let many = vec!["00000000-0000-7000-8000-00000000ffff"; 100].join(",");
    assert!(walk(&world, &format!("ids={many}"), 100).await.is_empty());
    let more: Vec<_> = (0..101).map(|n| format!("00000000-0000-7000-8000-{n:012}")).collect();
    for wrong in [more.join(",").as_str(), "", "x", &format!("{},", ids[0])] {
        let answer = world.get(&format!("/v1/products?ids={wrong}")).await;
        assert_eq!(
            (answer.problem(), &answer.body["errors"][0]["parameter"]),
            ((400, "invalid-request"), &"ids".into())
        );
    }
}

#[tokio::test]
async fn a_search_knows_other_forms_of_a_word_and_puts_the_name_before_the_rest() {
    let world = World::with(0).await;
    world
        .execute(
            "insert into catalog.products (id, slug, name, description, brand, category_id, base_price, currency, popularity) \
             select gen_random_uuid(), s, n, d, b, '00000000-0000-7000-8000-000000000000', 1, 'EUR', p from (values \
             ('named', 'Copper kettle', 'Plain.', 'Forge', 1), ('popular', 'Iron kettle', 'Plain.', 'Forge', 9), \
             ('told', 'Pot', 'As good as kettles.', 'Forge', 99), ('brand', 'Cup', 'Plain.', 'Kettle and Sons', 5), \
             ('other', 'Lamp', 'Plain.', 'Forge', 999)) v (s, n, d, b, p)",
        )
        .await;
    assert_eq!(slugs(&walk(&world, "q=Kettles", 1).await), ["popular", "named", "brand", "told"]);
    assert_eq!(slugs(&walk(&world, "q=%22iron+kettle%22", 9).await), ["popular"]);
    assert_eq!(slugs(&walk(&world, "q=copper+or+lamp&sort=popular", 1).await), ["other", "named"]);
    // Whatever stands there is no syntax that can be wrong.
    for odd in ["%27%22%5C", "a%26%26%21%28", ":*", "the", "%F0%9F%AB%96", &"x+".repeat(100)] {
        assert_eq!(world.get(&format!("/v1/products?q={odd}")).await.status, 200, "{odd}");
    }
}

#[tokio::test]
async fn where_nobody_has_the_word_names_that_resemble_it_are_found_and_told_to_be_that() {
    let world = stocked().await;
    let page = world.get("/v1/products?q=ketle&limit=1").await;
    assert_eq!(
        (page.body["data"][0]["name"].as_str().unwrap().split(' ').nth(1), &page.body["page"]["resembling"]),
        (Some("Kettle"), &true.into())
    );
    let rows = walk(&world, "q=ketle", 50).await;
    assert_eq!(
        slugs(&rows).into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
        world.slugs_where("p.name like '%Kettle'").await
    );
    let rows = walk(&world, "q=ketle&brand=Birch&sort=price_asc", 7).await;
    assert_eq!(rows.len(), world.slugs_where("p.name = 'Birch Kettle'").await.len());
    // Words that somebody has are looked for as they are, on every page.
    let page = world.get("/v1/products?q=kettle").await;
    assert!(page.body["page"].get("resembling").is_none());
    assert!(walk(&world, "q=xyzzy", 20).await.is_empty());
}

#[tokio::test]
async fn without_the_extension_a_search_for_a_word_that_nobody_has_is_an_empty_list() {
    let world = stocked().await;
    world.execute("drop extension pg_trgm cascade").await;
    assert!(walk(&world, "q=ketle", 20).await.is_empty());
    assert_eq!(walk(&world, "q=kettle", 100).await.len(), 120);
    world.execute("create extension pg_trgm").await;
    assert!(walk(&world, "q=ketle", 20).await.is_empty(), "without its index it would read everything");
    world.execute("create index products_resembling_idx on catalog.products using gin (name gin_trgm_ops) where status = 'active'").await;
    assert_eq!(walk(&world, "q=ketle", 100).await.len(), 120);
}

#[tokio::test]
async fn a_search_ends_at_its_best_two_hundred() {
    let world = stocked().await;
    let rows = walk(&world, "q=repaired", 90).await;
    assert_eq!(slugs(&rows).into_iter().collect::<BTreeSet<_>>().len(), 200);
    let popular: Vec<_> = walk(&world, "q=repaired&sort=popular", 100).await;
    assert_eq!(slugs(&popular).into_iter().collect::<BTreeSet<_>>(), slugs(&rows).into_iter().collect());
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_filters_and_sort_alone() {
    let world = stocked().await;
    let page = world.get("/v1/products?q=kettle&brand=Birch&limit=1").await;
    let cursor = page.body["page"]["next_cursor"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/products?brand=Birch&q=++kettle&limit=9&cursor={cursor}")).await.status, 200);
    for other in
        ["", "q=kettle", "q=kettle&brand=Alder", "q=kettle&brand=Birch&in_stock=true", "q=kettle&brand=Birch&sort=name"]
    {
        let answer = world.get(&format!("/v1/products?{other}&cursor={cursor}").replace("?&", "?")).await;
        assert_eq!(answer.problem(), (400, "invalid-cursor"), "{other}");
    }
}

#[tokio::test]
async fn the_planners_estimate_comes_when_it_is_asked_for() {
    let world = stocked().await;
    world.execute("analyze catalog.products").await;
    let count = async |query: &str| {
        world.get(&format!("/v1/products?limit=1&{query}")).await.body["page"]["estimated_count"].as_i64()
    };
    assert_eq!(count("").await, None);
    assert_eq!(count("count=estimate").await, Some(240));
    assert!((60..=100).contains(&count("count=estimate&brand=Birch").await.unwrap()));
    assert!(count("count=estimate&q=repaired").await.unwrap() <= 200);
    assert_eq!(world.get("/v1/products?count=exact").await.problem(), (400, "invalid-request"));
    let link = world.get("/v1/products?count=estimate&limit=1&min_price=100").await.header("link").to_owned();
    assert!(link.contains("count=estimate") && link.contains("min_price=100"), "{link}");
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_400_and_says_which_parameter_it_is() {
    let world = World::with(1).await;
    let long = format!("q={}", "x".repeat(201));
    for (query, parameter) in [
        ("q=", "q"),
        ("q=+", "q"),
        (long.as_str(), "q"),
        ("brand=", "brand"),
        ("category=", "category"),
        ("min_price=-1", "min_price"),
        ("max_price=1000000001", "max_price"),
        ("min_price=2&max_price=1", "min_price"),
        ("min_price=1.5", "min_price"),
        ("in_stock=maybe", "in_stock"),
        ("sort=relevance", "sort"),
        ("q=a%00b", "q"),
        ("q=a&q=b", "q"),
    ] {
        let answer = world.get(&format!("/v1/products?{query}")).await;
        assert_eq!(answer.problem(), (400, "invalid-request"), "{query}");
        assert_eq!(answer.body["errors"][0]["parameter"], parameter, "{answer:?}");
    }
}
